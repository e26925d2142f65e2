"""What every meta-learning algorithm is: a start, an update rule, and an objective for the outer loop."""

import numbers
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.meta.inner import Adaptation, Carry, LossOfWeights, Weights
from metagpt_tf.meta.inner_optimizers import get as get_inner_optimizer
from metagpt_tf.meta.rematerialize import recomputed_step
from metagpt_tf.registry import Registry

registry: Registry["Algorithm"] = Registry("algorithm")
get = registry.get


class Algorithm(keras.layers.Layer):
    """Base of the algorithms: gradient descent on fast weights, `w ← w − α ∇_w L_support(w)`.

    A subclass changes where a task starts (`start`), how far a step goes (`rates`), what a step is (`step`), what the
    outer loop minimises (`objective`) or what it does with the gradients (`outer_gradients`). What it meta-learns
    beside the initialisation are its own Keras weights, made in `build`. Register it with `registry.register("name")`.

    Args:
        inner_steps: gradient steps on the support set.
        inner_learning_rate: α.
        scope: which weights a task adapts (see `metagpt_tf.fast_weights.scope_variables`).
        first_order: ignore how the inner gradients depend on the initialisation.
        inner_optimizer: `"sgd"`, `"momentum"`, `"adam"`, or an object; each task starts it afresh.

    Raises:
        ValueError: a number of steps that is negative or not whole, or a rate that is not positive.

    Example:

    >>> algorithm = Algorithm(inner_steps=2, inner_learning_rate=0.25)
    >>> run = algorithm.adapt([tf.constant(4.0)], lambda w: w[0] ** 2)
    >>> float(run.fast[0]), float(run.support_loss)
    (1.0, 4.0)

    Reference: Finn et al., 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks".
    """

    def __init__(
        self,
        inner_steps: int = 1,
        inner_learning_rate: float = 0.01,
        scope: str = "all",
        first_order: bool = False,
        inner_optimizer: Any = "sgd",
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
        self.inner_optimizer = get_inner_optimizer(inner_optimizer)
        self._cut = first_order
        self.recomputes = False  # see `rematerialize.recomputed_steps`

    # ---------------------------------------------------------------- weights of its own

    # Which layer each fast weight belongs to, counted from 0; empty where each counts as its own. Set before `build`.
    layer_indices: Sequence[int] = ()

    def build(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Make the algorithm's own weights for fast weights of these shapes."""
        self.built = True

    def get_build_config(self) -> dict[str, Any] | None:
        config = super().get_build_config()
        return config and {**config, "layer_indices": list(self.layer_indices)}

    def build_from_config(self, config: dict[str, Any]) -> None:
        # Keras builds a loaded layer before its learner can tell it the layers.
        config = dict(config)
        self.layer_indices = tuple(config.pop("layer_indices", ()))
        super().build_from_config(config)

    def check_shapes(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Refuse fast weights of shapes that the algorithm's own weights were not made for.

        Raises:
            ValueError: other shapes.
        """

    # ---------------------------------------------------------------- the inner loop

    def start(self, weights: Weights, support_loss: Any = None) -> Weights:
        """Fast weights a task begins with.

        Args:
            weights: the meta-learned values of the scope.
            support_loss: the task's `TaskLoss`, for algorithms that look at the support set first.
        """
        return weights

    def begin(self, start: Weights, support_loss: Any = None) -> Carry:
        """What the first inner step is handed; `support_loss` for algorithms that look at the task first."""
        return Carry(start, self.inner_optimizer.slots(start), 0)

    def rates(self, carry: Carry, gradients: Weights) -> list[Any]:
        """α for each fast weight, scalars or tensors that broadcast to its shape."""
        return [self.inner_learning_rate] * len(gradients)

    def step(self, carry: Carry, support_loss: LossOfWeights, rate_multiplier: Any = 1.0) -> tuple[Carry, tf.Tensor]:
        """One inner step: the new carry, and the support loss before it.

        Args:
            carry: where the task stands.
            support_loss: loss of the support set as a function of fast weights.
            rate_multiplier: factor on the algorithm's own rates, for tuning them after training.
        """
        loss, gradients = self.gradients(carry.weights, support_loss)
        rates = [tf.cast(rate, tf.float32) * rate_multiplier for rate in self.rates(carry, gradients)]
        weights, slots = self.inner_optimizer.apply(carry.weights, gradients, rates, carry.slots, carry.index)
        return Carry(weights, slots, carry.index + 1), loss

    def adapt(
        self, start: Weights, support_loss: Any, steps: int | None = None, rate_multiplier: Any = 1.0
    ) -> Adaptation:
        """Run the inner loop; differentiable with respect to `start` unless first order.

        Args:
            start: fast weights to begin with.
            support_loss: loss of the support set as a function of fast weights.
            steps: number of steps; `None` for `inner_steps`.
            rate_multiplier: factor on the inner rates.
        """
        carry = self.begin(start, support_loss)
        path, losses = [carry.weights], []
        for _ in range(self.inner_steps if steps is None else steps):
            if self.recomputes and not self._cut:
                carry, loss = recomputed_step(self, carry, support_loss, rate_multiplier)
            else:
                carry, loss = self.step(carry, support_loss, rate_multiplier)
            path.append(carry.weights)
            losses.append(loss)
        return Adaptation(path, losses, carry)

    def adapt_rolled(self, start: Weights, support_loss: LossOfWeights) -> Weights:
        """`adapt` as a loop in the graph: a third of the file and of its conversion time, but not differentiable."""
        first = self.begin([tf.convert_to_tensor(w) for w in start], support_loss)
        carry = Carry(first.weights, first.slots, tf.constant(0))

        def body(carry: Carry) -> tuple[Carry]:
            return (self.step(carry, support_loss)[0],)

        return tf.while_loop(self.goes_on, body, (carry,))[0].weights

    def goes_on(self, carry: Carry) -> tf.Tensor:
        """Whether a loop of the graph takes another step, `() bool`."""
        return carry.index < self.inner_steps

    def gradients(self, fast: Weights, loss_of: LossOfWeights) -> tuple[tf.Tensor, Weights]:
        """Loss and its gradients, dense and, in first order, cut off from the outer loop."""
        with tf.GradientTape() as tape:
            tape.watch(fast)
            loss = loss_of(fast)
        found = tape.gradient(loss, fast, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        # An embedding's gradient is sparse; neither the update nor vectorized_map takes it so.
        dense = [tf.convert_to_tensor(g) for g in found]
        return loss, [tf.stop_gradient(g) for g in dense] if self._cut else dense

    # ---------------------------------------------------------------- the outer loop

    def objective(
        self, run: Adaptation, support_loss: LossOfWeights, query_loss: LossOfWeights
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The scalar whose gradient is the meta-gradient, and the query loss after adaptation to log.

        Args:
            run: the inner loop.
            support_loss: loss of the support set as a function of fast weights.
            query_loss: loss of the query set as a function of fast weights; the last call is the one whose predictions
                the metrics see.
        """
        loss = query_loss(run.fast)
        return loss, loss

    @property
    def logs(self) -> tuple[str, ...]:
        """Names of what `task_logs` reports."""
        return ()

    def task_logs(self, run: Adaptation, support_loss: Any, loss: tf.Tensor) -> dict[str, tuple[Any, Any]]:
        """For each name in `logs` a value `()` of this task and its weight `()` in the mean over tasks."""
        return {}

    def first_order_now(self) -> tf.Tensor | None:
        """Whether this outer step is one of first order, `() bool`, where that changes during training."""
        return None

    @contextmanager
    def order(self, first: bool) -> Iterator[None]:
        """Trace in first or second order, whatever the constructor was told."""
        before, self._cut = self._cut, first
        try:
            yield
        finally:
            self._cut = before

    def outer_gradients(self, gradients: Weights) -> Weights:
        """What the outer optimizer is handed in place of the mean gradients over tasks."""
        return gradients

    def end_outer_step(self) -> None:
        """Called in the graph after each outer step."""

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "inner_steps": self.inner_steps,
            "inner_learning_rate": self.inner_learning_rate,
            "scope": self.scope,
            "first_order": self.first_order,
            "inner_optimizer": keras.saving.serialize_keras_object(self.inner_optimizer),
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
