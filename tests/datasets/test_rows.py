"""Files that users bring: good rows are read, bad ones counted, hopeless files named with their line."""

import json
from pathlib import Path
from typing import Any

import pytest

from metagpt_tf.datasets.rows import bundled_rows, read_rows, text_of


def pair(row: dict[str, Any]) -> tuple[str, str]:
    return text_of(row, "text"), text_of(row, "label")


def read(file: Path) -> list[tuple[str, str]]:
    return read_rows(file, pair, columns=["text", "label"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'label,text\r\n1,"two, and\r\nthree"\r\n'),
        ("a.tsv", "text\tlabel\ntwo, and\nthree\t1\n"),
        ("a.jsonl", json.dumps({"text": " two, and\nthree ", "label": 1}) + "\n\n"),
        ("A.NDJSON", json.dumps({"label": "1", "text": "two, and\nthree"})),
    ],
)
def test_all_formats_give_the_same(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content.encode())
    if name == "a.tsv":  # no quotes, so the second line has one column
        with pytest.warns(UserWarning, match=r"Skipped 1 of 2 items. .*a.tsv, line 2: expected 2 columns, received 1"):
            assert read(tmp_path / name) == [("three", "1")]
    else:
        assert [(text.replace("\r", ""), label) for text, label in read(tmp_path / name)] == [("two, and\nthree", "1")]


def test_bad_rows_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    rows = ['{"text": "a", "label": "x"}', "{", "[1]", '{"text": "b"}', '{"text": " ", "label": "y"}']
    (tmp_path / "b.jsonl").write_text("\n".join(rows))
    with pytest.warns(UserWarning, match=r"Skipped 4 of 5 items. The first: .*b.jsonl, line 2: not JSON"):
        assert read(tmp_path / "b.jsonl") == [("a", "x")]


def test_a_row_after_a_quoted_line_end_keeps_its_number(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text('text,label\n"a\nb",x\n,y\n')
    with pytest.warns(UserWarning, match=r"c.csv, line 4: expected text in column 'text', received ''"):
        assert read(tmp_path / "c.csv") == [("a\nb", "x")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.csv", b"", r"d.csv: line 1: the file is empty"),
        ("d.csv", b"text,label\n", r"Nothing to read in .*d.csv"),
        ("d.csv", b"text,tag\na,b\n", r"d.csv, line 1: no column 'label'. Expected \['text', 'label'\], received"),
        ("d.csv", b"text,label\na,b\nc,\xff\n", r"d.csv, line 3: expected UTF-8, received the byte 0xff at column 3"),
        ("d.jsonl", b"{\n", r"all 1 are bad, the first on line 1: not JSON"),
        ("d.xml", b"<a/>", r"Expected a file that ends in .jsonl, .ndjson, .csv, .tsv, received"),
    ],
)
def test_hopeless_files_name_their_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / name)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="No file at"):
        read(tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError, match="Install the package again"):
        bundled_rows("none.jsonl.xz")
