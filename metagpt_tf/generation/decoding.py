"""The decode loop: one `tf.while_loop` around a step function, for Keras, SavedModel and LiteRT alike.

Axes: B batch, T max_length, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from metagpt_tf.generation.beam import Beam, beam_decode
from metagpt_tf.generation.samplers import Sampler, get
from metagpt_tf.generation.steps import (
    BatchSize,
    Cache,
    Step,
    StopSequences,
    as_batch_size,
    as_seed,
    as_tensors,
    check_ids,
    mark_seen,
    nothing_seen,
    run_step,
    write,
)

# Two odd constants spread positions over the whole seed space: with `seed + position`, the seeds (0, 1) and (1, 2)
# would draw the same noise one step apart.
SPREAD = np.array([0x9E3779B9, 0x85EBCA6B], "uint32").view("int32")


class DecodeState(NamedTuple):
    """What one step hands to the next; `seen` and `recent` are `()` where nobody asks for them."""

    token: tf.Tensor  # (B,) int32, the latest token
    done: tf.Tensor  # (B,) bool
    seen: tf.Tensor | tuple[()]  # (B, V) bool
    recent: tf.Tensor | tuple[()]  # (B, longest stop sequence) int32
    cache: Cache


class DecodeLoop:
    """The body that `decode` runs inside the graph and `stream` runs from the host, so that both give the same tokens.

    Args:
        step: see `decode`.
        bos_id: int, fed at position 0.
        eos_id: int, ends a row and is kept.
        pad_id: int, fills a row after its end.
        sampler: a `Sampler` other than `Beam`.
        stop_sequences: lists of token ids that end a row.
    """

    def __init__(
        self,
        step: Step,
        *,
        bos_id: int,
        eos_id: int,
        pad_id: int,
        sampler: Sampler,
        stop_sequences: Sequence[Sequence[int]] = (),
    ) -> None:
        self.step, self.sampler, self.stop = step, sampler, StopSequences(stop_sequences)
        self.bos_id, self.eos_id, self.pad_id = bos_id, eos_id, pad_id

    def start(self, batch_size: BatchSize, cache: Cache) -> DecodeState:
        """The state before position 0."""
        cache = as_tensors(cache)
        return DecodeState(
            token=tf.fill((batch_size,), self.bos_id),
            done=tf.fill((batch_size,), False),
            seen=nothing_seen(self.step, batch_size, cache) if self.sampler.needs_seen else (),
            recent=self.stop.start(batch_size) if self.stop else (),
            cache=cache,
        )

    def advance(
        self, position: tf.Tensor, state: DecodeState, seed: tf.Tensor, noise: tf.Tensor | None = None
    ) -> DecodeState:
        """One token more: run the step, draw, blank the rows that have ended, see which end now."""
        logits, cache = run_step(self.step, state.token, position, state.cache)
        draws = not self.sampler.is_greedy and noise is None
        token = self.sampler(
            logits,
            seed + position * SPREAD if draws else None,
            state.seen if self.sampler.needs_seen else None,
            noise,
        )
        token = tf.where(state.done, self.pad_id, token)
        done = state.done | tf.equal(token, self.eos_id)
        recent = state.recent
        if self.stop:
            recent, stopped = self.stop.push(recent, token)
            done = done | stopped
        seen = mark_seen(state.seen, token) if self.sampler.needs_seen else ()
        return DecodeState(token, done, seen, recent, cache)


def noise_at(noise: tf.Tensor | None, position: tf.Tensor) -> tf.Tensor | None:
    """The (B, V) noise of one position out of (B, T, V)."""
    return None if noise is None else tf.gather(noise, position, axis=1)


def as_noise(noise: Any, max_length: int) -> tf.Tensor | None:
    """The noise as a tensor whose shape fits (B, T, V)."""
    if noise is None:
        return None
    noise = tf.convert_to_tensor(noise, tf.float32)
    if not noise.shape.is_compatible_with((None, max_length, None)):
        raise ValueError(
            f"Expected noise of shape (batch, max_length={max_length}, vocabulary). Received {noise.shape}."
        )
    return noise


def sample_decode(
    loop: DecodeLoop, cache: Cache, batch_size: BatchSize, max_length: int, seed: tf.Tensor, noise: tf.Tensor | None
) -> tf.Tensor:
    """Run the loop of a sampler to its end; returns (B, T) int32."""

    def running(position: tf.Tensor, state: DecodeState, output: tf.Tensor) -> tf.Tensor:
        return (position < max_length) & ~tf.reduce_all(state.done)

    def body(position: tf.Tensor, state: DecodeState, output: tf.Tensor) -> tuple[tf.Tensor, DecodeState, tf.Tensor]:
        state = loop.advance(position, state, seed, noise_at(noise, position))
        return position + 1, state, write(output, position, state.token)

    empty = tf.fill((batch_size, max_length), loop.pad_id)
    return tf.while_loop(running, body, (tf.constant(0), loop.start(batch_size, cache), empty))[2]


# Our bodies hold no tensor-dependent Python branches; converting them would only slow the tracing down.
@tf.autograph.experimental.do_not_convert
def decode(
    step: Step,
    cache: Cache,
    batch_size: BatchSize,
    *,
    bos_id: int,
    eos_id: int,
    pad_id: int,
    max_length: int,
    sampler: str | dict[str, Any] | Sampler,
    seed: Any = (0, 0),
    stop_sequences: Sequence[Sequence[int]] = (),
    noise: tf.Tensor | None = None,
) -> tf.Tensor:
    """Generate tokens from a step function in one `tf.while_loop` that ends as soon as every row has.

    Call it inside a `tf.function` for speed. Draws `token_i ~ sampler(step(token_{i-1}, i, cache))`, with BOS before
    the first. A row ends with EOS or with a stop sequence; both are kept. With an int `batch_size`, static shapes and a
    sampler that needs no seed (greedy, beam, any with `noise`) it converts to LiteRT with builtin ops only.

    Args:
        step: `(tokens (B,) int32, position () int32, cache) -> (logits (B, V), cache)`; runs without autograph. It may
            close over tensors, but a beam tiles only those in the cache: put an encoder's memory there.
        cache: nested tensors with leading axis B, whose shapes the step keeps; `()` for none.
        batch_size: int B, or a scalar int32 tensor for a dynamic batch.
        bos_id: int, fed at position 0.
        eos_id: int, ends a row.
        pad_id: int, fills a row after its end.
        max_length: int T, the width of the output and the most steps to run.
        sampler: a registered name (`"greedy"`, `"top_p"`, `"beam"`, …), a config or a `Sampler`.
        seed: two int32; the same seed gives the same tokens.
        stop_sequences: lists of token ids, e.g. `[[13, 10]]`.
        noise: (B, T, V) float Gumbel noise in place of `seed`; `Beam` and `Greedy` need neither.

    Returns:
        (B, T) int32 tokens: EOS kept, PAD after it.

    Raises:
        ValueError: unknown sampler, bad ids, length, seed, noise or stop sequence, or a step that changes its cache's
            shapes.

    Example:

    >>> import tensorflow as tf
    >>> count = lambda tokens, position, cache: (tf.one_hot(tokens + 1, 6), cache)
    >>> decode(count, (), 1, bos_id=1, eos_id=4, pad_id=0, max_length=5, sampler="greedy").numpy().tolist()
    [[2, 3, 4, 0, 0]]
    """
    sampler, batch_size = sampler if isinstance(sampler, Sampler) else get(sampler), as_batch_size(batch_size)
    ids = {"bos_id": bos_id, "eos_id": eos_id, "pad_id": pad_id}
    check_ids(max_length, **ids)
    if isinstance(sampler, Beam):
        keywords: dict[str, Any] = {"max_length": max_length, "sampler": sampler, "stop_sequences": stop_sequences}
        return beam_decode(step, cache, batch_size, **ids, **keywords)
    loop = DecodeLoop(step, **ids, sampler=sampler, stop_sequences=stop_sequences)
    return sample_decode(loop, cache, batch_size, max_length, as_seed(seed), as_noise(noise, max_length))
