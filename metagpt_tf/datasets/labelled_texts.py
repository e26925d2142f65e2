"""Texts with labels: definitions by topic that are bundled, or your own."""

import os
from collections import defaultdict
from typing import Any

from metagpt_tf.datasets.records import LabelledText, Tasks, distinct, large_enough, split_records
from metagpt_tf.datasets.rows import bundled_rows, read_rows, text_of
from metagpt_tf.datasets.splits import SPLITS, split_tasks

PathLike = str | os.PathLike[str]
ASSET = "topics.jsonl.xz"
LEAST_LABELS = 2  # of a task


def load_classification(
    path: PathLike | None = None,
    text: str = "text",
    label: str = "label",
    task: str | None = None,
    labels_per_task: int = 4,
    min_examples: int = 20,
) -> Tasks[LabelledText]:
    """Load labelled texts by task; no task, and without a column of tasks no label, is in two splits.

    Use it with `tasks.classification_pairs`. Without a path there are 2,893 definitions of WordNet 3.1 of 57 topics
    (law, chess, botany …). The topic in front of a definition, which would give it away, is removed. Without a column
    of tasks the labels are held out whole, and a task is a few labels of one split: `"art/botany/chess/law"`.

    Args:
        path: a `.csv`, `.tsv` or `.jsonl` file; default the bundled definitions.
        text, label: its columns.
        task: its column of tasks, for data that has several label sets; `None` to make tasks of labels.
        labels_per_task: labels of a task that is made of labels, at least.
        min_examples: labels (with a column of tasks: tasks) with fewer texts are left out. Equal texts count once.

    Returns:
        Split -> task -> texts with labels, three non-empty splits.

    Raises:
        FileNotFoundError: nothing is at `path`.
        ValueError: a file that cannot be read, fewer than three tasks, or fewer than six labels to make tasks of;
            names file and line. Single bad rows are skipped and counted in a warning.

    Example:

    >>> topics = load_classification()
    >>> {split: len(tasks) for split, tasks in topics.items()}
    {'meta_train': 9, 'meta_validation': 2, 'meta_test': 2}

    Reference: Miller 1995, "WordNet: a lexical database for English", https://wordnet.princeton.edu (WordNet licence)
    """
    if labels_per_task < LEAST_LABELS:
        raise ValueError(f"labels_per_task must be at least {LEAST_LABELS}, received {labels_per_task}.")
    if path is None:
        rows = [_labelled(row, "text", "label", None) for row in bundled_rows(ASSET)]
    else:
        columns = [name for name in (text, label, task) if name is not None]
        rows = read_rows(path, lambda row: _labelled(row, text, label, task), columns)
    groups = defaultdict(list)
    for name, record in distinct(rows, lambda row: (row[0], row[1]["text"])):
        groups[record["label"] if path is None or task is None else name].append(record)
    kept = large_enough(dict(groups), min_examples, "texts")
    return split_records(kept) if path is not None and task is not None else tasks_of_labels(kept, labels_per_task)


def tasks_of_labels(texts: dict[str, list[LabelledText]], labels_per_task: int) -> Tasks[LabelledText]:
    """Hold labels out whole, then make tasks of at least `labels_per_task` labels (of all, if fewer) of a split.

    The splits are those of `split_tasks`; where one has a single label, the largest gives it one.

    Raises:
        ValueError: fewer than six labels.
    """
    if len(texts) < LEAST_LABELS * len(SPLITS):
        raise ValueError(
            f"Three splits of at least {LEAST_LABELS} labels need {LEAST_LABELS * len(SPLITS)}, received {len(texts)}: "
            f"{', '.join(sorted(texts))}. Give more labels, or name a column of tasks with task=…"
        )
    splits = split_tasks(texts)
    for labels in splits.values():
        while len(labels) < LEAST_LABELS:
            labels.append(max(splits.values(), key=len).pop())
    return {split: _grouped(texts, sorted(labels), labels_per_task) for split, labels in splits.items()}


def _grouped(texts: dict[str, list[LabelledText]], labels: list[str], size: int) -> dict[str, list[LabelledText]]:
    count = max(1, len(labels) // size)
    groups = [labels[start::count] for start in range(count)]
    return {"/".join(group): [row for label in group for row in texts[label]] for group in groups}


def _labelled(row: dict[str, Any], text: str, label: str, task: str | None) -> tuple[str, LabelledText]:
    name = text_of(row, task) if task is not None else ""
    return name, LabelledText(text=text_of(row, text), label=text_of(row, label))
