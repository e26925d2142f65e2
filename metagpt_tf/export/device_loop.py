"""The decode loop as LiteRT runs it fastest."""

from collections.abc import Collection, Sequence
from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.generation import Step

# Of layers that multiply by them, and do nothing else with them.
MATRICES = ("kernel", "low_rank_down", "low_rank_up")


def step_for_litert(
    step: Step, weights: Sequence[tuple[Any, tf.Tensor]], learned: Collection[int], source: tf.Tensor
) -> Step:
    """A decode step whose learned matrices are transposed once, before the loop, and not for each token.

    LiteRT multiplies by a matrix that is no constant with `FULLY_CONNECTED`, which wants outputs by inputs; Keras keeps
    inputs by outputs, and the converter puts a `TRANSPOSE` of each matrix into the loop's body. Here the matrices come
    into the body transposed and are transposed back there: two transpositions, which the converter drops.

    Args:
        step: a model's `decode_step`.
        weights: each variable with what stands in its place.
        learned: ids of the variables that the state holds; the others are constants, which are no matter.
        source: ids `(B, S)`, an input of the graph.

    Returns:
        A step with the same answers.
    """
    # What the converter cannot see through is added, or it would drop the transposition outside of the loop too.
    nothing = tf.cast(tf.minimum(tf.reduce_min(source), 0), tf.float32)  # ids are not negative
    turned = [id(v) in learned and v.name in MATRICES and len(v.shape) == 2 for v, _ in weights]
    outside = [tf.transpose(w) + nothing if is_turned else w for is_turned, (_, w) in zip(turned, weights, strict=True)]

    def run(token: tf.Tensor, position: tf.Tensor, cache: Any) -> tuple[tf.Tensor, Any]:
        inside = [tf.transpose(w) if is_turned else w for is_turned, w in zip(turned, outside, strict=True)]
        mapping = [(v, w) for (v, _), w in zip(weights, inside, strict=True)]
        with keras.StatelessScope(state_mapping=mapping):
            return step(token, position, cache)

    return run
