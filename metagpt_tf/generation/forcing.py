"""Tokens that are known before they are written: filling in what is between them.

Axes: B batch, T tokens, V vocabulary.
"""

from typing import Any

import tensorflow as tf

from metagpt_tf.generation.steps import Step

OPEN = -1
NEVER = -1e9  # a logit that no sampler draws


def forced(step: Step) -> Step:
    """A step that leaves no choice at places whose token is known.

    Use it to fill in: the tokens that are known are read like those that the model has written itself, so what is open
    is written in the light of all that stands before it. What is known behind a place is not seen from there.

        logits_v = -10⁹ for every v but known[position], where that is not -1

    Args:
        step: of the model.

    Returns:
        A step over pairs: the model's cache, and the known tokens `(B, T) int32`, -1 where the model is to choose.

    Example:

    >>> step = lambda tokens, position, cache: (tf.constant([[3.0, 1.0]]), cache)
    >>> known = tf.constant([[-1, 1]])
    >>> [int(tf.argmax(forced(step)(tf.constant([0]), tf.constant(p), ((), known))[0], axis=-1)[0]) for p in (0, 1)]
    [0, 1]
    """

    def choosing(tokens: tf.Tensor, position: tf.Tensor, cache: Any) -> tuple[tf.Tensor, Any]:
        logits, own = step(tokens, position, cache[0])
        here = tf.gather(cache[1], position, axis=1)[:, tf.newaxis]
        allowed = (here == OPEN) | (tf.range(tf.shape(logits)[1])[tf.newaxis] == here)
        return tf.where(allowed, logits, tf.cast(NEVER, logits.dtype)), (own, cache[1])

    return choosing
