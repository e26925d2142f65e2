"""Streaming: the decode loop driven from the host, one token per row at a time.

Axes: B batch, T max_length, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.generation.decoding import DecodeLoop, as_noise, noise_at
from metagpt_tf.generation.samplers import Sampler, get
from metagpt_tf.generation.steps import BatchSize, Cache, Step, as_batch_size, as_seed, check_ids


def stream(
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
) -> Iterator[np.ndarray]:
    """Yield tokens as they are drawn, for a prompt that should answer at once.

    Runs the body of `decode`, so column i of `decode` equals the i-th array for the same seed; the stream ends with the
    last row. A plain Python `step` is compiled here, once per call; hand in a `tf.function` (whose changing tensors are
    part of the cache) to compile once for many calls.

    Args:
        step, cache, batch_size, bos_id, eos_id, pad_id, max_length, seed, stop_sequences, noise: see `decode`.
        sampler: as in `decode`, but not `"beam"`.

    Returns:
        Iterator of at most T arrays (B,) int32; rows that have ended yield PAD.

    Raises:
        ValueError: as `decode`; also for a beam, whose first token is known only at the end.
        RuntimeError: called inside a graph.

    Example:

    >>> import tensorflow as tf
    >>> count = lambda tokens, position, cache: (tf.one_hot(tokens + 1, 6), cache)
    >>> rules = dict(bos_id=1, eos_id=4, pad_id=0, max_length=5, sampler="greedy")
    >>> [int(tokens[0]) for tokens in stream(count, (), 1, **rules)]
    [2, 3, 4]
    """
    if not tf.executing_eagerly():
        raise RuntimeError("stream drives its loop from Python: call it outside tf.function, or call decode inside.")
    sampler = get(sampler)
    if not sampler.can_stream:
        raise ValueError(f"{sampler!r} cannot stream: its first token is open until the last. Use decode instead.")
    ids = {"bos_id": bos_id, "eos_id": eos_id, "pad_id": pad_id}
    check_ids(max_length, **ids)
    loop = DecodeLoop(step, **ids, sampler=sampler, stop_sequences=stop_sequences)
    seed, noise, batch_size = as_seed(seed), as_noise(noise, max_length), as_batch_size(batch_size)
    return _tokens(loop, batch_size, cache, max_length, seed, noise)


def _tokens(
    loop: DecodeLoop, batch_size: BatchSize, cache: Cache, max_length: int, seed: tf.Tensor, noise: tf.Tensor | None
) -> Iterator[np.ndarray]:
    compiled = isinstance(loop.step, tf.types.experimental.PolymorphicFunction)
    advance = loop.advance if compiled else tf.function(loop.advance, autograph=False)
    state = loop.start(batch_size, cache)
    for i in range(max_length):
        position = tf.constant(i)
        state = advance(position, state, seed, noise_at(noise, position))
        yield state.token.numpy()
        if state.done.numpy().all():
            return
