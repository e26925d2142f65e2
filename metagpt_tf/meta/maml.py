"""Model-agnostic meta-learning."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.meta.algorithm import Algorithm, Weights, registry


@registry.register("maml")
class MAML(Algorithm):
    """Learn an initialisation from which a few gradient steps on a task's support set do well on its query set.

    `θ ← θ − β ∇_θ Σ_tasks L_query(φ_n)`, with `φ_0 = θ`, `φ_{i+1} = φ_i − α ∇L_support(φ_i)`; the gradient runs
    through the inner steps. Use it when the cost of second order (about 2.5 plain evaluations each) is bearable; it
    wins most after a warm start by plain training. `FOMAML` is the cheap form.

    Args:
        inner_steps: n.
        inner_learning_rate: α; for classification and language 0.01–0.4.
        scope: which weights a task adapts.
        first_order: see `FOMAML`.
        learn_rate: meta-learn α too, as `exp` of a weight that starts at `log α`: it stays positive.

    Raises:
        ValueError: a number of steps that is negative or not whole, or a rate that is not positive.

    Example:

    >>> MAML(inner_steps=3, inner_learning_rate=0.1).get_config()["inner_steps"]
    3

    Reference: Finn et al., 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks".
    """

    def __init__(
        self,
        inner_steps: int = 1,
        inner_learning_rate: float = 0.01,
        scope: str = "all",
        first_order: bool = False,
        learn_rate: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(inner_steps, inner_learning_rate, scope, first_order, **kwargs)
        self.learn_rate = learn_rate

    def build(self, shapes: Sequence[tuple[int, ...]]) -> None:
        if self.learn_rate:
            start = keras.initializers.Constant(math.log(self.inner_learning_rate))
            self.log_rate = self.add_weight(
                shape=(), initializer=start, name="log_inner_learning_rate", dtype="float32"
            )
        super().build(shapes)

    def update(self, fast: Weights, gradients: Weights, rate_multiplier: Any = 1.0) -> Weights:
        if not self.learn_rate:
            return super().update(fast, gradients, rate_multiplier)
        rate = tf.exp(tf.convert_to_tensor(self.log_rate)) * rate_multiplier
        return [w - tf.cast(rate, w.dtype) * g for w, g in zip(fast, gradients, strict=True)]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "learn_rate": self.learn_rate}
