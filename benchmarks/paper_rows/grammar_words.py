"""Whole words as tokens: the sentences of `Grammars` in six tokens where bytes need forty.

Axes: B batch, T tokens.
"""

from collections.abc import Sequence

import tensorflow as tf

from metagpt_tf.tasks.grammar import COLOURS, WORDS
from metagpt_tf.tokenizers import Tokenizer
from metagpt_tf.tokenizers.base import SPECIALS, registry

UNKNOWN = "?"
SYMBOLS = (UNKNOWN, *WORDS, *COLOURS)


@registry.register("grammar_words")
class WholeWords(Tokenizer):
    """One token for each pseudo-word and each colour, one for any other word; a decoded word has a space behind it.

    Example:

    >>> WholeWords().decode(WholeWords().encode("RG"))
    'RG'
    """

    @property
    def pieces(self) -> Sequence[bytes]:
        """Empty for the specials, then the words, then the colours."""
        words = tuple(f"{word} ".encode() for word in (UNKNOWN, *WORDS))
        return (b"",) * SPECIALS + words + tuple(colour.encode() for colour in COLOURS)

    def encode(self, text: str | bytes) -> list[int]:
        """The ids of a text, without specials."""
        plain = text.decode() if isinstance(text, bytes) else text
        spaced = "".join(f"{letter} " if letter.isupper() else letter for letter in plain)
        return [SPECIALS + (SYMBOLS.index(word) if word in SYMBOLS else 0) for word in spaced.split()]

    def encode_tensor(self, text: tf.Tensor, length: int) -> tf.Tensor:
        """In a graph: the ids of `(B,)` strings as `(B, length)` int32, equal to `pack(texts, length)`."""
        parts = tf.strings.split(tf.strings.regex_replace(text, "([A-Z])", r"\1 "))
        found = tf.equal(parts.values[:, tf.newaxis], tf.constant(SYMBOLS)[tf.newaxis])
        rows = parts.with_values(SPECIALS + tf.argmax(found, axis=1, output_type=tf.int32))
        ends = tf.minimum(tf.cast(rows.row_lengths(), tf.int32), length - 1)[:, tf.newaxis]
        values = rows.to_tensor(self.pad_id, shape=(text.shape[0], length))
        positions = tf.range(length)[tf.newaxis]
        return tf.where(positions < ends, values, tf.where(positions > ends, self.pad_id, self.eos_id))
