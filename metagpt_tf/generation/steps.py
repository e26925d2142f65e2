"""What the decode loops ask of a model: a step function and a cache, checked once, while the loop is traced.

Axes: B batch, W beam width, V vocabulary.
"""

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

Cache = Any
"""Nested tuples, lists or dicts of tensors, each with the leading axis B; `()` for a step without memory."""

Step = Callable[[tf.Tensor, tf.Tensor, Cache], tuple[tf.Tensor, Cache]]
"""`step(tokens (B,) int32, position () int32, cache) -> (logits (B, V) float, cache of the same shapes)`."""

BatchSize: TypeAlias = int | tf.Tensor


def as_tensors(cache: Cache) -> Cache:
    """The cache with every leaf a tensor, as `tf.while_loop` wants it."""
    return tf.nest.map_structure(tf.convert_to_tensor, cache)


def run_step(step: Step, token: tf.Tensor, position: tf.Tensor, cache: Cache) -> tuple[tf.Tensor, Cache]:
    """Call `step`; hold its cache to the structure and the shapes that it was given.

    Raises:
        ValueError: the logits are not of rank 2, or the step changed the number, shape or type of the cache's tensors.
    """
    logits, new_cache = step(token, position, cache)
    if logits.shape.rank != 2:
        raise ValueError(f"step must return logits of shape (batch, vocabulary). Received shape {logits.shape}.")
    before, after = tf.nest.flatten(cache), [tf.convert_to_tensor(x) for x in tf.nest.flatten(new_cache)]
    if len(before) != len(after):
        raise ValueError(f"step got a cache of {len(before)} tensors and returned {len(after)}: return them all.")
    for old, new in zip(before, after, strict=True):
        if old.dtype != new.dtype or not new.shape.is_compatible_with(old.shape):
            raise ValueError(
                f"step must keep the shape and type of its cache (write in place, never append). A tensor went in as "
                f"{old.dtype.name} {old.shape} and came back as {new.dtype.name} {new.shape}."
            )
        new.set_shape(old.shape)
    return logits, tf.nest.pack_sequence_as(cache, after)


def vocabulary_size(step: Step, batch_size: BatchSize, cache: Cache) -> int:
    """V, found by tracing `step` once: only the repetition penalty needs to know it before the first step runs.

    Raises:
        ValueError: the last axis of the logits is not static.
    """
    rows = batch_size if isinstance(batch_size, int) else None
    specs = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), cache)
    traced = tf.function(step, autograph=False).get_concrete_function(
        tf.TensorSpec((rows,), tf.int32), tf.TensorSpec((), tf.int32), specs
    )
    size = traced.structured_outputs[0].shape[-1]
    if size is None:
        raise ValueError("A repetition penalty needs logits (batch, vocabulary) whose vocabulary size is static.")
    return size


def nothing_seen(step: Step, batch_size: BatchSize, cache: Cache) -> tf.Tensor:
    """A (B, V) bool table of the tokens generated so far: none."""
    return tf.fill((batch_size, vocabulary_size(step, batch_size, cache)), False)


def mark_seen(seen: tf.Tensor, token: tf.Tensor) -> tf.Tensor:
    """`seen` with each row's new token marked."""
    return seen | tf.equal(tf.range(seen.shape[-1])[None], token[:, None])


def write(output: tf.Tensor, position: tf.Tensor, token: tf.Tensor) -> tf.Tensor:
    """`output` ((B, T)) with column `position` replaced: a blend, since LiteRT has no scatter for it."""
    return tf.where(tf.equal(tf.range(output.shape[1])[None], position), token[:, None], output)


def as_batch_size(batch_size: Any) -> BatchSize:
    """A Python int for a static batch, a scalar int32 tensor for a dynamic one."""
    if isinstance(batch_size, Integral):
        if batch_size < 1:
            raise ValueError(f"Expected batch_size to be at least 1. Received {batch_size}.")
        return int(batch_size)
    if not tf.is_tensor(batch_size) or batch_size.shape.rank != 0:
        raise ValueError(
            f"Expected batch_size to be an int or a scalar tensor, e.g. tf.shape(x)[0]. Got {batch_size!r}."
        )
    return tf.cast(batch_size, tf.int32)


def as_seed(seed: Any) -> tf.Tensor:
    """The seed as a (2,) int32 tensor."""
    seed = tf.convert_to_tensor(seed, tf.int32)
    if seed.shape != (2,):
        raise ValueError(f"Expected seed to be two integers, e.g. (0, 42). Received shape {seed.shape}.")
    return seed


def check_ids(max_length: int, **ids: int) -> None:
    """Refuse lengths below 1 and ids that are no token."""
    if not isinstance(max_length, Integral) or max_length < 1:
        raise ValueError(
            f"Expected max_length to be an integer >= 1, the width of the output. Received {max_length!r}."
        )
    for name, value in ids.items():
        if not isinstance(value, Integral) or value < 0:
            raise ValueError(f"Expected {name} to be a token id, an integer >= 0. Received {value!r}.")


class StopSequences:
    """Token sequences that end a row once they stand at its end.

    All sequences are matched at once against a window of each row's latest tokens, so the cost per step does not grow
    with the number of sequences.

    Args:
        sequences: lists of token ids, e.g. `[[13, 10], [7]]`; empty switches the matching off.

    Raises:
        ValueError: a sequence is empty or holds something else than token ids.
    """

    NO_TOKEN = -1  # fills the window before the first token; no id is negative

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        sequences = [self._checked(sequence) for sequence in sequences]
        self.longest = max(map(len, sequences), default=0)
        padded = [[self.NO_TOKEN] * (self.longest - len(s)) + list(s) for s in sequences]
        self._patterns = np.array(padded, "int32").reshape(1, len(sequences), self.longest)

    def __bool__(self) -> bool:
        return self.longest > 0

    @staticmethod
    def _checked(sequence: Sequence[int]) -> list[int]:
        ids = [] if isinstance(sequence, (str, bytes, Integral)) else list(sequence)
        if not ids or not all(isinstance(i, Integral) and i >= 0 for i in ids):
            raise ValueError(
                f"Expected stop_sequences to be a list of non-empty lists of token ids, e.g. [[13, 10], [7]]. "
                f"One of them is {sequence!r}; encode text with the tokenizer first."
            )
        return [int(i) for i in ids]

    def start(self, batch_size: BatchSize) -> tf.Tensor:
        """The empty window, (B, longest) int32."""
        return tf.fill((batch_size, self.longest), self.NO_TOKEN)

    def push(self, recent: tf.Tensor, token: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The window with `token` at its end, and which rows now end with a stop sequence ((B,) bool)."""
        recent = tf.concat([recent[:, 1:], token[:, None]], axis=1)
        same = tf.equal(recent[:, None], self._patterns) | (self._patterns == self.NO_TOKEN)
        return recent, tf.reduce_any(tf.reduce_all(same, axis=-1), axis=-1)
