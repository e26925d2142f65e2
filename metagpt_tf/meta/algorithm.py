"""What every meta-learning algorithm is: a start, an update rule, and an objective for the outer loop."""

import numbers
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.registry import Registry

Weights = list[tf.Tensor]
LossOfWeights = Callable[[Weights], tf.Tensor]

registry: Registry["Algorithm"] = Registry("algorithm")
get = registry.get


class Algorithm(keras.layers.Layer):
    """Base of the algorithms: gradient descent on fast weights, `w ← w − α ∇_w L_support(w)`.

    A subclass changes one of three things: where a task starts (`start`), how a step is taken (`update`), or what the
    outer loop minimises (`objective`). What it meta-learns beside the initialisation are its own Keras weights, made in
    `build`. Register it with `registry.register("name")`.

    Args:
        inner_steps: gradient steps on the support set.
        inner_learning_rate: α.
        scope: which weights a task adapts (see `metagpt_tf.fast_weights.scope_variables`).
        first_order: ignore how the inner gradients depend on the initialisation.

    Raises:
        ValueError: a number of steps that is negative or not whole, or a rate that is not positive.

    Example:

    >>> algorithm = Algorithm(inner_steps=2, inner_learning_rate=0.25)
    >>> fast, loss = algorithm.adapt([tf.constant(4.0)], lambda w: w[0] ** 2)
    >>> float(fast[0]), float(loss)
    (1.0, 4.0)

    Reference: Finn et al., 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks".
    """

    def __init__(
        self,
        inner_steps: int = 1,
        inner_learning_rate: float = 0.01,
        scope: str = "all",
        first_order: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_steps("inner_steps", inner_steps)
        if not inner_learning_rate > 0:
            raise ValueError(f"inner_learning_rate must be > 0, received {inner_learning_rate}.")
        self.inner_steps = inner_steps
        self.inner_learning_rate = inner_learning_rate
        self.scope = scope
        self.first_order = first_order

    def build(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Make the algorithm's own weights for fast weights of these shapes."""
        self.built = True

    def check_shapes(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Refuse fast weights of shapes that the algorithm's own weights were not made for.

        Raises:
            ValueError: other shapes.
        """

    def start(self, weights: Weights) -> Weights:
        """Fast weights a task begins with, given the meta-learned values of its scope."""
        return weights

    def update(self, fast: Weights, gradients: Weights, rate_multiplier: Any = 1.0) -> Weights:
        """One inner step. `rate_multiplier` scales the algorithm's own rates, for tuning them after training."""
        rate = self.inner_learning_rate * rate_multiplier
        return [w - tf.cast(rate, w.dtype) * g for w, g in zip(fast, gradients, strict=True)]

    def objective(self, start: Weights, fast: Weights, query_loss: LossOfWeights) -> tuple[tf.Tensor, tf.Tensor]:
        """The scalar whose gradient is the meta-gradient, and the query loss after adaptation to log.

        Args:
            start: fast weights that the task began with.
            fast: fast weights after the inner loop.
            query_loss: loss of the query set as a function of fast weights.
        """
        loss = query_loss(fast)
        return loss, loss

    def adapt(
        self, fast: Weights, support_loss: LossOfWeights, steps: int | None = None, rate_multiplier: Any = 1.0
    ) -> tuple[Weights, tf.Tensor]:
        """Run the inner loop; differentiable with respect to `fast` unless `first_order`.

        Args:
            fast: fast weights to begin with.
            support_loss: loss of the support set as a function of fast weights.
            steps: number of steps; `None` for `inner_steps`.
            rate_multiplier: factor on the inner rates.

        Returns:
            Adapted fast weights, and the support loss seen by the last step (before it; 0 without steps).
        """
        loss = tf.zeros((), tf.float32)
        for _ in range(self.inner_steps if steps is None else steps):
            fast, loss = self.step(fast, support_loss, rate_multiplier)
        return fast, loss

    def step(self, fast: Weights, support_loss: LossOfWeights, rate_multiplier: Any = 1.0) -> tuple[Weights, tf.Tensor]:
        """One inner step: new fast weights, and the support loss before it."""
        loss, gradients = self.gradients(fast, support_loss)
        return self.update(fast, gradients, rate_multiplier), loss

    def adapt_rolled(self, fast: Weights, support_loss: LossOfWeights) -> Weights:
        """`adapt` as a loop in the graph: a third of the file and of its conversion time, but not differentiable."""

        def body(i: tf.Tensor, weights: Weights) -> tuple[tf.Tensor, Weights]:
            return i + 1, self.step(weights, support_loss)[0]

        start = (tf.constant(0), [tf.convert_to_tensor(w) for w in fast])
        return tf.while_loop(lambda i, _: i < self.inner_steps, body, start)[1]

    def gradients(self, fast: Weights, loss_of: LossOfWeights) -> tuple[tf.Tensor, Weights]:
        """Loss and its gradients, dense and, for a first-order algorithm, cut off from the outer loop."""
        with tf.GradientTape() as tape:
            tape.watch(fast)
            loss = loss_of(fast)
        found = tape.gradient(loss, fast, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        # An embedding's gradient is sparse; neither the update nor vectorized_map takes it so.
        dense = [tf.convert_to_tensor(g) for g in found]
        return loss, [tf.stop_gradient(g) for g in dense] if self.first_order else dense

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "inner_steps": self.inner_steps,
            "inner_learning_rate": self.inner_learning_rate,
            "scope": self.scope,
            "first_order": self.first_order,
        }


def check_steps(name: str, steps: Any) -> None:
    """Refuse a number of steps that is negative or not whole.

    Raises:
        ValueError: such a number.
    """
    if isinstance(steps, bool) or not isinstance(steps, numbers.Integral) or steps < 0:
        raise ValueError(f"{name} must be a whole number >= 0, received {steps!r}.")


def always_first_order(name: str, arguments: dict[str, Any]) -> None:
    """Take `first_order` out of constructor arguments: a config carries it, but for some algorithms it is no choice.

    Raises:
        ValueError: it was given as false.
    """
    if not arguments.pop("first_order", True):
        raise ValueError(f"{name} is a first-order algorithm. For second order use MAML(first_order=False).")
