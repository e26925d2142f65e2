"""The user's own texts, and those of TFDS data sets, in the form of the bundled ones: split -> task -> examples.

A file that cannot be read as a whole is an error that names file and line; where there are others beside it, and for a
single bad row, it is skipped, counted and told about in a warning.
"""

import os
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from metagpt_tf.datasets.rows import FORMATS, read_lines, read_rows, text_of
from metagpt_tf.datasets.splits import SPLITS, split_tasks
from metagpt_tf.suggestions import closest

PathLike = str | os.PathLike[str]
Loaded = dict[str, dict[str, list[Any]]]
Row = tuple[str, Any]  # a task and an example of it
Columns = tuple[str, str, str, str]  # names of task, text, source, target

BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")
TFDS_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*(/[\w.+-]+)?(:[\w.*]+)?")


def load_texts(
    path: PathLike | Sequence[PathLike],
    task: str = "task",
    text: str = "text",
    source: str = "source",
    target: str = "target",
    paragraphs: bool = False,
    min_examples: int = 1,
    split: str | None = None,
    data_dir: PathLike | None = None,
) -> Loaded:
    """Load texts, or pairs of texts, by split and task: the same form that `load_authors` and `load_parallel` give.

    Use it to train and adapt on your own data. What `path` is decides how it is read:

    - a folder: each first-level sub-folder or file is a task, named after it; each file (UTF-8) in it is a text;
    - a list of files or folders: each is a task, named after it; equal names are one task;
    - a `.csv`, `.tsv`, `.jsonl` or `.ndjson` file: each row has a task and a text, or a task, a source and a target;
    - the name of a TFDS data set (`"name"`, `"name/config"`), where nothing of that name is on disk: its features are
      the columns, and a label's names are the tasks. One that is not yet on this machine is downloaded by TFDS.

    Args:
        path: see above.
        task: column of the task's name.
        text: column of the text.
        source, target: columns of pairs; they are taken where a row has both.
        paragraphs: whether texts are cut at blank lines into examples of their own; not for pairs.
        min_examples: tasks with fewer examples are left out, with a warning.
        split: None holds whole tasks out (`splits.split_tasks`; a TFDS data set that has our three splits keeps them);
            the name of a split puts all tasks there.
        data_dir: folder of the TFDS data sets; default TFDS's own.

    Returns:
        Split -> task -> texts, or pairs `(source_text, target_text)`, in the order of the data.

    Raises:
        FileNotFoundError: nothing is at `path`, and no TFDS data set has this name.
        ValueError: an empty file, wrong encoding, a missing column or only bad rows (names file and line), texts mixed
            with pairs, fewer than three tasks with enough examples, or an unknown split.

    Example:

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "poems.csv"
    >>> _ = file.write_text("task,text\\nann,one\\nann,two\\nbob,three\\ncid,four\\n")
    >>> loaded = load_texts(file)
    >>> {name: texts for tasks in loaded.values() for name, texts in tasks.items()}["ann"]
    ['one', 'two']
    """
    if split is not None and split not in SPLITS:
        raise ValueError(f"Unknown split {split!r}. {closest(str(split), SPLITS)}")
    columns = (task, text, source, target)
    if isinstance(path, str | os.PathLike) and not Path(path).exists():
        return _from_tfds(str(path), columns, paragraphs, min_examples, split, data_dir)
    rows, where = _rows_at(path, columns)
    return _split(_tasks(rows, paragraphs, where), min_examples, split, where)


def _rows_at(path: PathLike | Sequence[PathLike], columns: Columns) -> tuple[list[Row], str]:
    """The rows of what is on disk, and what to call it in messages."""
    if not isinstance(path, str | os.PathLike):
        return _from_paths([Path(entry) for entry in path]), f"the {len(path)} paths given"
    one = Path(path)
    if one.is_dir():
        return _from_paths(sorted(entry for entry in one.iterdir() if entry.name[0] != "."), beside=True), str(path)
    if one.suffix.lower() in FORMATS:
        return read_rows(one, lambda row: _example(row, *columns), [columns[0]]), str(path)
    return _from_paths([one]), str(path)


def _example(row: dict[str, Any], task: str, text: str, source: str, target: str) -> Row:
    """The task and the text or pair of a row.

    Raises:
        ValueError: it has neither; says which columns were expected.
    """
    if source in row and target in row:
        return text_of(row, task), (text_of(row, source), text_of(row, target))
    if text in row:
        return text_of(row, task), text_of(row, text)
    raise ValueError(f"expected {text!r}, or {source!r} and {target!r}; received {sorted(map(str, row))}")


def _from_paths(paths: list[Path], beside: bool = False) -> list[Row]:
    """The texts of some tasks. A bad file is an error where it is named by the caller, and skipped inside a folder."""
    rows: list[Row] = []
    bad: list[str] = []
    for path in paths:
        for file in _files(path):
            try:
                rows.append((path.stem if path.is_file() else path.name, _read(file)))
            except ValueError as error:
                if file == path and not beside:
                    raise
                bad.append(str(error))
    if bad:
        if not rows:
            raise ValueError(f"None of {len(bad)} files could be read. The first: {bad[0]}")
        warnings.warn(f"Skipped {len(bad)} of {len(bad) + len(rows)} files. The first: {bad[0]}", stacklevel=4)
    return rows


def _files(path: Path) -> list[Path]:
    """A file, or the files below a folder that are not hidden, in the order of their paths."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"No file or folder at {str(path)!r}. Expected texts in UTF-8, each a task.")
    found = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    return sorted(file for file in found if not any(part[0] == "." for part in file.relative_to(path).parts))


def _read(file: Path) -> str:
    """The text of a file.

    Raises:
        ValueError: it is empty, or no text in UTF-8; names the line.
    """
    lines = list(read_lines(file))
    zero = next((number for number, line in lines if "\0" in line), None)
    if zero is not None:
        raise ValueError(f"{file}, line {zero}: expected text, received a zero byte. Is it a binary file?")
    text = "\n".join(line for _, line in lines).strip()
    if not text:
        raise ValueError(f"{file}, line 1: the file is empty. Expected text in UTF-8.")
    return text


def _tasks(rows: Iterable[Row], paragraphs: bool, where: str) -> dict[str, list[Any]]:
    """Task -> its examples, which are all texts or all pairs."""
    tasks: dict[str, list[Any]] = {}
    for name, example in rows:
        cut = paragraphs and isinstance(example, str)
        parts = [part.strip() for part in BLANK_LINES.split(example)] if cut else [example]
        tasks.setdefault(name, []).extend(part for part in parts if part)
    kinds = {type(example) for examples in tasks.values() for example in examples}
    if len(kinds) > 1:
        raise ValueError(
            f"Some rows of {where} are texts and others are pairs. Expected one kind in every row: "
            f"a text, or a source and a target."
        )
    return tasks


def _split(tasks: dict[str, list[Any]], min_examples: int, split: str | None, where: str) -> Loaded:
    """Tasks with enough examples, whole tasks held out unless a split is given."""
    kept = _large_enough(tasks, min_examples, where)
    needed = 1 if split else len(SPLITS)
    if len(kept) < needed:
        sizes = {name: len(examples) for name, examples in sorted(tasks.items())[:10]}
        raise ValueError(
            f"{where} has {len(kept)} task(s) with at least min_examples={min_examples} examples, but "
            f"{'three disjoint splits need 3' if needed > 1 else 'at least 1 is needed'}; received the sizes {sizes}. "
            f"Give more, lower min_examples, or put all tasks into one split: split='meta_test'."
        )
    if split:
        return {split: {name: kept[name] for name in sorted(kept)}}
    return {part: {name: kept[name] for name in names} for part, names in split_tasks(kept).items()}


def _large_enough(tasks: dict[str, list[Any]], min_examples: int, where: str) -> dict[str, list[Any]]:
    small = [name for name, examples in tasks.items() if len(examples) < min_examples]
    if small and len(small) < len(tasks):
        warnings.warn(
            f"Left out {len(small)} of {len(tasks)} tasks of {where} with fewer than min_examples={min_examples} "
            f"examples: {', '.join(sorted(small)[:5])}{' …' if len(small) > 5 else ''}.",
            stacklevel=4,
        )
    return {name: examples for name, examples in tasks.items() if name not in small}


def _from_tfds(
    name: str,
    columns: Columns,
    paragraphs: bool,
    min_examples: int,
    split: str | None,
    data_dir: PathLike | None,
) -> Loaded:
    """The examples of a TFDS data set; if it has our three splits they stay."""
    if not TFDS_NAME.fullmatch(name):
        raise FileNotFoundError(f"No file or folder at {name!r}, and it cannot be the name of a TFDS data set.")
    from metagpt_tf.datasets.tfds_rows import tfds_rows

    where = f"the TFDS data set {name!r}"
    parts = tfds_rows(name, lambda row: _example(row, *columns), columns, data_dir)
    if set(parts) == set(SPLITS) and split is None:
        held_out = {part: _tasks(parts[part], paragraphs, where) for part in SPLITS}
        return {part: _large_enough(tasks, min_examples, where) for part, tasks in held_out.items()}
    rows = [row for part in parts.values() for row in part]
    return _split(_tasks(rows, paragraphs, where), min_examples, split, where)
