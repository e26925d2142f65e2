"""Byte-pair encoding: subwords learned from text, applied by this file alone.

Axes: B batch, T tokens, N tokens of all texts, V vocabulary, M merges.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
import tensorflow as tf

from metagpt_tf.tokenizers.base import SPECIALS, Tokenizer, as_bytes, registry, row_of_texts
from metagpt_tf.tokenizers.bpe_training import learn_merges
from metagpt_tf.tokenizers.bytes import BYTES, PIECES
from metagpt_tf.tokenizers.words import LONGEST_WORD, split_words, split_words_tensor

FIRST_MERGED = SPECIALS + BYTES
CACHED_WORDS = 2**16
NEVER = np.iinfo(np.int32).max


@registry.register("bpe")
class BPETokenizer(Tokenizer):
    """Byte-level byte-pair encoding: frequent words are one token, and no text is unknown.

    Use it where sequences of bytes are too long: English takes about a third of the tokens. Compare models with
    different tokenizers in bits per byte. Ids 3 … 258 are the bytes, as in `ByteTokenizer`; each merge joins two ids,
    and the pieces that this makes are numbered from 259 on:

        piece(merge m) = pieces[left_m] + pieces[right_m]

    A text is split into words (`words.split_words`); in each word the pair of the earliest merge is joined, the
    leftmost first, until no pair of the word is a merge. `train` needs the `tokenizers` library; loading, encoding and
    decoding need nothing beside this package.

    Args:
        merges: M pairs `[left, right]` of ids, in the order in which they were learned; make them with `train`.

    Raises:
        ValueError: no merges, or a merge that is not a pair of earlier ids or comes twice.

    Example:

    >>> tokenizer = BPETokenizer(merges=[[107, 104], [259, 111]])  # h + e, he + l
    >>> tokenizer.encode("hello")
    [260, 111, 114]
    >>> tokenizer.decode([260, 111, 114])
    'hello'

    Reference: Sennrich et al., 2016, "Neural Machine Translation of Rare Words with Subword Units",
    https://arxiv.org/abs/1508.07909; on bytes: Radford et al., 2019, "Language Models are Unsupervised Multitask
    Learners".
    """

    def __init__(self, merges: Sequence[Sequence[int]] = ()) -> None:
        self.merges = _checked_pairs(merges)
        self._pieces, self._results = _joined(self.merges)
        self._ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self._words: dict[bytes, list[int]] = {}
        # Sorted keys left · V + right, to be searched in a graph: a table of V² ranks would be too large.
        keys = np.array([left * len(self._pieces) + right for left, right in self.merges], np.int64)
        self._order = np.argsort(keys).astype(np.int32)
        self._keys = keys[self._order]
        self._longest_piece = max(map(len, self._pieces))
        self._meeting = {self._pieces[left][-1] << 8 | self._pieces[right][0] for left, right in self.merges}

    @classmethod
    def train(cls, texts: Iterable[str | bytes], vocabulary_size: int = 2048, min_frequency: int = 2) -> Self:
        """Learn the merges from text; needs `pip install metagpt_tf[bpe]`.

        The same texts give the same merges.

        Args:
            texts: any number of texts, read once; take them from the training split only.
            vocabulary_size: V, ids in all, specials and bytes included; above 259, default 2048.
            min_frequency: how often a pair must be seen to be joined; default 2.

        Returns:
            A tokenizer with exactly `vocabulary_size` ids.

        Raises:
            ImportError: the `tokenizers` library is not installed.
            TypeError: `texts` is a single text.
            ValueError: a size of 259 or less, no text, or too little text for so many pieces.

        Example:

        >>> tokenizer = BPETokenizer.train(["low lower lowest"] * 9, vocabulary_size=262)  # doctest: +SKIP
        >>> tokenizer.decode(tokenizer.encode("slowly"))  # doctest: +SKIP
        'slowly'
        """
        if vocabulary_size <= FIRST_MERGED:
            raise ValueError(
                f"vocabulary_size counts {SPECIALS} specials and {BYTES} bytes and must be above {FIRST_MERGED}; "
                f"received {vocabulary_size}. Without merges, use ByteTokenizer()."
            )
        if isinstance(texts, str | bytes):
            raise TypeError(f"train() takes many texts, received one {type(texts).__name__}. Wrap it: [text].")
        merges = learn_merges(texts, vocabulary_size - FIRST_MERGED, min_frequency)
        ids = {piece: index for index, piece in enumerate(PIECES) if piece}
        pairs = []
        for left, right in merges:
            pairs.append([ids[left], ids[right]])
            ids.setdefault(left + right, len(ids) + SPECIALS)
        return cls(pairs)

    @property
    def pieces(self) -> Sequence[bytes]:
        """The empty piece for each special, the 256 single bytes, then the joined pieces."""
        return self._pieces

    def encode(self, text: str | bytes) -> list[int]:
        """The ids of a text, without specials."""
        ids: list[int] = []
        for word in split_words(as_bytes(text)):
            ids += self._ids_of(word)
        return ids

    def _ids_of(self, word: bytes) -> list[int]:
        known = self._words.get(word)
        if known is None:
            parts = self._parts(word)
            if len(parts) > 1:
                return [token for part in parts for token in self._ids_of(part)]
            known = self._encode_word(word)
            if len(self._words) >= CACHED_WORDS:
                self._words.clear()
            self._words[word] = known
        return known

    def _parts(self, word: bytes) -> list[bytes]:
        """A word cut where no merge can join: none has these two bytes at its seam. Codes of images part so."""
        cuts = [i for i in range(1, len(word)) if word[i - 1] << 8 | word[i] not in self._meeting]
        return [word[start:end] for start, end in itertools.pairwise([0, *cuts, len(word)])]

    def _encode_word(self, word: bytes) -> list[int]:
        ids = [value + SPECIALS for value in word]
        rank_of = self._ranks.get
        ranks = [rank_of(pair, NEVER) for pair in itertools.pairwise(ids)]
        while ranks and (rank := min(ranks)) != NEVER:
            place = ranks.index(rank)
            ids[place : place + 2] = [self._results[rank]]
            del ranks[place]  # and only the pairs beside the new piece are other ones
            if place > 0:
                ranks[place - 1] = rank_of((ids[place - 1], ids[place]), NEVER)
            if place < len(ranks):
                ranks[place] = rank_of((ids[place], ids[place + 1]), NEVER)
        return ids

    def encode_tensor(self, text: tf.Tensor, length: int) -> tf.Tensor:
        """In a graph: the ids of `(B,)` strings as `(B, length)` int32, equal to `pack(texts, length)`.

        Raises:
            ValueError: `length` below 1, or `text` has not one axis.
        """
        text = row_of_texts(text, length)
        # Bytes enough for `length` tokens however long; the word at the cut and the byte before it may come out wrong.
        split = split_words_tensor(text, length * self._longest_piece + LONGEST_WORD + 1)
        ids, owners = self._merged(split.values + SPECIALS, split.words, split.texts)
        rows = tf.RaggedTensor.from_value_rowids(ids, owners, nrows=tf.shape(text)[0], validate=False)
        ends = tf.minimum(tf.cast(rows.row_lengths(), tf.int32), length - 1)[:, tf.newaxis]
        values = rows.to_tensor(self.pad_id, shape=(text.shape[0], length))
        positions = tf.range(length)[tf.newaxis, :]
        return tf.where(positions < ends, values, tf.where(positions > ends, self.pad_id, self.eos_id))

    def _merged(self, ids: tf.Tensor, words: tf.Tensor, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Ids and texts `(N,)` of what is left when no pair of any word is a merge; each round joins one in each."""
        results = tf.constant(self._results, tf.int32)

        def join(ids: tf.Tensor, words: tf.Tensor, texts: tf.Tensor, going: tf.Tensor) -> tuple[tf.Tensor, ...]:
            ranks = self._pair_ranks(ids, words)
            places = tf.range(tf.size(ids))
            lowest = (ranks < NEVER) & tf.equal(ranks, tf.gather(tf.math.segment_min(ranks, words), words))
            first = tf.math.segment_min(tf.where(lowest, places, NEVER), words)
            joined = tf.equal(places, tf.gather(first, words))
            ids = tf.where(joined, tf.gather(results, tf.minimum(ranks, len(self._results) - 1)), ids)
            kept = tf.concat([[True], ~joined[:-1]], 0)[: tf.size(ids)]
            rest = (tf.boolean_mask(part, kept) for part in (ids, words, texts))
            return (*rest, tf.reduce_any(joined))

        flat = tf.TensorShape([None])
        start = (ids, words, texts, tf.constant(True))
        end = tf.while_loop(lambda *carry: carry[3], join, start, (flat, flat, flat, tf.TensorShape([])))
        return end[0], end[2]

    def _pair_ranks(self, ids: tf.Tensor, words: tf.Tensor) -> tf.Tensor:
        """`(N,)` int32: the merge of each id with the next one of its word, `NEVER` where there is none."""
        pairs = tf.cast(ids, tf.int64) * self.vocabulary_size + tf.cast(tf.roll(ids, -1, 0), tf.int64)
        keys = tf.constant(self._keys)
        found = tf.minimum(tf.searchsorted(keys, pairs), len(self._keys) - 1)
        known = tf.equal(tf.gather(keys, found), pairs) & tf.equal(words, tf.concat([words[1:], [-1]], 0))
        return tf.where(known, tf.gather(tf.constant(self._order), found), NEVER)

    def get_config(self) -> dict[str, Any]:
        """The merges as lists of two integers: all that a file has to carry."""
        return {"merges": [list(pair) for pair in self.merges]}


def _checked_pairs(merges: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    if not len(merges):
        raise ValueError(
            "BPETokenizer got no merges. Learn them from text with BPETokenizer.train(texts, vocabulary_size), or use "
            "ByteTokenizer()."
        )
    for index, pair in enumerate(merges):
        if isinstance(pair, str | bytes) or len(pair) != 2 or not all(isinstance(i, int | np.integer) for i in pair):
            raise ValueError(f"Merge {index} must be a pair of ids such as [107, 104], received {pair!r}.")
    pairs = [(int(left), int(right)) for left, right in merges]
    if len(set(pairs)) < len(pairs):
        twice = next(pair for index, pair in enumerate(pairs) if pair in pairs[:index])
        raise ValueError(f"The merge {list(twice)} comes twice. Which of the two counts? Remove one.")
    return pairs


def _joined(merges: Sequence[tuple[int, int]]) -> tuple[tuple[bytes, ...], list[int]]:
    """The pieces of the whole vocabulary, and the id that each merge makes: two merges may make the same piece."""
    pieces = list(PIECES)
    ids = {piece: index for index, piece in enumerate(PIECES) if piece}
    results = []
    for index, (left, right) in enumerate(merges):
        if not (SPECIALS <= left < len(pieces) and SPECIALS <= right < len(pieces)):
            raise ValueError(
                f"Merge {index} joins the ids [{left}, {right}], expected ids from {SPECIALS} to {len(pieces) - 1}: "
                "bytes, or pieces of earlier merges. Are the merges whole and in order?"
            )
        piece = pieces[left] + pieces[right]
        if piece not in ids:
            ids[piece] = len(pieces)
            pieces.append(piece)
        results.append(ids[piece])
    return tuple(pieces), results
