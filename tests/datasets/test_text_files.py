"""`load_texts`: folders, lists, tables and TFDS names; and what is said about bad ones."""

import json
import warnings
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from metagpt_tf.datasets import SPLITS, load_texts, split_tasks


def flat(loaded: dict) -> dict:
    """Task -> examples of all splits."""
    return {task: examples for tasks in loaded.values() for task, examples in tasks.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two authors as folders, one as a file, and things to leave alone."""
    for author, works in {"ann": ["one", "two"], "bob": ["three"]}.items():
        (tmp_path / author / "deep").mkdir(parents=True)
        for number, work in enumerate(works):
            (tmp_path / author / f"{number}.txt").write_text(f"{work} é\r\n\r\nsecond\n", encoding="utf-8")
    (tmp_path / "ann" / "deep" / "9.md").write_text("deep")
    (tmp_path / "cid.txt").write_text("\ufefffour", encoding="utf-8")
    (tmp_path / ".hidden").write_text("no")
    (tmp_path / "ann" / ".hidden").write_text("no")
    return tmp_path


def test_a_folder_of_folders_and_files(folder: Path) -> None:
    loaded = load_texts(folder)
    assert tuple(loaded) == SPLITS
    assert {split: sorted(tasks) for split, tasks in loaded.items()} == split_tasks(["ann", "bob", "cid"])
    assert flat(loaded)["ann"] == ["one é\n\nsecond", "two é\n\nsecond", "deep"]
    assert flat(loaded)["cid"] == ["four"]
    assert flat(load_texts(str(folder), paragraphs=True))["bob"] == ["three é", "second"]


def test_a_list_of_files(folder: Path) -> None:
    paths = [folder / "ann" / "0.txt", folder / "bob" / "0.txt", str(folder / "cid.txt")]
    assert load_texts(paths, split="meta_train") == {
        "meta_train": {"0": ["one é\n\nsecond", "three é\n\nsecond"], "cid": ["four"]}
    }


def test_one_file_needs_a_split(folder: Path) -> None:
    assert load_texts(folder / "cid.txt", split="meta_test") == {"meta_test": {"cid": ["four"]}}
    with pytest.raises(ValueError, match=r"cid\.txt has 1 task.*three disjoint splits need 3.*split='meta_test'"):
        load_texts(folder / "cid.txt")
    with pytest.raises(ValueError, match="Unknown split 'test'. Did you mean 'meta_test'"):
        load_texts(folder, split="test")


def test_bad_files_in_a_folder_are_counted(folder: Path) -> None:
    (folder / "ann" / "bad.txt").write_bytes(b"fine\ncaf\xe9\n")
    (folder / "bob" / "empty.txt").write_text(" \n")
    (folder / "bob" / "picture.png").write_bytes(b"PNG\0\0")
    with pytest.warns(UserWarning, match=r"Skipped 3 of 8 files\. The first: .*bad\.txt, line 2: expected UTF-8.*0xe9"):
        loaded = load_texts(folder)
    assert len(flat(loaded)["ann"]) == 3 and len(flat(loaded)["bob"]) == 1


def test_a_bad_file_that_was_named_is_an_error(folder: Path) -> None:
    bad = folder / "bad.txt"
    bad.write_bytes(b"fine\ncaf\xe9\n")
    with pytest.raises(ValueError, match=r"bad\.txt, line 2: expected UTF-8"):
        load_texts([bad, folder / "cid.txt"], split="meta_train")
    bad.write_text("")
    with pytest.raises(ValueError, match=r"bad\.txt, line 1: the file is empty"):
        load_texts(bad, split="meta_train")
    bad.write_bytes(b"one\ntwo\0\n")
    with pytest.raises(ValueError, match=r"bad\.txt, line 2: expected text, received a zero byte"):
        load_texts(bad, split="meta_train")


def test_a_folder_without_a_good_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="has 0 task"):
        load_texts(tmp_path)
    (tmp_path / "a" / "b.txt").write_text("")
    with pytest.raises(ValueError, match=r"None of 1 files could be read\. The first: .*b\.txt, line 1"):
        load_texts(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="cannot be the name of a TFDS data set"):
        load_texts(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no TFDS data set has this name. Did you mean 'author_texts'"):
        load_texts("author_text", data_dir=tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_texts([tmp_path / "nowhere"])


def test_tables_of_texts_and_of_pairs(tmp_path: Path) -> None:
    table = tmp_path / "texts.csv"
    table.write_text('author,words\nann,one\nann,"two\nlines"\nbob,three\ncid,four\n')
    assert flat(load_texts(table, task="author", text="words")) == {
        "ann": ["one", "two\nlines"],
        "bob": ["three"],
        "cid": ["four"],
    }
    pairs = tmp_path / "pairs.jsonl"
    rows = [{"task": task, "source": task, "target": task.upper(), "text": "x"} for task in ("ann", "bob", "cid")]
    pairs.write_text("\n".join(map(json.dumps, rows)))
    assert flat(load_texts(pairs)) == {"ann": [("ann", "ANN")], "bob": [("bob", "BOB")], "cid": [("cid", "CID")]}
    assert flat(load_texts(pairs, source="none"))["ann"] == ["x"]


def test_bad_rows_are_counted_and_named_by_line(tmp_path: Path) -> None:
    table = tmp_path / "texts.jsonl"
    good = [json.dumps({"task": task, "text": "words"}) for task in ("ann", "bob", "cid")]
    table.write_text(
        "\n".join([good[0], "{not json", good[1], '{"task": "ann"}', good[2], '{"task": "ann", "text": ""}'])
    )
    with pytest.warns(UserWarning, match=r"Skipped 3 of 6 items\. The first: .*texts\.jsonl, line 2: not JSON"):
        loaded = load_texts(table)
    assert flat(loaded) == {"ann": ["words"], "bob": ["words"], "cid": ["words"]}


def test_tables_without_the_columns_or_with_two_kinds(tmp_path: Path) -> None:
    table = tmp_path / "texts.csv"
    table.write_text("who,text\nann,one\n")
    with pytest.raises(ValueError, match=r"texts\.csv, line 1: no column 'task'\. Expected \['task'\], received"):
        load_texts(table)
    table.write_text("task,words\nann,one\n")
    with pytest.raises(ValueError, match=r"texts\.csv.* line 2: expected 'text', or 'source' and 'target'"):
        load_texts(table)
    table.write_text("")
    with pytest.raises(ValueError, match=r"texts\.csv.*line 1: the file is empty"):
        load_texts(table)
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text('{"task": "a", "text": "x"}\n{"task": "a", "source": "x", "target": "y"}\n')
    with pytest.raises(ValueError, match=r"Some rows of .*mixed\.jsonl are texts and others are pairs"):
        load_texts(mixed)


def test_small_tasks_are_left_out_and_told(tmp_path: Path) -> None:
    table = tmp_path / "texts.csv"
    table.write_text("task,text\n" + "".join(f"{task},word\n" for task in "aabbccd"))
    with pytest.warns(
        UserWarning, match=r"Left out 1 of 4 tasks of .*texts\.csv with fewer than min_examples=2.*: d\."
    ):
        assert sorted(flat(load_texts(table, min_examples=2))) == ["a", "b", "c"]
    with pytest.raises(ValueError, match=r"texts\.csv has 0 task\(s\) with at least min_examples=3.*'a': 2"):
        load_texts(table, min_examples=3)


def _mocked(self: tfds.core.DatasetBuilder, *_: object, **__: object) -> tf.data.Dataset:
    """What `ag_news_subset` would give, had it been downloaded; one text is not UTF-8."""
    texts = [f"news {number}".encode() for number in range(8)] + [b"caf\xe9"]
    return tf.data.Dataset.from_tensor_slices(
        {"label": tf.range(9, dtype=tf.int64) % 4, "description": texts, "title": texts}
    )


def test_a_tfds_data_set_with_labels_as_tasks(tmp_path: Path) -> None:
    with tfds.testing.mock_data(as_dataset_fn=_mocked), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = load_texts("ag_news_subset", task="label", text="description", data_dir=tmp_path)
    assert [str(warning.message) for warning in caught if "Skipped 1 of 9 examples" in str(warning.message)]
    assert flat(loaded)["Sports"] == ["news 1", "news 5"]
    assert sorted(flat(loaded)) == ["Business", "Sci/Tech", "Sports", "World"]


def test_a_tfds_data_set_without_the_columns(tmp_path: Path) -> None:
    with (
        tfds.testing.mock_data(num_examples=3),
        pytest.raises(ValueError, match=r"expected 'text'.*Its features are \['description', 'label', 'title'\]"),
    ):
        load_texts("ag_news_subset", task="label", data_dir=tmp_path)
