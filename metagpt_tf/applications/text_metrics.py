"""Figures for text: how well it is predicted, how varied it is, how near to what was expected.

Pure functions of texts and numbers. None of them runs a model.
"""

import collections
from collections.abc import Collection, Hashable, Sequence
from typing import Any

import numpy as np

from metagpt_tf.tokenizers import Tokenizer


def bytes_per_token(tokenizer: Tokenizer, ids: Any, count_end: bool = True) -> float:
    """Mean number of bytes that a token stands for, `bytes / tokens`, padding left out.

    Args:
        tokenizer: what made the ids.
        ids: `(N, T)` integers as `tokenizer.pack` makes them: each row its tokens, EOS, PAD.
        count_end: bool, whether an end mark counts as one byte (default), as it does where bytes are the tokens. With
            False it is a token of no bytes.

    Raises:
        ValueError: ids without two axes, or without any token.

    Example:

    >>> from metagpt_tf.tokenizers import BPETokenizer
    >>> tokenizer = BPETokenizer([[100, 101]])  # a + b
    >>> bytes_per_token(tokenizer, tokenizer.pack(["abab"], 8), count_end=False)  # ab, ab, EOS
    1.3333333333333333
    """
    ids = np.asarray(ids)
    if ids.ndim != 2:
        raise ValueError(f"Expected ids of shape (N, T), received {ids.shape}. Reshape them to (-1, T).")
    tokens = int(np.sum(ids != tokenizer.pad_id))
    if not tokens:
        raise ValueError(f"The ids of shape {ids.shape} hold no token, only padding.")
    sizes = np.array([len(piece) for piece in tokenizer.pieces])
    sizes[tokenizer.eos_id] = int(count_end)
    return float(sizes[ids].sum() / tokens)


def bits_per_byte(
    bits_per_token: float, tokenizer: Tokenizer, texts: Sequence[str | bytes], length: int, count_end: bool = True
) -> float:
    """Cross-entropy in bits per byte of text: comparable between tokenizers, which bits per token is not.

        bits per byte = bits per token · tokens / bytes

    Args:
        bits_per_token: mean cross-entropy of a token in bits, end marks included (`BitsPerToken`).
        tokenizer: what made the tokens.
        texts: the texts that were scored.
        length: int, tokens to which they were packed; bytes that were cut off do not count.
        count_end: bool, whether an end mark counts as one byte; default True, so that with bytes as tokens the figure
            is `bits_per_token` itself.

    Raises:
        ValueError: no texts, or a length below 1.

    Example:

    >>> from metagpt_tf.tokenizers import BPETokenizer
    >>> bits_per_byte(5.0, BPETokenizer([[100, 101]]), ["abab"], length=8)  # 3 tokens of 5 bits, 5 bytes
    3.0
    """
    return bits_per_token / bytes_per_token(tokenizer, tokenizer.pack(texts, length), count_end)


def perplexity(bits_per_token: float) -> float:
    """`2 ** bits_per_token`: among how many equally likely tokens the model hesitates.

    Depends on the tokenizer; compare models with different ones by `bits_per_byte`.

    Example:

    >>> perplexity(3.0)
    8.0
    """
    return float(2.0**bits_per_token)


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Share of different n-grams among all n-grams of words: 1 for no repetition, near 0 for a loop.

    Words are parted by white space; n-grams do not reach from one text into the next.

    Args:
        texts: generated texts.
        n: int, length of the n-grams, at least 1.

    Returns:
        In [0, 1]; 0 if no text has n words.

    Raises:
        TypeError: one string.
        ValueError: `n` below 1.

    Example:

    >>> distinct_n(["a b a b"], 2)  # ab, ba, ab
    0.6666666666666666

    Reference: Li et al., 2016, "A Diversity-Promoting Objective Function for Neural Conversation Models".
    """
    _check_several(texts=texts)
    if n < 1:
        raise ValueError(f"n must be at least 1, received {n}.")
    split = [text.split() for text in texts]
    grams = [tuple(words[i : i + n]) for words in split for i in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def exact_match(predicted: Sequence[str], expected: Sequence[str]) -> float:
    """Share of texts that are what was expected, white space at both ends aside.

    Raises:
        TypeError: one string.
        ValueError: different numbers of texts, or none.

    Example:

    >>> exact_match(["yes ", "no"], ["yes", "maybe"])
    0.5
    """
    check_pairs(predicted, expected)
    return float(np.mean([p.strip() == e.strip() for p, e in zip(predicted, expected, strict=True)]))


def accuracy(predicted: Sequence[Any], expected: Sequence[Any]) -> float:
    """Share of labels that are right.

    Args:
        predicted: N labels: strings, integers, a `(N,)` array.
        expected: N labels.

    Raises:
        TypeError: one string.
        ValueError: different numbers of labels, or none.

    Example:

    >>> accuracy(["a", "b", "a"], ["a", "b", "b"])
    0.6666666666666666
    """
    check_pairs(predicted, expected)
    return float(np.mean([bool(p == e) for p, e in zip(predicted, expected, strict=True)]))


def entity_f1(
    predicted: Sequence[Collection[tuple[Hashable, Hashable]]],
    expected: Sequence[Collection[tuple[Hashable, Hashable]]],
) -> dict[str, float]:
    """Micro-averaged precision, recall and F1 of named entities.

    An entity counts if its type and its span are right: `F1 = 2 TP / (2 TP + FP + FN)` over all texts. Each text's
    entities are a set, so one that is named twice counts once.

    Args:
        predicted: for each of N texts, pairs `(type, span)`; a span is a text or `(start, end)`.
        expected: for each of N texts, the right pairs.

    Returns:
        `precision`, `recall` and `f1` in [0, 1]; all 1 if nothing was to be found and nothing was named.

    Raises:
        ValueError: different numbers of texts, or none.

    Example:

    >>> entity_f1([{("person", "Ada"), ("place", "Turin")}], [{("person", "Ada")}])["f1"]
    0.6666666666666666

    Reference: Tjong Kim Sang & De Meulder, 2003, "Introduction to the CoNLL-2003 Shared Task".
    """
    check_pairs(predicted, expected)
    counts: collections.Counter[str] = collections.Counter()
    for named, right in zip(map(set, predicted), map(set, expected), strict=True):
        counts.update(right=len(named & right), named=len(named), given=len(right))
    if not counts["named"] and not counts["given"]:
        return {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    return {
        "precision": counts["right"] / max(1, counts["named"]),
        "recall": counts["right"] / max(1, counts["given"]),
        "f1": 2 * counts["right"] / (counts["named"] + counts["given"]),
    }


def _check_several(**named: Any) -> None:
    for name, texts in named.items():
        if isinstance(texts, str | bytes):
            raise TypeError(f"{name} must be several texts, received one {type(texts).__name__}. Wrap it: [text].")


def check_pairs(predicted: Sequence[Any], expected: Sequence[Any]) -> None:
    """Raise unless there are as many expected as predicted items, at least one, and neither is a single text."""
    _check_several(predicted=predicted, expected=expected)
    if len(predicted) != len(expected) or not len(predicted):
        raise ValueError(
            f"Expected as many predicted as expected items, at least one; received {len(predicted)} and "
            f"{len(expected)}."
        )
