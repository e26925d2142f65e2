"""Rows of CSV, TSV and JSONL files: the one reader behind every `load_*(path)` of records.

A file that cannot be read as a whole (empty, wrong encoding, a column missing) is an error that names the file and the
line. A single bad row is skipped, counted and told about in one warning.
"""

import csv
import json
import lzma
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
PathLike = str | os.PathLike[str]
Numbered = tuple[int, Any]  # the line of a file, and what stands there: a dict, or why there is none

JSON_LINES = (".jsonl", ".ndjson")
DELIMITERS = {".csv": ",", ".tsv": "\t"}
FORMATS = (*JSON_LINES, *DELIMITERS)


def read_rows(path: PathLike, parse: Callable[[dict[str, Any]], T], columns: Iterable[str] = ()) -> list[T]:
    """Read a `.csv`, `.tsv`, `.jsonl` or `.ndjson` file and make a record of each row.

    Use it for files that users bring. CSV and TSV files start with a line of column names; a line of JSON Lines is an
    object.

    Args:
        path: the file, in UTF-8 (with or without a byte order mark).
        parse: makes a record of a row `{column: value}`; it raises `ValueError` with the reason for a bad row.
        columns: names that each row must have.

    Returns:
        The records of all good rows, in the order of the file. Bad ones are counted in a warning.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another format, an empty file, wrong encoding, a missing column, or no good row; names the line.

    Example:

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "reviews.csv"
    >>> _ = file.write_text("text,label\\nfine,good\\ndull,bad\\n")
    >>> read_rows(file, lambda row: (row["text"], row["label"]), columns=["text", "label"])
    [('fine', 'good'), ('dull', 'bad')]
    """
    file = existing(path)
    wanted = list(columns)
    numbered = _json_rows(file) if file.suffix.lower() in JSON_LINES else _table_rows(file, wanted)
    return parsed([(file, numbered)], lambda row: parse(_with_columns(row, wanted)))[0]


def parsed(sources: Iterable[tuple[Path, Iterable[Numbered]]], parse: Callable[[Any], T]) -> list[list[T]]:
    """Records of the numbered items of some files; bad items are skipped and counted in one warning for all files.

    Args:
        sources: files and their items `(line, item)`; an item that is a `ValueError` counts as bad.
        parse: makes a record of an item, or raises `ValueError` with the reason.

    Returns:
        The records of each file.

    Raises:
        ValueError: a file without an item, or none of whose items is good.
    """
    found: list[list[T]] = []
    bad: list[str] = []
    for file, numbered in sources:
        records, reasons = _sorted_out(numbered, parse)
        if not records:
            reason = (
                f"all {len(reasons)} are bad, the first on {reasons[0]}" if reasons else "line 1: the file is empty"
            )
            raise ValueError(f"Nothing to read in {file}: {reason}")
        found.append(records)
        bad += [f"{file}, {reason}" for reason in reasons]
    if bad:
        total = len(bad) + sum(map(len, found))
        warnings.warn(f"Skipped {len(bad)} of {total} items. The first: {bad[0]}", stacklevel=4)
    return found


def _sorted_out(numbered: Iterable[Numbered], parse: Callable[[Any], T]) -> tuple[list[T], list[str]]:
    """The good records, and what is wrong with the bad items."""
    records, reasons = [], []
    for line, item in numbered:
        try:
            if isinstance(item, ValueError):
                raise item
            records.append(parse(item))
        except ValueError as error:
            reasons.append(f"line {line}: {error}")
    return records, reasons


def text_of(row: dict[str, Any], column: str) -> str:
    """The text of a column without white space around it; numbers become text.

    Raises:
        ValueError: it is missing, empty, or neither text nor a number.
    """
    value = row.get(column)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected text in column {column!r}, received {value!r}")
    return value.strip()


def existing(path: PathLike, formats: Iterable[str] = FORMATS) -> Path:
    """The path of a file that is there and has one of the `formats`.

    Raises:
        FileNotFoundError: no file is there.
        ValueError: its name ends in something else.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"No file at {str(path)!r}. Expected one that ends in {', '.join(formats)}.")
    if file.suffix.lower() not in tuple(formats):
        raise ValueError(f"Expected a file that ends in {', '.join(formats)}, received {str(path)!r}.")
    return file


def read_lines(file: Path) -> Iterator[tuple[int, str]]:
    """`(line, text)` of a UTF-8 file, from line 1 on, without line ends.

    Raises:
        ValueError: bytes that are no UTF-8; names the line.
    """
    with file.open("rb") as stream:
        for line, raw in enumerate(stream, 1):
            try:
                text = raw.decode("utf-8-sig" if line == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{file}, line {line}: expected UTF-8, received the byte 0x{raw[error.start]:02x} at column "
                    f"{error.start + 1}. Save the file as UTF-8."
                ) from error
            yield line, text.rstrip("\r\n")


def bundled_rows(asset: str) -> list[dict[str, Any]]:
    """The rows of a bundled asset in JSON Lines, compressed by xz.

    Raises:
        FileNotFoundError: the package was installed without it.
    """
    file = resources.files("metagpt_tf.datasets") / "assets" / asset
    if not file.is_file():
        raise FileNotFoundError(f"No file at {file}. Install the package again: datasets/assets/{asset} is part of it.")
    return [json.loads(line) for line in lzma.decompress(file.read_bytes()).decode().splitlines()]


def _json_rows(file: Path) -> Iterator[Numbered]:
    for line, text in read_lines(file):
        if text.strip():
            yield line, _json_object(text)


def _json_object(text: str) -> dict[str, Any] | ValueError:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return ValueError(f"not JSON ({error.msg} at column {error.colno})")
    return value if isinstance(value, dict) else ValueError(f"expected a JSON object, received {text[:40]}")


def _table_rows(file: Path, columns: list[str]) -> Iterator[Numbered]:
    reader = csv.reader((f"{text}\n" for _, text in read_lines(file)), delimiter=DELIMITERS[file.suffix.lower()])
    header = next(reader, [])
    missing = [name for name in columns if name not in header]
    if header and missing:
        raise ValueError(f"{file}, line 1: no column {missing[0]!r}. Expected {columns}, received {header}.")
    line = reader.line_num + 1  # a quoted value may span lines: a row is named by its first
    for values in reader:
        if values:
            fits = len(values) == len(header)
            yield line, dict(zip(header, values, strict=True)) if fits else _wrong_width(len(header), len(values))
        line = reader.line_num + 1


def _wrong_width(expected: int, received: int) -> ValueError:
    return ValueError(f"expected {expected} columns, received {received}")


def _with_columns(row: dict[str, Any], columns: list[str]) -> dict[str, Any]:
    missing = [name for name in columns if name not in row]
    if missing:
        raise ValueError(f"no {missing[0]!r}; expected {columns}, received {sorted(row)}")
    return row
