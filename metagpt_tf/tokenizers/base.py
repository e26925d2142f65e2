"""What every tokenizer is: a table of byte pieces, with the same result in Python and inside a TensorFlow graph.

Axes: B batch, N texts, T tokens, V vocabulary.
"""

import abc
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import tensorflow as tf

from metagpt_tf.registry import Registry

registry: "Registry[Tokenizer]" = Registry("tokenizer")

PAD, BOS, EOS = 0, 1, 2
SPECIALS = 3


class Tokenizer(abc.ABC):
    """Text to ids and back without loss: every id stands for a fixed piece of bytes, the specials for none.

    Subclass it to add a tokenizer: give `pieces`, `encode` and `encode_tensor`, and register the class. Decoding joins

        decode_bytes(ids) = pieces[ids[0]] + pieces[ids[1]] + ...        up to the first EOS

    Ids 0, 1 and 2 are PAD, BOS and EOS in every tokenizer, so that a model need not know which one it was given.
    """

    pad_id: int = PAD
    bos_id: int = BOS
    eos_id: int = EOS

    @property
    @abc.abstractmethod
    def pieces(self) -> Sequence[bytes]:
        """The bytes of each id, `V` entries; the first three are empty."""

    @property
    def vocabulary_size(self) -> int:
        """The number V of ids, the specials included."""
        return len(self.pieces)

    @abc.abstractmethod
    def encode(self, text: str | bytes) -> list[int]:
        """The ids of a text (UTF-8 if it is a string), without specials.

        Raises:
            TypeError: neither `str` nor `bytes`.
        """

    @abc.abstractmethod
    def encode_tensor(self, text: tf.Tensor, length: int) -> tf.Tensor:
        """In a graph: the ids of `(B,)` strings as `(B, length)` int32, equal to `pack(texts, length)`."""

    def decode_bytes(self, ids: Any) -> bytes:
        """The bytes that ids stand for, up to the first EOS; other specials add nothing.

        Args:
            ids: `(T,)` integers, a list, array or tensor.

        Raises:
            ValueError: not one axis of integers, or an id outside `[0, V)`.
        """
        checked = self._checked(ids)
        ends = np.flatnonzero(checked == self.eos_id)
        kept = checked[: ends[0]] if ends.size else checked
        pieces = self.pieces
        return b"".join([pieces[index] for index in kept.tolist()])

    def decode(self, ids: Any) -> str:
        """The text that ids stand for; bytes that are not UTF-8 become U+FFFD. See `decode_bytes`."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def pack(self, texts: Sequence[str | bytes], length: int, truncate: bool = True) -> np.ndarray:
        """Encode texts into one array, each row its ids, then EOS, then PAD.

        Args:
            texts: N texts.
            length: tokens in a row, EOS included; at least 1.
            truncate: whether a text of more than `length - 1` tokens is cut; if not, it is an error.

        Returns:
            `(N, length)` int32.

        Raises:
            ValueError: `length` below 1, or a text is too long and `truncate` is False.
            TypeError: `texts` is a single text.

        Example:

        >>> from metagpt_tf.tokenizers import ByteTokenizer
        >>> ByteTokenizer().pack(["ab", "abcdef"], length=4).tolist()
        [[100, 101, 2, 0], [100, 101, 102, 2]]
        """
        check_length(length)
        if isinstance(texts, str | bytes):
            raise TypeError(f"pack() takes a sequence of texts, received one {type(texts).__name__}. Wrap it: [text].")
        rows = np.full((len(texts), length), self.pad_id, np.int32)
        for index, (row, text) in enumerate(zip(rows, texts, strict=True)):
            ids = self.encode(text)
            if len(ids) >= length and not truncate:
                raise ValueError(
                    f"Text {index} has {len(ids)} tokens and needs {len(ids) + 1} with EOS, but length={length}. "
                    f"Use length={len(ids) + 1} or more, shorten the text, or pass truncate=True."
                )
            kept = ids[: length - 1]
            row[: len(kept)] = kept
            row[len(kept)] = self.eos_id
        return rows

    def decode_tensor(self, ids: tf.Tensor) -> tf.Tensor:
        """In a graph: the bytes of `(B, T)` ids as `(B,)` strings, equal to `decode_bytes` of each row.

        Raises:
            ValueError: `ids` has not two axes.
            tf.errors.InvalidArgumentError: an id outside `[0, V)`, when the graph runs.
        """
        ids = tf.cast(tf.convert_to_tensor(ids), tf.int32)
        if ids.shape.rank != 2:
            raise ValueError(f"decode_tensor() takes ids of shape (B, T), received {ids.shape}. Add or drop an axis.")
        size = self.vocabulary_size
        in_range = tf.debugging.Assert(
            tf.reduce_all((ids >= 0) & (ids < size)), [f"Token ids must be in [0, {size}), received:", ids]
        )
        with tf.control_dependencies([] if in_range is None else [in_range]):
            ended = tf.cumsum(tf.cast(tf.equal(ids, self.eos_id), tf.int32), axis=1) > 0
        pieces = tf.gather(tf.constant(list(self.pieces), tf.string), tf.where(ended, self.pad_id, ids))
        return tf.strings.reduce_join(pieces, axis=1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make a tokenizer from `get_config()`."""
        return cls(**config)

    def _checked(self, ids: Any) -> np.ndarray:
        array = np.asarray(ids)
        if array.ndim != 1 or not (array.size == 0 or np.issubdtype(array.dtype, np.integer)):
            raise ValueError(
                f"Expected one axis of integer ids, received shape {array.shape} of {array.dtype}. "
                f"Decode a batch row by row, or with decode_tensor()."
            )
        outside = array[(array < 0) | (array >= self.vocabulary_size)]
        if outside.size:
            raise ValueError(
                f"Token id {int(outside[0])} is outside [0, {self.vocabulary_size}), the vocabulary of "
                f"{type(self).__name__}. Were these ids made by another tokenizer?"
            )
        return array.astype(np.int64)


def as_bytes(text: str | bytes) -> bytes:
    """The UTF-8 bytes of a string; bytes as they are.

    Raises:
        TypeError: neither `str` nor `bytes`.
    """
    if isinstance(text, str):
        return text.encode("utf-8")
    if isinstance(text, bytes):
        return text
    raise TypeError(f"Expected a text of type str or bytes, received {text!r} of type {type(text).__name__}.")


def row_of_texts(text: tf.Tensor, length: int) -> tf.Tensor:
    """`(B,)` strings to be encoded in a graph, checked.

    Raises:
        ValueError: `length` below 1, or `text` has not one axis.
    """
    check_length(length)
    text = tf.convert_to_tensor(text, tf.string)
    if text.shape.rank != 1:
        raise ValueError(f"encode_tensor() takes strings of shape (B,), received {text.shape}. Reshape to (B,).")
    return text


def check_length(length: int) -> None:
    """Raise unless a packed row of this length has room for its EOS."""
    if length < 1:
        raise ValueError(f"length must be at least 1, the room for EOS; received {length}.")
