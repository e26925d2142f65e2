"""Interpretation grammars: each task gives pseudo-words a meaning, and new sentences must be read by composing it.

Axes: K support, Q query, S source, T target, P primitives, R sentences of the language.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from metagpt_tf import tokenizers
from metagpt_tf.datasets.splits import SPLITS
from metagpt_tf.tasks.distribution import TaskDistribution
from metagpt_tf.tasks.episode import Episode
from metagpt_tf.tokenizers import Tokenizer

WORDS = (
    *("blicket", "boda", "dax", "fep", "gazzer", "glerk", "kiki", "lug", "mipp", "nurd", "pilk", "plom", "rell"),
    *("sibb", "skop", "tufa", "wif", "xam", "yorf", "zup"),
)
COLOURS = ("R", "G", "B", "Y", "P", "O", "C", "W")
FUNCTIONS = ("thrice", "surround", "alternate")

Phrase = tuple[int, ...]


class Language(NamedTuple):
    """All sentences over P primitives; words by place: primitives 0 … P - 1, then the functions, -1 for nothing.

    Args:
        sources: `(R, 5) int32` words.
        targets: `(R, 12) int32` colours.
        kinds: `(R,) int32`, 0 for a primitive, 1 … 3 for a function whose arguments are primitives, 4 for the rest.
    """

    sources: np.ndarray
    targets: np.ndarray
    kinds: np.ndarray


def language(primitives: int) -> Language:
    """The sentences of the grammar with P primitives, each once.

        u -> colour of u    u thrice -> u u u    u surround v -> u v u    u alternate v -> u v u v

    where u and v are different primitives, or such a primitive thrice.

    Example:

    >>> language(2).sources.shape, language(2).targets[-1].tolist()
    ((20, 5), [1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0])
    """
    thrice, surround, alternate = (primitives + place for place in range(len(FUNCTIONS)))
    plain: list[tuple[Phrase, Phrase]] = [((word,), (word,)) for word in range(primitives)]
    tripled: list[tuple[Phrase, Phrase]] = [((*source, thrice), target * 3) for source, target in plain]
    rows = [(source, target, 0) for source, target in plain] + [(source, target, 1) for source, target in tripled]
    for kind, function in ((2, surround), (3, alternate)):
        for (u, u_target), (v, v_target) in itertools.product(plain + tripled, repeat=2):
            if u[0] != v[0]:
                meaning = u_target + v_target + u_target + (v_target if function == alternate else ())
                rows.append(((*u, function, *v), meaning, kind if len(u) == len(v) == 1 else 4))
    sources, targets, kinds = zip(*rows, strict=True)
    return Language(_padded(sources), _padded(targets), np.array(kinds, "int32"))


class Grammars(TaskDistribution):
    """Few-shot reading of an invented language: a task is a random meaning of its words.

    Use it to test whether a model composes: the support set explains the words, the queries combine them as no support
    example does, and only the whole answer counts (exact match). Each task draws P + 3 of 20 pseudo-words; P of them
    mean colours (`dax` → `R`), three are functions: `u thrice` → `u u u`, `u surround v` → `u v u`,
    `u alternate v` → `u v u v`, whose arguments are a primitive or a primitive thrice. `thrice` binds first.

    The support holds every primitive alone, one plain use of each function, and K - P - 3 other sentences; queries are
    sentences with a function that the support does not hold. A smaller relative of the grammars of the paper, which
    draw their rules too. The three splits draw from disjoint streams of random numbers; of some 3 · 10^10 tasks
    (P = 4) hardly one is drawn twice.

    Args:
        primitives: P, words with a colour; 2 to 8, default 4.
        tokenizer: name or object, default `"bytes"`.
        source_length: S, tokens of a sentence, EOS included; default 40.
        target_length: T, tokens of an answer, EOS included; default 13.

    Raises:
        ValueError: `primitives` outside 2 … 8, an unknown tokenizer, or lengths that are not whole and positive; when
            an episode is drawn, fewer than P + 3 support examples or more examples than the language has sentences.

    Example:

    >>> tasks = Grammars()
    >>> (sources, answers), _ = tasks.texts(tf.constant([0, 0]), k_shot=10, n_query=5)
    >>> len(sources), sorted(len(answer) for answer in answers.numpy())[:4]
    (10, [1, 1, 1, 1])
    >>> tasks.sample(tf.constant([0, 0]), k_shot=10, n_query=5).support_x.shape
    TensorShape([10, 40])

    Reference: Lake & Baroni 2023, "Human-like systematic generalization through a meta-learning neural network".
    """

    def __init__(
        self, primitives: int = 4, tokenizer: Any = "bytes", source_length: int = 40, target_length: int = 13
    ) -> None:
        if isinstance(primitives, bool) or not hasattr(primitives, "__index__") or not 2 <= primitives <= len(COLOURS):
            raise ValueError(f"primitives must be a whole number from 2 to {len(COLOURS)}, received {primitives!r}.")
        self.primitives = int(primitives)
        self.tokenizer: Tokenizer = tokenizers.get(tokenizer)
        self.source_length, self.target_length = source_length, target_length
        self.tokenizer.pack(["a"], source_length), self.tokenizer.pack(["a"], target_length)  # refuses bad lengths
        self.language = language(self.primitives)

    def check(self, k_shot: int, n_query: int) -> None:
        """Raise unless the support explains every word and the language has sentences enough."""
        super().check(k_shot, n_query)
        least, sentences = self.primitives + len(FUNCTIONS), len(self.language.kinds)
        if k_shot < least:
            raise ValueError(
                f"A support set needs {least} examples to explain {self.primitives} primitives and {len(FUNCTIONS)} "
                f"functions; received k_shot={k_shot}. Give more, or a smaller primitives=…."
            )
        if k_shot + n_query > sentences:
            raise ValueError(
                f"The language of {self.primitives} primitives has {sentences} sentences; received k_shot + n_query = "
                f"{k_shot + n_query}. Ask for fewer, or give a larger primitives=…."
            )

    def grammar(self, seed: tf.Tensor) -> dict[str, str]:
        """Word -> colour or name of a function, of the task that `sample(seed, …)` draws.

        Example:

        >>> sorted(Grammars(primitives=2).grammar(tf.constant([0, 0])).values())[2:]
        ['alternate', 'surround', 'thrice']
        """
        words, colours = (tensor.numpy().tolist() for tensor in self._meanings(self._seeds(seed)))
        meanings = [colour.decode() for colour in colours] + list(FUNCTIONS)
        return {word.decode(): meaning for word, meaning in zip(words, meanings, strict=True)}

    def texts(self, seed: tf.Tensor, k_shot: int, n_query: int) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """The episode of `sample` as text: support `(sentences (K,), answers (K,))` and query `(…(Q,), …(Q,))`."""
        self.check(k_shot, n_query)
        seeds = self._seeds(seed)
        words, colours = self._meanings(seeds)
        rows = self._rows(k_shot + n_query, seeds[2])
        sources = _joined(tf.gather(self.language.sources, rows), words, " ")
        targets = _joined(tf.gather(self.language.targets, rows), colours, "")
        return (sources[:k_shot], targets[:k_shot]), (sources[k_shot:], targets[k_shot:])

    def sample(self, seed: tf.Tensor, k_shot: int, n_query: int) -> Episode:
        """Draw a grammar and K + Q distinct sentences of it; see `TaskDistribution.sample`.

        Args:
            seed: `(2,) int32` stateless seed.
            k_shot: support examples K, at least P + 3.
            n_query: query examples Q.

        Returns:
            An episode of token ids int32: x `(K, S)` and `(Q, S)`, y `(K, T)` and `(Q, T)`.
        """
        support, query = self.texts(seed, k_shot, n_query)
        return Episode(*self._encode(*support), *self._encode(*query))

    def _encode(self, sources: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ids = self.tokenizer.encode_tensor(sources, self.source_length)
        labels = self.tokenizer.encode_tensor(targets, self.target_length)
        rows = sources.shape[0]
        return tf.ensure_shape(ids, [rows, self.source_length]), tf.ensure_shape(labels, [rows, self.target_length])

    def _seeds(self, seed: tf.Tensor) -> list[tf.Tensor]:
        """Seeds of the words, the colours and the sentences."""
        stream = tf.random.fold_in(tf.cast(seed, tf.int32), SPLITS.index(self.split_name))
        return tf.unstack(tf.random.split(stream, 3))

    def _meanings(self, seeds: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """`(P + 3,)` words and `(P,)` colours, all distinct."""
        words = tf.random.experimental.stateless_shuffle(tf.constant(WORDS), seeds[0])
        colours = tf.random.experimental.stateless_shuffle(tf.constant(COLOURS), seeds[1])
        return words[: self.primitives + len(FUNCTIONS)], colours[: self.primitives]

    def _rows(self, count: int, seed: tf.Tensor) -> tf.Tensor:
        """`count` distinct sentences: the primitives, one plain use of each function, then any."""
        kinds = self.language.kinds
        keys = tf.random.stateless_uniform([len(kinds)], seed)
        for kind in range(1, 1 + len(FUNCTIONS)):
            best = tf.argmax(tf.where(kinds == kind, keys, -1.0))
            keys += tf.one_hot(best, len(kinds))  # in front of all others
        return tf.math.top_k(keys + tf.cast(kinds == 0, tf.float32) * 4.0, count).indices


def exact_match(answers: Any, targets: Any) -> float:
    """Share of answers that are right to the last symbol.

    Args:
        answers: texts, str or bytes.
        targets: as many texts.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: no answers, or not as many as targets.

    Example:

    >>> exact_match(["RG", "RGG"], [b"RG", b"RG"])
    0.5
    """
    pairs = [[_text(value) for value in np.asarray(side).ravel().tolist()] for side in (answers, targets)]
    if not pairs[0] or len(pairs[0]) != len(pairs[1]):
        sizes = " and ".join(str(len(side)) for side in pairs)
        raise ValueError(f"Expected as many answers as targets, at least one; received {sizes}.")
    return sum(answer == target for answer, target in zip(*pairs, strict=True)) / len(pairs[0])


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _padded(rows: Any) -> np.ndarray:
    """Rows of places, filled up with -1."""
    table = np.full((len(rows), max(map(len, rows))), -1, "int32")
    for place, row in enumerate(rows):
        table[place, : len(row)] = row
    return table


def _joined(places: tf.Tensor, names: tf.Tensor, separator: str) -> tf.Tensor:
    """`(B, L)` places to `(B,)` text: the names at the places, those of -1 left out."""
    parts = tf.gather(tf.strings.join([tf.constant(separator), names]), tf.maximum(places, 0))
    text = tf.strings.reduce_join(tf.where(places < 0, "", parts), axis=-1)
    return tf.strings.strip(text)
