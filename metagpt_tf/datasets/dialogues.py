"""Conversations: the ChatterBot corpus where it is installed, or your own files."""

import importlib.util
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from metagpt_tf.datasets.records import Dialogue, Tasks, distinct, large_enough, split_records
from metagpt_tf.datasets.rows import JSON_LINES, Numbered, existing, parsed, read_rows, text_of

PathLike = str | os.PathLike[str]
By = Literal["language", "category"]

PACKAGE = "chatterbot_corpus"
INSTALL = "pip install metagpt_tf[data]"
YAML_FILES = (".yml", ".yaml")


def load_dialogues(path: PathLike | None = None, by: By = "language", min_dialogues: int = 20) -> Tasks[Dialogue]:
    """Load conversations by task, whole tasks held out.

    Use it with `tasks.dialogue_pairs`. Without a path the installed package `chatterbot-corpus` is read: greetings,
    facts and small talk, written by its users in 28 languages; most conversations are one question and one answer. Its
    code is found, never run.

    Args:
        path: a folder laid out like that corpus (a folder for each language, in it a YAML file for each category), or a
            `.jsonl` file of `{"task": "…", "turns": ["…", "…"]}`; default the installed corpus.
        by: what a task is: a language, or a category of a language such as `"english/food"`. Not used for JSON Lines.
        min_dialogues: tasks with fewer conversations are left out. Equal ones of a task count once.

    Returns:
        Split -> task -> conversations, three non-empty splits.

    Raises:
        ImportError: the corpus or PyYAML is not installed.
        FileNotFoundError: nothing is at `path`.
        ValueError: an unknown `by`, a file that is no YAML, or fewer than three tasks; names file and line. Single
            conversations without two turns of text are skipped and counted in a warning: release 1.3.3 has ten.

    Example:

    >>> import json, tempfile
    >>> file = Path(tempfile.mkdtemp()) / "talks.jsonl"
    >>> rows = [{"task": task, "turns": ["Hello", f"{task}!"]} for task in ("Salut", "Hola", "Hi")]
    >>> _ = file.write_text("".join(json.dumps(row) + "\\n" for row in rows))
    >>> dialogues = load_dialogues(file, min_dialogues=1)
    >>> [talk["turns"] for tasks in dialogues.values() for talk in tasks.get("Hola", [])]
    [['Hello', 'Hola!']]

    Reference: https://github.com/gunthercox/chatterbot-corpus (BSD licence)
    """
    if by not in ("language", "category"):
        raise ValueError(f'Expected by="language" or "category", received {by!r}.')
    root = corpus_folder() if path is None else Path(path)
    tasks = _from_folder(root, by) if root.is_dir() else _from_rows(root)
    unique = {name: distinct(talks, lambda talk: tuple(talk["turns"])) for name, talks in tasks.items()}
    return split_records(large_enough(unique, min_dialogues, "conversations"))


def corpus_folder() -> Path:
    """The data of the installed `chatterbot-corpus`; the package is not imported.

    Raises:
        ImportError: it is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    folders = [Path(place) / "data" for place in (spec.submodule_search_locations or ())] if spec else []
    found = [folder for folder in folders if folder.is_dir()]
    if not found:
        raise ImportError(f"Without a path, load_dialogues reads the package chatterbot-corpus: {INSTALL}")
    return found[0]


def _from_folder(root: Path, by: By) -> dict[str, list[Dialogue]]:
    files = sorted(file for file in root.glob("*/*") if file.suffix in YAML_FILES)
    if not files:
        raise ValueError(f"No YAML file in the folders of {str(root)!r}. Expected language/category.yml.")
    tasks: defaultdict[str, list[Dialogue]] = defaultdict(list)
    for file, dialogues in zip(files, parsed([(file, _conversations(file)) for file in files], _dialogue), strict=True):
        tasks[file.parent.name if by == "language" else f"{file.parent.name}/{file.stem}"] += dialogues
    return dict(tasks)


def _from_rows(path: Path) -> dict[str, list[Dialogue]]:
    tasks = defaultdict(list)
    for task, dialogue in read_rows(existing(path, JSON_LINES), _row, columns=["task", "turns"]):
        tasks[task].append(dialogue)
    return dict(tasks)


def _row(row: dict[str, Any]) -> tuple[str, Dialogue]:
    return text_of(row, "task"), _dialogue(row["turns"])


def _dialogue(turns: Any) -> Dialogue:
    texts = isinstance(turns, list) and all(isinstance(turn, str) and turn.strip() for turn in turns)
    if not texts or len(turns) < 2:
        raise ValueError(f"expected at least two turns of text, received {str(turns)[:60]}")
    return Dialogue(turns=[turn.strip() for turn in turns])


def _conversations(file: Path) -> Iterator[Numbered]:
    """`(line, turns)` of the list `conversations`, from the tree of the YAML file: no object is ever built of it.

    Values stay as they are written; a loader would make flags of "Yes" and "No".
    """
    try:
        import yaml
    except ImportError as error:
        raise ImportError(f"Reading {file} needs PyYAML: {INSTALL}") from error
    try:
        root = yaml.compose(file.read_text(encoding="utf-8-sig"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ValueError(f"{file}, line {line}: expected YAML, received {error.problem}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: expected YAML in UTF-8, received {error}.") from error
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    talks = next((value for key, value in pairs if key.value == "conversations"), None)
    if not isinstance(talks, yaml.SequenceNode):
        raise ValueError(f"{file}, line 1: expected a list named 'conversations'.")
    for talk in talks.value:
        turns = talk.value if isinstance(talk, yaml.SequenceNode) else [talk]
        yield talk.start_mark.line + 1, [turn.value if isinstance(turn, yaml.ScalarNode) else None for turn in turns]
