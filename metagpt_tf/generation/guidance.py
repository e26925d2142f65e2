"""Classifier-free guidance: what a description adds to the logits, taken more than once.

Axes: B batch, V vocabulary.
"""

import math
from typing import Any

import tensorflow as tf

from metagpt_tf.generation.steps import Cache, Step


def guided(step: Step, guidance: float) -> Step:
    """A step that follows its description more closely than the model would.

    Use it with a model that has also seen examples without their description and whatever else is in their source. Its
    cache is a pair: that of the source as it is, and that of the source without.

        logits = l_without + g · (l_with - l_without)

    g = 1 is the model as it is, larger ones trade variety for a closer likeness, 0 leaves the description out.

    Args:
        step: of the model; it runs twice.
        guidance: g, at least 0.

    Returns:
        A step over pairs of caches.

    Raises:
        ValueError: a negative or infinite `guidance`.

    Example:

    >>> step = lambda tokens, position, cache: (cache, cache)
    >>> logits, _ = guided(step, 2.0)(tf.constant([0]), tf.constant(0), (tf.constant([[3.0]]), tf.constant([[1.0]])))
    >>> float(logits[0, 0])
    5.0

    Reference: Ho and Salimans, 2022, "Classifier-Free Diffusion Guidance", https://arxiv.org/abs/2207.12598; for
    tokens: Sanchez et al., 2023, "Stay on topic with Classifier-Free Guidance", https://arxiv.org/abs/2306.17806.
    """
    if not (math.isfinite(guidance) and guidance >= 0):
        raise ValueError(f"guidance must be a finite number of at least 0, received {guidance!r}.")

    def both(tokens: tf.Tensor, position: tf.Tensor, cache: Cache) -> tuple[tf.Tensor, Any]:
        (told, first), (free, second) = (step(tokens, position, part) for part in cache)
        return free + guidance * (told - free), (first, second)

    return both
