"""Meta-SGD."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.meta.algorithm import Algorithm, Weights, registry


@registry.register("meta_sgd")
class MetaSGD(Algorithm):
    """MAML whose inner step has a learned rate for every single parameter: `φ = θ − a ∘ ∇L_support(θ)`.

    Rates may become negative, as in the paper. Use it when tasks move few directions far; it doubles what is
    meta-learned.

    Args:
        inner_steps: n; the paper uses 1.
        inner_learning_rate: first value of every rate.
        scope: which weights a task adapts.
        first_order: ignore second derivatives of the inner gradients (the rates still learn).

    Example:

    >>> MetaSGD(inner_learning_rate=0.05).inner_steps
    1

    Reference: Li et al., 2017, "Meta-SGD: Learning to Learn Quickly for Few-Shot Learning".
    """

    def build(self, shapes: Sequence[tuple[int, ...]]) -> None:
        first = keras.initializers.Constant(self.inner_learning_rate)
        self.rates = [
            self.add_weight(shape=shape, initializer=first, name=f"rate_{i}", dtype="float32")
            for i, shape in enumerate(shapes)
        ]
        super().build(shapes)

    def update(self, fast: Weights, gradients: Weights, rate_multiplier: Any = 1.0) -> Weights:
        rates = [tf.convert_to_tensor(rate) * rate_multiplier for rate in self.rates]
        return [w - tf.cast(a, w.dtype) * g for w, a, g in zip(fast, rates, gradients, strict=True)]
