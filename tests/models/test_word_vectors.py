"""Word vectors are read as they were written, or refused by line; they become rows that keep their angles."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from metagpt_tf.models import MetaGPT, embedding_from_vectors, load_word_vectors, set_embedding
from metagpt_tf.tokenizers import BPETokenizer, ByteTokenizer

GLOVE = "the 0.5 -1\nat name@site 1e-1 2\nété 3 4\nthe 9 9\n"
# the, ␣the, he: three words among the pieces, the bytes aside.
TOKENIZER = BPETokenizer([[119, 107], [259, 104], [35, 260], [107, 104]])
THE, SPACE_THE, HE = 260, 261, 262


def written(folder: Path, content: str | bytes, name: str = "v.txt") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def check_glove(vectors: dict[str, np.ndarray]) -> None:
    assert list(vectors) == ["the", "at name@site", "été"]
    assert all(vector.dtype == np.float32 for vector in vectors.values())
    np.testing.assert_allclose(np.stack(list(vectors.values())), [[0.5, -1], [0.1, 2], [3, 4]])


@pytest.mark.parametrize("header", ["", "4 2\n"], ids=["glove", "word2vec"])
@pytest.mark.parametrize("zipped", [False, True])
def test_both_formats_plain_and_zipped(tmp_path: Path, header: str, zipped: bool) -> None:
    content = (header + GLOVE.replace("\n", " \n" if header else "\n")).encode()
    check_glove(load_word_vectors(written(tmp_path, gzip.compress(content) if zipped else content)))


def test_limit(tmp_path: Path) -> None:
    path = written(tmp_path, "9 2\n" + GLOVE)
    assert list(load_word_vectors(path, limit=1)) == ["the"]
    with pytest.raises(ValueError, match="at least 1 or None, received 0"):
        load_word_vectors(path, limit=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"v\.txt is empty"),
        ("a 1 2\nb 1\n", r"v\.txt, line 2: expected a word and 2 numbers parted by blanks, received 'b 1'"),
        ("a 1 2\nb 1 x\n", r"v\.txt, line 2: expected 2 numbers behind 'b': could not convert"),
        ("a 1 nan\n", r"line 1: the vector of 'a' has values that are not finite"),
        ("word\n", "line 1: expected a word and 1 numbers"),
        ("3 2\na 1 2\n", "ends 2 words before the number in its first line"),
        (b"2 2\na \xff\xfe\x00\x01", r"v\.txt, line 2 is not UTF-8"),
        # mtime=0: the time of day in a parameter would give every worker another name for this test.
        (gzip.compress(GLOVE.encode() * 99, mtime=0)[:-12], r"v\.txt is damaged after line \d+"),
    ],
)
def test_bad_files_are_refused_by_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_word_vectors(written(tmp_path, content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "none"))):
        load_word_vectors(tmp_path / "none")


def test_a_piece_is_looked_up_as_it_is_then_without_its_blank_then_in_lower_case() -> None:
    vectors = {"the": np.array([1.0, 0]), "he": np.array([0, 1.0]), "a": np.array([1.0, 1]), "B": np.array([1.0, -1])}
    matrix, found = embedding_from_vectors(TOKENIZER, vectors, dim=2)
    a, upper_a, upper_b, lower_b = (TOKENIZER.encode(letter)[0] for letter in "aABb")
    assert matrix.shape == (263, 2) and matrix.dtype == np.float32
    assert found == 6  # the, ␣the, he, a, A, B; b has no vector of its own
    np.testing.assert_array_equal(matrix[THE], matrix[SPACE_THE])
    np.testing.assert_array_equal(matrix[a], matrix[upper_a])
    directions = matrix[[THE, HE, a, upper_b]] / np.linalg.norm(matrix[THE])
    np.testing.assert_allclose(directions, [[1, 0], [0, 1], [1, 1], [1, -1]], atol=1e-6)
    assert np.linalg.norm(matrix[lower_b] / np.linalg.norm(matrix[THE]) - [1, -1]) > 1e-3


@pytest.mark.parametrize(("width", "dim"), [(5, 5), (3, 8), (30, 8)])
def test_angles_are_kept(width: int, dim: int) -> None:
    rng = np.random.default_rng(1)
    # No more than eight directions in the vectors, so that eight can hold them all.
    values = rng.normal(size=(26, min(width, dim))) @ rng.normal(size=(min(width, dim), width))
    letters = [chr(ord("a") + i) for i in range(26)]
    matrix, found = embedding_from_vectors(ByteTokenizer(), dict(zip(letters, values, strict=True)), dim)
    rows = matrix[ByteTokenizer().encode("".join(letters))].astype("float64")
    assert found == 52
    products = rows @ rows.T
    np.testing.assert_allclose(products / products[0, 0], values @ values.T / (values[0] @ values[0]), atol=1e-4)
    np.testing.assert_allclose(np.mean(rows**2), 1 / dim, rtol=1e-4)
    others = np.delete(matrix, ByteTokenizer().encode("".join(letters) + "".join(letters).upper()), axis=0)
    np.testing.assert_allclose(np.mean(others**2), 1 / dim, rtol=0.15)


def test_the_seed_makes_it_repeatable() -> None:
    vectors = {"a": np.ones(3), "b": np.arange(3.0)}
    first, again, other = (embedding_from_vectors(ByteTokenizer(), vectors, 8, seed).matrix for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_set_embedding_changes_the_table_and_only_that() -> None:
    model = MetaGPT(TOKENIZER, source_length=8, target_length=8, dim=8, num_heads=2, num_layers=1)
    before = {w.path: w.numpy() for w in model.weights}
    matrix = embedding_from_vectors(TOKENIZER, {"the": np.ones(8)}, dim=8).matrix
    set_embedding(model, matrix)
    changed = [w.path for w in model.weights if not np.array_equal(before[w.path], w.numpy())]
    assert changed == [model.embedding.table.path]
    np.testing.assert_array_equal(model.embedding.table, matrix)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"None of the 259 pieces of ByteTokenizer is among the 1 words"):
        embedding_from_vectors(ByteTokenizer(), {"the": np.ones(2)}, 4)
    with pytest.raises(ValueError, match=r"one shape \(W,\), received the shapes \[\(2,\), \(3,\)\]"):
        embedding_from_vectors(ByteTokenizer(), {"a": np.ones(2), "b": np.ones(3)}, 4)
    with pytest.raises(ValueError, match="dim must be at least 1"):
        embedding_from_vectors(ByteTokenizer(), {"a": np.ones(2)}, 0)
    with pytest.raises(ValueError, match="all zero"):
        embedding_from_vectors(ByteTokenizer(), {"a": np.zeros(2)}, 2)
    model = MetaGPT(source_length=8, target_length=8, dim=8, num_heads=2, num_layers=1)
    with pytest.raises(ValueError, match=r"shape \(259, 8\) \(vocabulary, dim\), received \(259, 4\)"):
        set_embedding(model, np.zeros((259, 4)))
    with pytest.raises(ValueError, match="not finite"):
        set_embedding(model, np.full((259, 8), np.nan))
