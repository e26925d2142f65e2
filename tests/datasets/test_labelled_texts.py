"""Labelled texts: labels are held out whole, and tasks are made of the labels of one split."""

import json
from pathlib import Path

import pytest

from metagpt_tf.datasets import SPLITS, load_classification, split_tasks


def labels_of(tasks: dict[str, list]) -> list[set[str]]:
    return [{row["label"] for row in rows} for rows in tasks.values()]


def test_bundled_definitions_hold_labels_out() -> None:
    loaded = load_classification(labels_per_task=3)
    per_split = [set().union(*labels_of(loaded[split])) for split in SPLITS]
    assert sum(map(len, per_split)) == len(set().union(*per_split)) == 57
    assert all(
        len(labels) >= 3 and "/".join(sorted(labels)) == task
        for split in SPLITS
        for task, labels in zip(loaded[split], labels_of(loaded[split]), strict=True)
    )
    texts = [row["text"] for tasks in loaded.values() for rows in tasks.values() for row in rows]
    assert len(texts) == len(set(texts)) == 2893
    assert not any(
        row["text"].startswith(f"({row['label']})") for rows in loaded["meta_train"].values() for row in rows
    )


def test_a_csv_file_without_tasks(tmp_path: Path) -> None:
    rows = [f"text {n},label {n % 40}" for n in range(200)]
    (tmp_path / "a.csv").write_text("\n".join(["t,l", *rows, rows[0]]))
    loaded = load_classification(tmp_path / "a.csv", text="t", label="l", labels_per_task=2, min_examples=5)
    expected = split_tasks(f"label {n}" for n in range(40))
    assert {split: set().union(*labels_of(tasks)) for split, tasks in loaded.items()} == {
        split: set(labels) for split, labels in expected.items()
    }
    with pytest.raises(ValueError, match="at least 6 texts each"):
        load_classification(tmp_path / "a.csv", text="t", label="l", min_examples=6)


def test_few_labels_need_a_column_of_tasks(tmp_path: Path) -> None:
    rows = [{"text": f"{task} {n}", "label": ("good", "bad")[n % 2], "shop": task} for task in "abc" for n in range(4)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    loaded = load_classification(tmp_path / "a.jsonl", task="shop", min_examples=4)
    assert sorted(task for tasks in loaded.values() for task in tasks) == ["a", "b", "c"]
    assert all(labels == {"good", "bad"} for tasks in loaded.values() for labels in labels_of(tasks))
    with pytest.raises(ValueError, match="at least 3 tasks with at least 4 texts each; received 2 of 2"):
        load_classification(tmp_path / "a.jsonl", min_examples=4)
    with pytest.raises(ValueError, match="at least 2, received 1"):
        load_classification(labels_per_task=1)


def test_labels_too_few_for_three_splits(tmp_path: Path) -> None:
    rows = [f"{letter}\t{letter}" for letter in "uvwxyz"]
    (tmp_path / "a.tsv").write_text("\n".join(["text\tlabel", *rows]))
    loaded = load_classification(tmp_path / "a.tsv", min_examples=1)
    assert [len(labels) for tasks in loaded.values() for labels in labels_of(tasks)] == [2, 2, 2]
    (tmp_path / "a.tsv").write_text("\n".join(["text\tlabel", *rows[1:]]))
    with pytest.raises(ValueError, match=r"need 6, received 5: v, w, x, y, z. Give more labels, or name a column"):
        load_classification(tmp_path / "a.tsv", min_examples=1)
