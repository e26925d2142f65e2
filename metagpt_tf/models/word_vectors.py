"""Pretrained word vectors, read from text files and made into the first embedding of a tokenizer's pieces.

Axes: N words, W width of the vectors, V vocabulary, D width of the model.
"""

import gzip
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metagpt_tf.tokenizers import Tokenizer

GZIP = b"\x1f\x8b"


def load_word_vectors(path: str | os.PathLike, limit: int | None = None) -> dict[str, np.ndarray]:
    """Read word vectors in the text format of GloVe or word2vec, plain or gzipped.

    A line is a word and its numbers, parted by single blanks. word2vec and fastText write a first line `N W`; GloVe has
    none. The binary format of word2vec is not read.

    Args:
        path: the file; gzip is recognised by its first bytes.
        limit: int, read only so many words (the files are sorted by frequency); `None` (default) for all.

    Returns:
        Word to `(W,)` float32, in the file's order; of a word that comes twice, the first, more frequent one.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an empty file, one that is not UTF-8, a line with another number of values or something that is no
            finite number, fewer words than the first line says. Names file and line.

    Example:

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors.txt"
    >>> path.write_text("cat 1 0.5\\ndog 0 2\\n")
    18
    >>> load_word_vectors(path)["dog"].tolist()
    [0.0, 2.0]

    Reference: Pennington et al., 2014, "GloVe"; Mikolov et al., 2013, "Efficient Estimation of Word Representations in
    Vector Space".
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file of word vectors at {path}.")
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1 or None, received {limit}.")
    lines = _lines(path)
    first = next(lines, None)
    if first is None:
        raise ValueError(f"{path} is empty. Expected lines such as 'cat 0.1 0.2'.")
    promised, width = _header(first[1])
    vectors: dict[str, np.ndarray] = {}
    for number, line in _chained(None if width else first, lines):
        width = width or line.count(" ")
        word, values = _parsed(f"{path}, line {number}", line, width)
        vectors.setdefault(word, values)
        if limit is not None and len(vectors) >= limit:
            return vectors
        promised -= 1
    if promised > 0:
        raise ValueError(f"{path} ends {promised} words before the number in its first line. Is the file whole?")
    return vectors


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        zipped = file.read(2) == GZIP
    number = 0
    with gzip.open(path) if zipped else path.open("rb") as stream:
        try:
            for number, line in enumerate(stream, start=1):
                yield number, line.decode("utf-8").rstrip(" \r\n")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path}, line {number} is not UTF-8 ({error}). Expected the text format; a binary word2vec file can "
                "be written as text by the tool that made it."
            ) from error
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} is damaged after line {number}: {error}. Copy it again.") from error


def _header(line: str) -> tuple[int, int]:
    """Number of words and width from a first line of two integers; zeros if it is a word's line."""
    fields = line.split(" ")
    if len(fields) == 2 and all(field.isdecimal() for field in fields):
        return int(fields[0]), int(fields[1])
    return 0, 0


def _chained(first: tuple[int, str] | None, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    if first is not None:
        yield first
    yield from lines


def _parsed(place: str, line: str, width: int) -> tuple[str, np.ndarray]:
    # From the right: a few words of GloVe hold blanks.
    fields = line.rsplit(" ", width)
    if width < 1 or len(fields) != width + 1:
        raise ValueError(
            f"{place}: expected a word and {max(width, 1)} numbers parted by blanks, received {line[:60]!r}."
        )
    try:
        values = np.array(fields[1:], dtype=np.float32)
    except ValueError as error:
        raise ValueError(f"{place}: expected {width} numbers behind {fields[0]!r}: {error}.") from error
    if not np.isfinite(values).all():
        raise ValueError(f"{place}: the vector of {fields[0]!r} has values that are not finite.")
    return fields[0], values


class InitialEmbedding(NamedTuple):
    """An embedding matrix and what of it came from word vectors.

    Args:
        matrix: `(V, D)` float32.
        found: number of pieces that have a word vector.
    """

    matrix: np.ndarray
    found: int


def embedding_from_vectors(
    tokenizer: Tokenizer, vectors: Mapping[str, np.ndarray], dim: int, seed: int = 0
) -> InitialEmbedding:
    """The first embedding of a tokenizer's pieces, from word vectors where a piece is a word.

    Use it with subwords (`BPETokenizer`): single bytes are hardly words. A piece is looked up as it is, then without
    the blank before it, then that in lower case. The others keep the embedding's own random start, `Normal(0, 1/D)`.
    A found vector x becomes

        E = c P x,   P = identity (W = D), the first D right singular vectors of what was found (W > D), or a random
                     matrix with orthonormal columns (W < D)

    so angles are kept, or with W > D kept as well as D directions can. c gives the found rows the mean square 1/D of
    the others.

    Args:
        tokenizer: whose pieces are to be embedded.
        vectors: word to `(W,)`, as from `load_word_vectors`.
        dim: int, D, the model's width.
        seed: int, of the random rows and the random matrix; default 0.

    Returns:
        `InitialEmbedding(matrix (V, D) float32, found)`.

    Raises:
        ValueError: `dim` below 1, vectors of different widths, no piece with a vector, or only zeros.

    Example:

    >>> from metagpt_tf.tokenizers import ByteTokenizer
    >>> vectors = {"a": np.array([3.0, 4.0]), "I": np.array([4.0, -3.0])}
    >>> embedding = embedding_from_vectors(ByteTokenizer(), vectors, dim=2)
    >>> embedding.found, (10 * embedding.matrix[100]).round().tolist()  # a, I, and A by its lower case; a is 100
    (3, [6.0, 8.0])

    Reference: Qi et al., 2018, "When and Why are Pre-trained Word Embeddings Useful for Neural Machine Translation?"
    """
    if dim < 1:
        raise ValueError(f"dim must be at least 1, received {dim}.")
    rows = {index: vectors[word] for index, piece in enumerate(tokenizer.pieces) if (word := _word(piece, vectors))}
    if not rows:
        raise ValueError(
            f"None of the {tokenizer.vocabulary_size} pieces of {type(tokenizer).__name__} is among the {len(vectors)} "
            "words. Are the vectors of the same language? Train a BPETokenizer for pieces that are words."
        )
    widths = {np.shape(vector) for vector in rows.values()}
    if len(widths) > 1 or len(next(iter(widths))) != 1:
        raise ValueError(f"Expected word vectors of one shape (W,), received the shapes {sorted(widths)}.")
    random = np.random.default_rng(seed)
    matrix = random.normal(scale=dim**-0.5, size=(tokenizer.vocabulary_size, dim)).astype(np.float32)
    matrix[list(rows)] = _projected(np.stack(list(rows.values())).astype(np.float64), dim, random)
    return InitialEmbedding(matrix, len(rows))


def _word(piece: bytes, vectors: Mapping[str, Any]) -> str | None:
    text = piece.decode("utf-8", errors="replace")
    bare = text.removeprefix(" ")
    return next((word for word in (text, bare, bare.lower()) if word and word in vectors), None)


def _projected(found: np.ndarray, dim: int, random: np.random.Generator) -> np.ndarray:
    """`(n, W)` to `(n, D)`, with mean square 1/D."""
    width = found.shape[1]
    if width > dim:
        # Directions of W × W products: cheaper than a decomposition of all rows, and D of them whatever n.
        found = found @ np.linalg.eigh(found.T @ found)[1][:, ::-1][:, :dim]
    elif width < dim:
        found = found @ np.linalg.qr(random.normal(size=(dim, width)))[0].T
    size = np.sqrt(np.mean(found**2))
    if size == 0:
        raise ValueError(f"The {len(found)} word vectors found are all zero.")
    return found * (dim**-0.5 / size)


def set_embedding(model: Any, matrix: Any) -> None:
    """Write a matrix into a model's token embedding; with tied embeddings the output scores use it too.

    Call it before training. The optimizer and every other weight stay as they are.

    Args:
        model: a `MetaGPT`, or another model whose `embedding.table` is a variable `(V, D)`.
        matrix: `(V, D)` float, such as `embedding_from_vectors(…).matrix`.

    Raises:
        ValueError: another shape, or values that are not finite.

    Example:

    >>> from metagpt_tf.models import MetaGPT
    >>> model = MetaGPT(source_length=8, target_length=8, dim=8, num_heads=2, num_layers=1)
    >>> set_embedding(model, np.ones((259, 8), "float32"))
    >>> float(model.embedding.table[5, 3])
    1.0
    """
    table, matrix = model.embedding.table, np.asarray(matrix)
    if matrix.shape != tuple(table.shape):
        raise ValueError(
            f"The embedding of {model.name!r} has shape {tuple(table.shape)} (vocabulary, dim), received "
            f"{matrix.shape}. Make the matrix with model.tokenizer and dim=model.dim."
        )
    if not np.isfinite(matrix).all():
        raise ValueError(f"The matrix {matrix.shape} has values that are not finite.")
    table.assign(matrix)
