"""Bytes into words, the pieces that subwords never cross: one rule as a regular expression and as graph operations.

Axes: B batch, W bytes of the longest text, N bytes of all texts.
"""

import re
from typing import NamedTuple

import numpy as np
import tensorflow as tf

# A multiple of 2, 3 and 4: a long run of characters of one width in UTF-8 is never cut inside one of them.
LONGEST_WORD = 48

SPACE = 0x20
OUTSIDE, BLANK, LETTER, DIGIT, OTHER = range(5)

WORD = re.compile(rb" ?[A-Za-z\x80-\xff]+| ?[0-9]+| ?[^\sA-Za-z0-9\x80-\xff]+|\s+(?!\S)|\s+")


def _classes() -> np.ndarray:
    table = np.full(256, OTHER, np.int32)
    table[np.frombuffer(b" \t\n\r\f\v", np.uint8)] = BLANK
    table[0x30:0x3A] = DIGIT
    table[0x41:0x5B] = table[0x61:0x7B] = table[0x80:] = LETTER
    return table


CLASSES = _classes()


def split_words(text: bytes) -> list[bytes]:
    """Split bytes into words that join to the same bytes.

    A word is a run of letters (every byte from 0x80 on counts as one), of digits or of other signs, with the one space
    before it; or a run of white space, whose last byte stays for the word that follows. No word is longer than
    `LONGEST_WORD` bytes.

    Example:

    >>> split_words(b"def f(x):\\n    return 12")
    [b'def', b' f', b'(', b'x', b'):', b'\\n   ', b' return', b' 12']
    """
    words = WORD.findall(text)
    if max(map(len, words), default=0) <= LONGEST_WORD:
        return words
    return [word[start : start + LONGEST_WORD] for word in words for start in range(0, len(word), LONGEST_WORD)]


class Words(NamedTuple):
    """The bytes of a batch of texts, one after the other, and the words they form.

    Args:
        values: `(N,)` int32, the bytes.
        words: `(N,)` int32, the word that each byte is of, counted from 0 through all texts.
        texts: `(N,)` int32, the text that each byte is of.
    """

    values: tf.Tensor
    words: tf.Tensor
    texts: tf.Tensor


def split_words_tensor(text: tf.Tensor, longest: int) -> Words:
    """In a graph: the words of `(B,)` strings, as `split_words` finds them, of the first `longest` bytes of each."""
    sizes = tf.minimum(tf.strings.length(text), longest)
    width = tf.reduce_max(tf.concat([sizes, [1]], 0))
    data = tf.cast(tf.io.decode_raw(text, tf.uint8, fixed_length=width), tf.int32)
    inside = tf.range(width)[tf.newaxis, :] < sizes[:, tf.newaxis]
    begins = tf.boolean_mask(_begins(data, inside), inside)
    starts = tf.cast(tf.where(begins)[:, 0], tf.int32)
    places = tf.range(tf.size(begins)) - tf.gather(starts, tf.cumsum(tf.cast(begins, tf.int32)) - 1)
    cut = tf.equal(places % LONGEST_WORD, 0)  # also true where a word begins
    texts = tf.repeat(tf.range(tf.size(sizes)), sizes)
    return Words(tf.boolean_mask(data, inside), tf.cumsum(tf.cast(cut, tf.int32)) - 1, texts)


def _begins(data: tf.Tensor, inside: tf.Tensor) -> tf.Tensor:
    """`(B, W)` bool: whether a word begins at a byte, which the bytes before and after it decide."""
    kinds = tf.where(inside, tf.gather(tf.constant(CLASSES), data), OUTSIDE)
    before = tf.pad(kinds[:, :-1], [[0, 0], [1, 0]], constant_values=OUTSIDE)
    after = tf.pad(kinds[:, 1:], [[0, 0], [0, 1]], constant_values=OUTSIDE)
    previous = tf.pad(data[:, :-1], [[0, 0], [1, 0]])
    last_blank = (after != BLANK) & (after != OUTSIDE)
    blank = (before != BLANK) | last_blank
    sign = tf.where(tf.equal(before, BLANK), previous != SPACE, before != kinds)
    return tf.where(tf.equal(kinds, BLANK), blank, sign)
