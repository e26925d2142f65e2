"""Beam search: several hypotheses a row, the best whole row returned.

Axes: B batch, W beam width, T max_length, V vocabulary; N = B * W rows as the step function sees them.
"""

from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from metagpt_tf.generation.base import Sampler, registry, require
from metagpt_tf.generation.steps import (
    BatchSize,
    Cache,
    Step,
    StopSequences,
    as_tensors,
    mark_seen,
    nothing_seen,
    run_step,
    write,
)

FIRST = float(np.finfo("float32").max)  # the rank of a finished hypothesis: before every unfinished one


@registry.register("beam")
class Beam(Sampler):
    """Beam search: keeps the `width` likeliest hypotheses of each row and returns the best finished one.

    Use it where one right answer is wanted (translation, code) and time matters less; it costs about `width` times
    greedy. A hypothesis of n tokens, its EOS included, scores `log p(tokens) / ((5 + n) / 6) ** length_penalty`. A
    finished one keeps its place in the beam. The search ends when no unfinished one can still overtake the best; those
    cut off at `max_length` compete with the score they have. `width=1` is greedy.

    Args:
        width: int >= 1, hypotheses a row, default 4.
        length_penalty: float >= 0; 0 compares plain log-probabilities, more favours longer rows. Default 0.6.
        temperature: float > 0, divides the logits; default 1.0.
        repetition_penalty: float > 0, see `Sampler`.

    Raises:
        ValueError: width below 1, negative length_penalty, or temperature 0.

    Example:

    >>> Beam(width=2)
    Beam(width=2, length_penalty=0.6, temperature=1.0, repetition_penalty=1.0)

    Reference: Wu et al., "Google's Neural Machine Translation System", 2016, equation 14.
    """

    can_stream = False

    def __init__(
        self,
        width: int = 4,
        length_penalty: float = 0.6,
        temperature: float = 1.0,
        repetition_penalty: float = 1.0,
    ) -> None:
        super().__init__(temperature, repetition_penalty)
        good = isinstance(width, int) and not isinstance(width, bool) and width >= 1
        require(good, self, "width", width, "an integer >= 1")
        good = isinstance(length_penalty, Real) and length_penalty >= 0
        require(good, self, "length_penalty", length_penalty, "a number >= 0")
        require(temperature > 0, self, "temperature", temperature, "a number > 0 (for greedy use width=1)")
        self.width, self.length_penalty = width, float(length_penalty)

    @property
    def is_greedy(self) -> bool:
        """True: called on one step alone, the best row of one token is the argmax."""
        return True

    def divisor(self, length: tf.Tensor) -> tf.Tensor:
        """What the log-probability of a hypothesis of `length` tokens is divided by."""
        return tf.pow((5.0 + tf.cast(length, tf.float32)) / 6.0, self.length_penalty)

    def log_probabilities(self, logits: tf.Tensor, seen: tf.Tensor | None) -> tf.Tensor:
        """(N, V) log-probabilities after penalty and temperature."""
        return tf.nn.log_softmax(tf.cast(self.penalize(logits, seen), tf.float32) / self.temperature)

    def get_config(self) -> dict[str, Any]:
        return {"width": self.width, "length_penalty": self.length_penalty, **super().get_config()}


class BeamState(NamedTuple):
    """The beam between two steps. An unused place has the score -inf; `finished` is -inf until a hypothesis ends."""

    token: tf.Tensor  # (N,) int32
    tokens: tf.Tensor  # (N, T) int32
    score: tf.Tensor  # (B, W) float, log-probability
    finished: tf.Tensor  # (B, W) float, log-probability over the divisor
    seen: tf.Tensor | tuple[()]  # (N, V) bool
    recent: tf.Tensor | tuple[()]  # (N, longest stop sequence) int32
    cache: Cache


def tile(cache: Cache, width: int) -> Cache:
    """Every row of every tensor `width` times: (B, …) to (B * W, …)."""

    def repeated(x: tf.Tensor) -> tf.Tensor:
        y = tf.repeat(x, width, axis=0)
        y.set_shape([None if x.shape[0] is None else x.shape[0] * width, *x.shape[1:]])
        return y

    return tf.nest.map_structure(repeated, as_tensors(cache))


class BeamLoop:
    """The body of the beam's loop; the arguments are `decode`'s."""

    def __init__(
        self,
        step: Step,
        *,
        bos_id: int,
        eos_id: int,
        pad_id: int,
        max_length: int,
        sampler: Beam,
        stop_sequences: Sequence[Sequence[int]],
    ) -> None:
        self.step, self.beam, self.stop = step, sampler, StopSequences(stop_sequences)
        self.bos_id, self.eos_id, self.pad_id, self.max_length = bos_id, eos_id, pad_id, max_length

    def start(self, batch_size: BatchSize, cache: Cache) -> BeamState:
        """The state before position 0: one live hypothesis a row, so that the first step does not draw W copies."""
        width = self.beam.width
        rows, cache = batch_size * width, tile(cache, width)
        alone = tf.constant([[0.0] + [-np.inf] * (width - 1)])
        return BeamState(
            token=tf.fill((rows,), self.bos_id),
            tokens=tf.fill((rows, self.max_length), self.pad_id),
            score=tf.tile(alone, (batch_size, 1)),
            finished=tf.fill((batch_size, width), -np.inf),
            seen=nothing_seen(self.step, rows, cache) if self.beam.needs_seen else (),
            recent=self.stop.start(rows) if self.stop else (),
            cache=cache,
        )

    def choose(self, logp: tf.Tensor, state: BeamState) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The W best continuations of each row: which hypothesis, which token, what score; each (B, W)."""
        size, width = logp.shape[-1], self.beam.width
        if size is None or self.pad_id >= size:
            raise ValueError(
                f"A beam needs a static vocabulary that holds pad_id={self.pad_id}. Got logits {logp.shape}."
            )
        ended = (state.finished > -np.inf)[:, :, None]
        is_pad = tf.equal(tf.range(size), self.pad_id)[None, None]
        step_score = tf.where(ended, tf.where(is_pad, 0.0, -np.inf), tf.reshape(logp, (-1, width, size)))
        score = state.score[:, :, None] + step_score
        rank = tf.reshape(tf.where(ended & is_pad, FIRST, score), (-1, width * size))
        best = tf.math.top_k(rank, width).indices
        score = tf.gather(tf.reshape(score, (-1, width * size)), best, batch_dims=1)
        return best // size, best % size, score

    def advance(self, position: tf.Tensor, state: BeamState) -> BeamState:
        """One token more in every hypothesis; the cache follows the hypotheses that survive."""
        logits, cache = run_step(self.step, state.token, position, state.cache)
        seen, recent, width = state.seen, state.recent, self.beam.width
        logp = self.beam.log_probabilities(logits, seen if self.beam.needs_seen else None)
        parent, token, score = self.choose(logp, state)
        token = tf.reshape(token, (-1,))
        rows = tf.reshape(parent + tf.range(tf.shape(parent)[0])[:, None] * width, (-1,))
        tokens, seen, recent, cache = tf.nest.map_structure(
            lambda x: tf.ensure_shape(tf.gather(x, rows), x.shape), (state.tokens, seen, recent, cache)
        )
        ends = tf.equal(token, self.eos_id)
        if self.stop:
            recent, stopped = self.stop.push(recent, token)
            ends = ends | stopped
        before = tf.gather(state.finished, parent, batch_dims=1)
        # An unused place (-inf) divides to -inf and so never counts as finished.
        now = tf.where(tf.reshape(ends, (-1, width)), score / self.beam.divisor(position + 1), -np.inf)
        finished = tf.where(before > -np.inf, before, now)
        seen = mark_seen(seen, token) if self.beam.needs_seen else ()
        return BeamState(token, write(tokens, position, token), score, finished, seen, recent, cache)

    def settled(self, state: BeamState) -> tf.Tensor:
        """Whether in every row no unfinished hypothesis can overtake the best finished one.

        Scores only fall and the divisor only grows, so `score / divisor(T)` is the most that one can reach.
        """
        alive = tf.where(state.finished > -np.inf, -np.inf, state.score) / self.beam.divisor(self.max_length)
        return tf.reduce_all(tf.reduce_max(state.finished, -1) >= tf.reduce_max(alive, -1))

    def best(self, position: tf.Tensor, state: BeamState) -> tf.Tensor:
        """The tokens of each row's best hypothesis, (B, T)."""
        cut = tf.where(position < self.max_length, -np.inf, state.score / self.beam.divisor(self.max_length))
        value = tf.where(state.finished > -np.inf, state.finished, cut)
        choice = tf.argmax(value, -1, output_type=tf.int32)
        tokens = tf.reshape(state.tokens, (-1, self.beam.width, self.max_length))
        return tf.gather(tokens, choice, batch_dims=1)


def beam_decode(step: Step, cache: Cache, batch_size: BatchSize, *, max_length: int, **rules: Any) -> tf.Tensor:
    """Beam search over a step function; `decode` calls it for `sampler="beam"`, with the same keywords.

    The cache is tiled to B * W rows and reordered by a gather after each step, so the step sees B * W rows.

    Args:
        step, cache, batch_size, max_length: see `decode`.
        **rules: `bos_id`, `eos_id`, `pad_id`, `stop_sequences` as in `decode`, and `sampler`, a `Beam`.

    Returns:
        (B, T) int32 tokens: EOS kept, PAD after it.

    Example:

    >>> import tensorflow as tf
    >>> count = lambda tokens, position, cache: (tf.one_hot(tokens + 1, 6), cache)
    >>> rules = dict(bos_id=1, eos_id=4, pad_id=0, sampler=Beam(1), stop_sequences=())
    >>> beam_decode(count, (), 1, max_length=5, **rules).numpy().tolist()
    [[2, 3, 4, 0, 0]]
    """
    loop = BeamLoop(step, max_length=max_length, **rules)

    def running(position: tf.Tensor, state: BeamState) -> tf.Tensor:
        return (position < max_length) & ~loop.settled(state)

    def body(position: tf.Tensor, state: BeamState) -> tuple[tf.Tensor, BeamState]:
        return position + 1, loop.advance(position, state)

    output = loop.best(*tf.while_loop(running, body, (tf.constant(0), loop.start(batch_size, cache))))
    return tf.ensure_shape(output, (batch_size if isinstance(batch_size, int) else None, max_length))
