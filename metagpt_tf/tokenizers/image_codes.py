"""Codes of an image as characters, so that a model of texts reads and writes images.

A code is a character of Unicode's private use area, an image a word of them. `MetaGPT`, `TextTasks`, `generate` and the
exported files take such texts as they take any other: nothing about images is a second architecture.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from metagpt_tf.tokenizers.base import SPECIALS
from metagpt_tf.tokenizers.bpe import FIRST_MERGED, BPETokenizer

FIRST_CHARACTER = 0xE000
MOST_CODES = 0x1000  # U+E000 to U+EFFF begin with one byte, 0xEE
LEAD, TAIL = 0xEE, 0x80  # of U+E000 in UTF-8: EE 80 80
TAILS = 64


def image_tokenizer(num_codes: int) -> BPETokenizer:
    """A tokenizer of texts in which images occur: bytes, and one token for each code.

    The three bytes of a code's character are joined by two merges of BPE; other bytes are tokens of their own. A code
    has the id `first_code_id(num_codes) + code`.

    Args:
        num_codes: N, as of the `ImageAutoencoder`; 1 to 4096.

    Raises:
        ValueError: another number.

    Example:

    >>> tokenizer = image_tokenizer(512)
    >>> tokenizer.encode(codes_to_text([[0, 511]])[0] + "a:")
    [267, 778, 100, 61]
    >>> text_to_codes(tokenizer.decode([267, 778]), (1, 2)).tolist()
    [[0, 511]]
    """
    if not 1 <= num_codes <= MOST_CODES:
        raise ValueError(f"num_codes must be from 1 to {MOST_CODES}, received {num_codes!r}.")
    byte = lambda value: value + SPECIALS  # noqa: E731
    heads = -(-num_codes // TAILS)
    merges = [[byte(LEAD), byte(TAIL + head)] for head in range(heads)]
    merges += [[FIRST_MERGED + code // TAILS, byte(TAIL + code % TAILS)] for code in range(num_codes)]
    return BPETokenizer(merges)


def first_code_id(num_codes: int) -> int:
    """The id of code 0."""
    return FIRST_MERGED + -(-num_codes // TAILS)


def is_code(character: str) -> bool:
    """Whether a character stands for a code."""
    return FIRST_CHARACTER <= ord(character) < FIRST_CHARACTER + MOST_CODES


def codes_to_text(codes: Any) -> list[str]:
    """Codes `(N, ...)` of N images as N texts, row by row.

    Raises:
        ValueError: no axis of images, or a code outside `[0, 4096)`.
    """
    array = np.asarray(codes)
    if array.ndim < 2 or (array.size and not (array.min() >= 0 and array.max() < MOST_CODES)):
        raise ValueError(
            f"Expected codes (N, rows, columns) from 0 to {MOST_CODES - 1}, received shape {array.shape}"
            + (f", {array.min()} to {array.max()}." if array.size else ".")
        )
    return ["".join(chr(FIRST_CHARACTER + int(code)) for code in image) for image in array.reshape(len(array), -1)]


def text_to_codes(text: str, shape: Sequence[int], num_codes: int = MOST_CODES) -> np.ndarray:
    """The codes of the one image in a text, in `shape`; characters that are no codes are passed over.

    Raises:
        ValueError: fewer or more codes than the shape has places, or a code that does not exist.
    """
    found = [ord(character) - FIRST_CHARACTER for character in text if is_code(character)]
    if len(found) != int(np.prod(shape)):
        raise ValueError(f"Expected an image of {tuple(shape)} codes, received a text with {len(found)} codes.")
    if found and max(found) >= num_codes:
        raise ValueError(f"Codes are from 0 to {num_codes - 1}, the text has {max(found)}.")
    return np.array(found, "int32").reshape(shape)
