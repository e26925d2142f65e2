"""Which model a state is of, written into the state itself.

The lowest bit of each of a state's first 64 numbers says so: 32 bits that say that there is a mark, and 32 of the
model's checksum. That moves a number by a ten-millionth of itself at most and leaves the state's length and meaning as
they are. A state without a mark (from Keras or a LiteRT file) is taken as it comes.
"""

import zlib

import numpy as np
import tensorflow as tf

from metagpt_tf.meta import MetaLearner

SIGN = 0x4D455441  # that there is a mark
PLACES = 64


def mark_of(learner: MetaLearner) -> int:
    """A checksum of the learner's weights and scope: 32 bits."""
    checksum = zlib.crc32(learner.layout.scope.encode())
    for weight in learner.get_weights():
        checksum = zlib.crc32(np.ascontiguousarray(weight).tobytes(), checksum)
    return checksum


def bits_of(mark: int) -> np.ndarray:
    """The 64 bits that stand in a state of that model, int32."""
    return np.array([(number >> i) & 1 for number in (SIGN, mark) for i in range(32)], "int32")


def marked(state: tf.Tensor, mark: int) -> tf.Tensor:
    """The state `(P,)` with the mark in it; one of fewer than 64 numbers has no room and stays."""
    if state.shape[0] < PLACES:
        return state
    first = tf.bitcast(state[:PLACES], tf.int32)
    bits = tf.bitwise.bitwise_or(tf.bitwise.bitwise_and(first, ~np.int32(1)), bits_of(mark))
    return tf.concat([tf.bitcast(bits, tf.float32), state[PLACES:]], axis=0)


def checked(state: tf.Tensor, mark: int) -> tf.Tensor:
    """The state, in a graph that refuses one that is marked as another model's, or not finite."""
    checks = [
        tf.debugging.Assert(
            tf.reduce_all(tf.math.is_finite(state)), ["The state holds numbers that are not finite. Adapt again."]
        )
    ]
    if state.shape[0] >= PLACES:
        bits = tf.bitwise.bitwise_and(tf.bitcast(state[:PLACES], tf.int32), np.int32(1))
        own = bits_of(mark)
        other = tf.reduce_all(tf.equal(bits[:32], own[:32])) & tf.reduce_any(tf.not_equal(bits[32:], own[32:]))
        message = "This state was made by another model or version. Adapt again with the one that is asked now."
        checks.append(tf.debugging.Assert(tf.logical_not(other), [message]))
    with tf.control_dependencies(checks):
        return tf.identity(state)


def read_mark(state: np.ndarray) -> int | None:
    """The checksum of the model that a state is marked with, `None` without a mark.

    Example:

    >>> read_mark(marked(tf.ones([100]), 12345).numpy())
    12345
    >>> read_mark(np.ones(100, "float32"))
    """
    if len(state) < PLACES:
        return None
    bits = np.asarray(state[:PLACES], "float32").view("int32") & 1
    sign, mark = (sum(int(bit) << i for i, bit in enumerate(part)) for part in (bits[:32], bits[32:]))
    return mark if sign == SIGN else None
