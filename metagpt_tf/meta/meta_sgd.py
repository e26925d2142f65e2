"""Meta-SGD."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.meta.algorithm import Algorithm, registry
from metagpt_tf.meta.inner import Carry, Weights


@registry.register("meta_sgd")
class MetaSGD(Algorithm):
    """MAML whose inner step has a learned rate for every single parameter: `φ_{i+1} = φ_i − a ∘ ∇L_support(φ_i)`.

    Both are meta-learned: `(θ, a)` take an outer step against `∇_(θ, a) Σ_tasks L_query(φ_n)`.

    Rates may become negative, as in the paper. Use it when tasks move few directions far; it doubles what is
    meta-learned.

    Args:
        inner_steps: n; the paper uses 1.
        inner_learning_rate: first value of every rate.
        scope: which weights a task adapts.
        first_order: ignore second derivatives of the inner gradients (the rates still learn).
        inner_optimizer: `"sgd"` (the paper's), `"momentum"` or `"adam"`.

    Raises:
        ValueError: a number of steps that is negative or not whole, or a rate that is not positive.

    Example:

    >>> MetaSGD(inner_learning_rate=0.05).inner_steps
    1

    Reference: Li et al., 2017, "Meta-SGD: Learning to Learn Quickly for Few-Shot Learning".
    """

    def build(self, shapes: Sequence[tuple[int, ...]]) -> None:
        first = keras.initializers.Constant(self.inner_learning_rate)
        self.learned_rates = [
            self.add_weight(shape=shape, initializer=first, name=f"rate_{i}", dtype="float32")
            for i, shape in enumerate(shapes)
        ]
        super().build(shapes)

    def check_shapes(self, shapes: Sequence[tuple[int, ...]]) -> None:
        mine = [tuple(rate.shape) for rate in self.learned_rates]
        if mine != [tuple(shape) for shape in shapes]:
            raise ValueError(
                f"These MetaSGD rates are for {len(mine)} weights, {mine[:3]}…; scope {self.scope!r} now picks "
                f"{len(shapes)}, {list(shapes)[:3]}…. Make a new MetaSGD for another model or other trainable layers."
            )

    def rates(self, carry: Carry, gradients: Weights) -> list[Any]:
        return [tf.convert_to_tensor(rate) for rate in self.learned_rates]
