"""Reptile, in the paper's reading and in one by a moving average of gradients."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from metagpt_tf.meta.algorithm import Algorithm, always_first_order, registry
from metagpt_tf.meta.inner import Adaptation, LossOfWeights, Weights


@registry.register("reptile")
class Reptile(Algorithm):
    """Move the initialisation towards the weights that each task ends with; needs no query set to learn.

    `θ ← θ + ε · mean_tasks (φ_n − θ)`: with `compile(SGD(ε))` exactly this, with another optimizer `θ − φ_n` is its
    gradient. Use it for its price (plain gradients only) with several inner steps; with one step it is joint
    training.

    With `moving_average=a` it follows another reading: `W ← a W + (1 − a) · mean_tasks ∇L_support(θ)`, then
    `θ ← θ − η W` (η is `compile`'s). That is joint training with momentum, one gradient a task, whatever
    `inner_steps` says; `adapt` takes the inner steps in both readings.

    Args:
        inner_steps: n; Reptile differs from joint training only for n > 1.
        inner_learning_rate: α.
        scope: which weights a task adapts, and with them the outer loop: the others stay as they are.
        inner_optimizer: `"sgd"`, `"momentum"` or `"adam"`.
        moving_average: a in [0, 1), or `None` for the paper's form.

    Raises:
        ValueError: steps negative or not whole, a rate that is not positive, `first_order=False`, or an average
            outside [0, 1).

    Example:

    >>> Reptile(inner_steps=5).inner_steps
    5

    Reference: Nichol et al., 2018, "On First-Order Meta-Learning Algorithms".
    """

    def __init__(
        self,
        inner_steps: int = 5,
        inner_learning_rate: float = 0.01,
        scope: str = "all",
        inner_optimizer: Any = "sgd",
        moving_average: float | None = None,
        **kwargs: Any,
    ) -> None:
        always_first_order("Reptile", kwargs)
        super().__init__(inner_steps, inner_learning_rate, scope, True, inner_optimizer, **kwargs)
        if moving_average is not None and not 0.0 <= moving_average < 1.0:
            raise ValueError(f"moving_average must be in [0, 1) or None, received {moving_average}.")
        self.moving_average = moving_average

    def build(self, shapes: Sequence[tuple[int, ...]]) -> None:
        if self.moving_average is not None:
            self.averages = [
                self.add_weight(shape=shape, initializer="zeros", name=f"average_{i}", dtype="float32", trainable=False)
                for i, shape in enumerate(shapes)
            ]
        super().build(shapes)

    def objective(
        self, run: Adaptation, support_loss: LossOfWeights, query_loss: LossOfWeights
    ) -> tuple[tf.Tensor, tf.Tensor]:
        # A sum whose gradient in θ is θ − φ, or ∇L_support(θ), so that the outer loop is the same for every algorithm.
        if self.moving_average is None:
            moves = [w - f for w, f in zip(run.start, run.fast, strict=True)]
        else:
            moves = self.gradients([tf.stop_gradient(w) for w in run.start], support_loss)[1]
        terms = [tf.reduce_sum(tf.stop_gradient(m) * w) for m, w in zip(moves, run.start, strict=True)]
        return tf.add_n(terms), tf.stop_gradient(query_loss(run.fast))

    def outer_gradients(self, gradients: Weights) -> Weights:
        if self.moving_average is None:
            return gradients
        a, pairs = self.moving_average, zip(self.averages, gradients, strict=True)
        moved = [a * tf.convert_to_tensor(w) + (1 - a) * tf.cast(g, tf.float32) for w, g in pairs]
        for variable, value in zip(self.averages, moved, strict=True):
            variable.assign(value)
        return moved

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "moving_average": self.moving_average}
