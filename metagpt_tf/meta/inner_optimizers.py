"""Differentiable update rules of the inner loop: pure functions of weights, gradients, rates and slots."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from metagpt_tf.meta.inner import Weights
from metagpt_tf.registry import Registry

registry: Registry["InnerOptimizer"] = Registry("inner optimizer")
get = registry.get


class InnerOptimizer:
    """Base: turns the gradients of a step into a direction; the algorithm's rates say how far to go.

    `w ← w − α · d(g, slots)`. No variable is written, so that the outer loop can differentiate through it. A subclass
    defines `direction`, and `slots` if it remembers something.

    Example:

    >>> class SignDescent(InnerOptimizer):
    ...     def direction(self, gradients, slots, index):
    ...         return [tf.sign(g) for g in gradients], slots
    >>> SignDescent().apply([tf.constant(1.0)], [tf.constant(9.0)], [0.25], (), 0)[0][0].numpy().item()
    0.75
    """

    def slots(self, weights: Weights) -> Any:
        """What the rule remembers, as it is before the first step."""
        return ()

    def direction(self, gradients: Weights, slots: Any, index: Any) -> tuple[Weights, Any]:
        """`d` and the new slots, for step number `index` (0 for the first)."""
        raise NotImplementedError(f"{type(self).__name__} must define direction(gradients, slots, index).")

    def apply(
        self, weights: Weights, gradients: Weights, rates: Sequence[Any], slots: Any, index: Any
    ) -> tuple[Weights, Any]:
        """The weights after a step, and the new slots.

        Args:
            weights: fast weights.
            gradients: one for each of them.
            rates: α for each of them, a scalar or a tensor that broadcasts to its shape.
            slots: from `slots` or from the step before.
            index: number of steps taken before.
        """
        directions, slots = self.direction(gradients, slots, index)
        triples = zip(weights, rates, directions, strict=True)
        return [w - tf.cast(a, w.dtype) * tf.cast(d, w.dtype) for w, a, d in triples], slots

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "InnerOptimizer":
        """Build from `get_config`."""
        return cls(**config)


@registry.register("sgd")
class InnerSGD(InnerOptimizer):
    """Plain gradient descent, `d = g`.

    Example:

    >>> InnerSGD().apply([tf.constant(1.0)], [tf.constant(2.0)], [0.25], (), 0)[0][0].numpy().item()
    0.5
    """

    def direction(self, gradients: Weights, slots: Any, index: Any) -> tuple[Weights, Any]:
        return gradients, slots


@registry.register("momentum")
class InnerMomentum(InnerOptimizer):
    """Heavy ball, `v ← μ v + g`, `d = v`; starts at rest with every task.

    Args:
        momentum: μ in [0, 1).

    Raises:
        ValueError: μ outside [0, 1).

    Example:

    >>> rule = InnerMomentum(0.5)
    >>> weights, slots = rule.apply([tf.constant(1.0)], [tf.constant(1.0)], [0.1], rule.slots([tf.constant(1.0)]), 0)
    >>> round(rule.apply(weights, [tf.constant(1.0)], [0.1], slots, 1)[0][0].numpy().item(), 3)
    0.75

    Reference: Polyak, 1964.
    """

    def __init__(self, momentum: float = 0.9) -> None:
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"momentum must be in [0, 1), received {momentum}.")
        self.momentum = momentum

    def slots(self, weights: Weights) -> Any:
        return [tf.zeros_like(w) for w in weights]

    def direction(self, gradients: Weights, slots: Any, index: Any) -> tuple[Weights, Any]:
        moving = [tf.cast(self.momentum, g.dtype) * v + g for v, g in zip(slots, gradients, strict=True)]
        return moving, moving

    def get_config(self) -> dict[str, Any]:
        return {"momentum": self.momentum}


@registry.register("adam")
class InnerAdam(InnerOptimizer):
    """Adam, `d = m̂ / (√(v̂ + ε²) + ε)`, with bias-corrected moments that start at 0 with every task.

    Use it where one SGD rate does not fit all weights, with several inner steps. The root's argument holds `ε²`: the
    slope of `√v` at `v = 0` is infinite, and a weight without a gradient would turn the meta-gradient into NaN.

    Args:
        beta_1: decay of the first moment, in [0, 1).
        beta_2: decay of the second moment, in [0, 1).
        epsilon: ε > 0.

    Raises:
        ValueError: a number outside its range.

    Example:

    >>> rule = InnerAdam()
    >>> weights, _ = rule.apply([tf.constant(1.0)], [tf.constant(9.0)], [0.1], rule.slots([tf.constant(1.0)]), 0)
    >>> round(weights[0].numpy().item(), 4)
    0.9

    Reference: Kingma & Ba, 2015, "Adam: A Method for Stochastic Optimization".
    """

    def __init__(self, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7) -> None:
        if not (0.0 <= beta_1 < 1.0 and 0.0 <= beta_2 < 1.0 and epsilon > 0.0):
            raise ValueError(
                f"Expected beta_1 and beta_2 in [0, 1) and epsilon > 0, received {beta_1}, {beta_2}, {epsilon}."
            )
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def slots(self, weights: Weights) -> Any:
        zeros = [tf.zeros(w.shape, tf.float32) for w in weights]
        return zeros, list(zeros)

    def direction(self, gradients: Weights, slots: Any, index: Any) -> tuple[Weights, Any]:
        gradients = [tf.cast(g, tf.float32) for g in gradients]
        first = [self.beta_1 * m + (1 - self.beta_1) * g for m, g in zip(slots[0], gradients, strict=True)]
        second = [self.beta_2 * v + (1 - self.beta_2) * g * g for v, g in zip(slots[1], gradients, strict=True)]
        count = tf.cast(index + 1, tf.float32)
        unbias_1, unbias_2 = 1 - self.beta_1**count, 1 - self.beta_2**count
        directions = [
            (m / unbias_1) / (tf.sqrt(v / unbias_2 + self.epsilon**2) + self.epsilon)
            for m, v in zip(first, second, strict=True)
        ]
        return directions, (first, second)

    def get_config(self) -> dict[str, Any]:
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
