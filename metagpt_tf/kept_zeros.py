"""Zeros that stay: a pruned weight is one that is exactly zero, and neither loop of meta-learning wakes it.

No mask is kept anywhere. `w · [w ≠ 0]` has the value of `w` and no gradient where `w` is zero, in training, in a
SavedModel and in a LiteRT file alike.
"""

import contextlib
import contextvars
import math
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

PRUNABLE = ("kernel", "embeddings")
_WITNESS: contextvars.ContextVar[Any] = contextvars.ContextVar("metagpt_tf_places_witness", default=None)


def is_prunable(variable: Any) -> bool:
    """Whether zeros of this variable count as pruned: matrices named kernel or embeddings, no bias and no adapter."""
    return variable.name in PRUNABLE and len(variable.shape) >= 2


def without_gradient_at_zeros(weight: tf.Tensor) -> tf.Tensor:
    """`w · [w ≠ 0]`: the same values, and a gradient of zero where they are zero."""
    return weight * tf.cast(tf.not_equal(weight, tf.zeros([], weight.dtype)), weight.dtype)


def kept_places(variable: Any) -> np.ndarray:
    """Places `(n,) int32` of the weights that are not zero, in the flattened variable; read outside of any graph."""
    with tf.init_scope():
        return np.flatnonzero(keras.ops.convert_to_numpy(variable)).astype("int32")


@contextlib.contextmanager
def places_found_by_graph(witness: Any, constant: frozenset[int] = frozenset()) -> Iterator[None]:
    """Trace graphs that find the kept places in the weights each time they run, instead of holding them as constants.

    For files: four bytes a kept weight would make a pruned file larger than a dense one.

    Args:
        witness: any numeric input of the graph. The weights depend on it in name only, so that a converter cannot
            work the places out beforehand.
        constant: ids of variables whose places are held all the same: the file stores a kept weight of theirs as zero.
    """
    token = _WITNESS.set((witness, constant))
    try:
        yield
    finally:
        _WITNESS.reset(token)


def places_in(variable: Any, kept: np.ndarray) -> Any:
    """Places `(n,)` int32 of the weights that are not zero: `kept` as it is, or found by the graph."""
    given = _WITNESS.get()
    if given is None or id(variable) in given[1]:
        return kept
    one = tf.maximum(tf.cast(tf.reduce_any(given[0] > 0), tf.float32), 1.0)
    # Not flattened first: a converter would write the flattened weights into the file once more.
    found = tf.where(tf.not_equal(tf.convert_to_tensor(variable.value) * one, 0.0))
    strides = [math.prod(variable.shape[axis + 1 :]) for axis in range(len(variable.shape))]
    return tf.reshape(tf.reduce_sum(tf.cast(found, tf.int32) * strides, axis=-1), [len(kept)])


def pattern_of(variables: Iterable[Any]) -> int:
    """A checksum of where the zeros are, to see that they have moved."""
    checksum = 0
    with tf.init_scope():
        for variable in variables:
            checksum = zlib.crc32(np.packbits(keras.ops.convert_to_numpy(variable) != 0).tobytes(), checksum)
    return checksum


def sparsity(model: keras.Model) -> float:
    """Share of zeros among the weights of a model that can be pruned.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, kernel_initializer="zeros")])
    >>> sparsity(model)
    1.0
    """
    found = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables if is_prunable(v)]
    total = sum(values.size for values in found)
    return sum(int((values == 0).sum()) for values in found) / total if total else 0.0
