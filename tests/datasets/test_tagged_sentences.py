"""Tagged sentences: CoNLL's format in all its schemes, tasks by type of name, the bundled weak labels."""

from pathlib import Path

import pytest

from metagpt_tf.datasets import SPLITS, load_entities
from metagpt_tf.datasets.tagged_sentences import read_conll, to_iob2


@pytest.mark.parametrize(
    "tags",
    [
        "I-PER I-PER B-PER O I-LOC",  # IOB: B only between neighbours of one type
        "B-PER I-PER B-PER O B-LOC",
        "B-PER E-PER S-PER O S-LOC",
        "B-PER L-PER U-PER O U-LOC",
        "I-PER E-PER I-PER O I-LOC",
    ],
)
def test_all_schemes_become_one(tags: str) -> None:
    assert to_iob2(tags.split()) == ["B-PER", "I-PER", "B-PER", "O", "B-LOC"]


CONLL = """-DOCSTART- -X- O O

# a comment
Ada NNP B-PER
left VBD O

Rome NNP B-LOC

Acme\tNNP\tB-ORG
in IN O
Rome NNP B-LOC
"""


def test_tasks_by_type(tmp_path: Path) -> None:
    file = tmp_path / "a.conll"
    file.write_text(CONLL)
    loaded = load_entities(file, min_sentences=1, without=0.5)
    tasks = {name: rows for tasks in loaded.values() for name, rows in tasks.items()}
    assert tasks["LOC"] == [
        {"tokens": ["Rome"], "tags": ["B-LOC"]},
        {"tokens": ["Acme", "in", "Rome"], "tags": ["O", "O", "B-LOC"]},
        {"tokens": ["Ada", "left"], "tags": ["O", "O"]},
    ]
    assert sorted(tasks) == ["LOC", "ORG", "PER"] and len(tasks["ORG"]) == 1


def test_tasks_by_file_keep_all_types(tmp_path: Path) -> None:
    for name in ("one.bio", "two.txt", "three.tsv"):
        (tmp_path / name).write_text(CONLL + "\n" + CONLL)
    loaded = load_entities(tmp_path, by="file", min_sentences=3)
    tasks = {name: rows for tasks in loaded.values() for name, rows in tasks.items()}
    assert sorted(tasks) == ["one", "three", "two"] and all(len(rows) == 3 for rows in tasks.values())
    assert tasks["one"][2]["tags"] == ["B-ORG", "O", "B-LOC"]


def test_bad_sentences_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "a.conll"
    file.write_text("a O\n\nb\nc O\n\nd B_PER\n\ne O\n")
    with pytest.warns(
        UserWarning, match=r"Skipped 2 of 4 items. .*a.conll, line 3: line 3: expected a token and a tag"
    ):
        assert [sentence["tokens"] for sentence in read_conll([file])[0]] == [["a"], ["e"]]
    file.write_bytes(b"a O\n\xff O\n")
    with pytest.raises(ValueError, match="a.conll, line 2: expected UTF-8"):
        load_entities(file)


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='Expected by="type", or by="file" with a path'):
        load_entities(by="file")
    with pytest.raises(ValueError, match="No file in"):
        load_entities(tmp_path)
    with pytest.raises(FileNotFoundError, match="No file at"):
        load_entities(tmp_path / "none.conll")


def test_bundled_sentences() -> None:
    loaded = load_entities()
    tasks = {name: rows for split in SPLITS for name, rows in loaded[split].items()}
    assert len(tasks) == sum(len(names) for names in loaded.values()) == 15
    for name, rows in tasks.items():
        named = [row for row in rows if set(row["tags"]) != {"O"}]
        assert len(named) >= 20 and len(rows) - len(named) == round(0.25 * len(named))
        assert {tag for row in rows for tag in row["tags"]} <= {"O", f"B-{name}", f"I-{name}"}
        assert all(to_iob2(row["tags"]) == row["tags"] and len(row["tags"]) == len(row["tokens"]) for row in rows)
    found = {row["tokens"][row["tags"].index("B-RIVER")] for row in tasks["RIVER"] if "B-RIVER" in row["tags"]}
    assert {"Mississippi", "Amazon"} <= found
