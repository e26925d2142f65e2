"""Bytes as tokens: no training, no unknown words, any file."""

from collections.abc import Sequence

import tensorflow as tf

from metagpt_tf.tokenizers.base import SPECIALS, Tokenizer, as_bytes, registry, row_of_texts

BYTES = 256
PIECES: tuple[bytes, ...] = (b"",) * SPECIALS + tuple(bytes([value]) for value in range(BYTES))


@registry.register("bytes")
class ByteTokenizer(Tokenizer):
    """Each byte of the UTF-8 text is a token: id = byte + 3, 259 ids in all.

    Use it where any input must survive a round trip (code, several languages, binary) and for comparisons in bits per
    byte. Sequences are three to four times longer than with subwords.

    Example:

    >>> tokenizer = ByteTokenizer()
    >>> tokenizer.encode("hé")
    [107, 198, 172]
    >>> tokenizer.decode([107, 198, 172, 2, 50])
    'hé'

    Reference: Xue et al. 2022, ByT5, https://arxiv.org/abs/2105.13626 (the same ids, bytes after three specials).
    """

    @property
    def pieces(self) -> Sequence[bytes]:
        """The empty piece for each special, then the 256 single bytes."""
        return PIECES

    def encode(self, text: str | bytes) -> list[int]:
        """The ids `byte + 3` of a text, without specials."""
        return [value + SPECIALS for value in as_bytes(text)]

    def encode_tensor(self, text: tf.Tensor, length: int) -> tf.Tensor:
        """In a graph: the ids of `(B,)` strings as `(B, length)` int32, equal to `pack(texts, length)`.

        Raises:
            ValueError: `length` below 1, or `text` has not one axis.
        """
        text = row_of_texts(text, length)
        values = tf.cast(tf.io.decode_raw(text, tf.uint8, fixed_length=length), tf.int32)
        ends = tf.minimum(tf.strings.length(text), length - 1)[:, tf.newaxis]
        positions = tf.range(length)[tf.newaxis, :]
        tail = tf.where(positions > ends, self.pad_id, self.eos_id)
        return tf.where(positions < ends, values + SPECIALS, tail)
