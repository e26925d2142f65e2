"""The TFDS builders over the bundled texts give what the plain functions give, with every way to the network closed."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.utils import gcs_utils

from metagpt_tf.datasets import SPLITS, load_authors, load_languages, load_parallel, load_texts
from metagpt_tf.datasets.loading import _progress_bars
from metagpt_tf.datasets.text_builders import AuthorTexts, LanguageTexts, ParallelTexts, pairs_from


@pytest.fixture(scope="module", autouse=True)
def _no_network() -> Iterator[None]:
    def closed(*arguments: object, **_: object) -> None:
        raise AssertionError(f"The builder opened a connection: {arguments}")

    with pytest.MonkeyPatch.context() as patch, _progress_bars(False):
        patch.setattr(socket.socket, "connect", closed)
        patch.setattr(socket, "getaddrinfo", closed)
        # TFDS reaches its storage through TensorFlow's C++ file system, which no Python socket sees.
        patch.setattr(gcs_utils, "gcs_dataset_info_files", closed)
        patch.setattr(gcs_utils, "is_dataset_on_gcs", closed)
        yield


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tfds")


def columns(builder: tfds.core.DatasetBuilder, split: str, *names: str) -> list[tuple]:
    """Rows of some features of a split, texts decoded."""
    table = builder.as_dataset(split=split, batch_size=-1)
    plain = [[v.decode() if isinstance(v, bytes) else int(v) for v in table[name].numpy()] for name in names]
    return list(zip(*plain, strict=True))


def test_authors(data_dir: Path) -> None:
    builder = AuthorTexts(data_dir=data_dir)
    builder.download_and_prepare()
    expected = load_authors()
    for split in SPLITS:
        rows = columns(builder, split, "task", "text", "year")
        assert [row[:2] for row in rows] == [(task, text) for task, found in expected[split].items() for text in found]
    assert all(1790 <= year <= 2021 for _, _, year in rows)
    assert "CC0-1.0" in builder.info.redistribution_info.license and builder.info.homepage.startswith("https://")


def test_languages(data_dir: Path) -> None:
    builder = LanguageTexts(data_dir=data_dir)
    builder.download_and_prepare()
    expected = load_languages()["meta_test"]
    rows = columns(builder, "meta_test", "task", "text", "name", "part")
    assert [row[:2] for row in rows] == [(task, text) for task, found in expected.items() for text in found]
    assert ("tur", "Turkish", 30) in {(task, name, part) for task, _, name, part in rows}
    assert builder.builder_config.name == "languages" and set(builder.info.splits) == set(SPLITS)
    assert "MIT" in builder.info.redistribution_info.license and "whole languages" in builder.info.description


def test_pairs_from_another_language_than_english(data_dir: Path) -> None:
    builder = ParallelTexts(data_dir=data_dir, config="udhr_fra")
    builder.download_and_prepare()
    expected = load_parallel(source_language="fra")["meta_validation"]
    rows = columns(builder, "meta_validation", "task", "source", "target")
    assert rows == [(task, *pair) for task, pairs in expected.items() for pair in pairs]
    assert builder.info.supervised_keys == ("source", "target")


def test_an_unknown_source_is_refused_before_anything_is_written(data_dir: Path) -> None:
    builder = ParallelTexts(data_dir=data_dir, config=pairs_from("deu_1997"))
    with pytest.raises(
        ValueError, match="Unknown text 'deu_1997' of the declaration. Did you mean 'deu_1901' or 'deu_1996'"
    ):
        builder.download_and_prepare()
    assert not builder.data_path.exists()


def test_a_builder_by_name_keeps_its_splits(data_dir: Path) -> None:
    assert load_texts("author_texts", data_dir=data_dir) == load_authors()
    assert load_texts("parallel_texts/udhr_fra", data_dir=data_dir) == load_parallel(source_language="fra")


def test_all_tasks_of_a_builder_in_one_split(data_dir: Path) -> None:
    with pytest.warns(UserWarning, match="Left out 41 of 43 tasks of the TFDS data set 'author_texts'"):
        loaded = load_texts("author_texts", split="meta_test", min_examples=9, data_dir=data_dir)
    assert list(loaded["meta_test"]) == ["Dwight D Eisenhower", "Franklin D Roosevelt"]
