"""Reptile."""

from typing import Any

import tensorflow as tf

from metagpt_tf.meta.algorithm import Algorithm, LossOfWeights, Weights, always_first_order, registry


@registry.register("reptile")
class Reptile(Algorithm):
    """Move the initialisation towards the weights that each task ends with; needs no query set to learn.

    `θ ← θ + ε · mean_tasks (φ_n − θ)`: with `compile(SGD(ε))` exactly this, with another optimizer `θ − φ_n` is its
    gradient. Use it for its price (plain gradients only) with several inner steps; with one step it is joint
    training.

    Args:
        inner_steps: n; Reptile differs from joint training only for n > 1.
        inner_learning_rate: α.
        scope: which weights a task adapts, and with them the outer loop: the others stay as they are.

    Raises:
        ValueError: steps negative or not whole, a rate that is not positive, or `first_order=False`.

    Example:

    >>> Reptile(inner_steps=5).inner_steps
    5

    Reference: Nichol et al., 2018, "On First-Order Meta-Learning Algorithms".
    """

    def __init__(
        self, inner_steps: int = 5, inner_learning_rate: float = 0.01, scope: str = "all", **kwargs: Any
    ) -> None:
        always_first_order("Reptile", kwargs)
        super().__init__(inner_steps, inner_learning_rate, scope, first_order=True, **kwargs)

    def objective(self, start: Weights, fast: Weights, query_loss: LossOfWeights) -> tuple[tf.Tensor, tf.Tensor]:
        # A sum whose gradient in θ is θ − φ, so that the outer loop is the same for every algorithm.
        moves = [tf.stop_gradient(w - f) for w, f in zip(start, fast, strict=True)]
        pull = tf.add_n([tf.reduce_sum(m * w) for m, w in zip(moves, start, strict=True)])
        return pull, tf.stop_gradient(query_loss(fast))
