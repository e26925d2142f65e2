"""Members of a fused model that adapt each by itself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.meta.algorithm import Algorithm, get, registry
from metagpt_tf.meta.inner import Adaptation, Carry, LossOfWeights, Weights
from metagpt_tf.meta.task import TaskLoss, task_mean

INNER = ("inner_learning_rate", "scope", "first_order", "inner_optimizer")


@registry.register("apart")
class Apart(Algorithm):
    """Another algorithm, whose inner steps see the sum of the members' own losses, `Σ_i L_support(member_i)`.

    The gradient of one member's weights in that sum is the gradient of its own loss: each adapts as it would alone. In
    the loss of the mixed answer a member's gradient is scaled by its share of the answer, and n members would move an
    n-th as far. The outer loop judges the mixed answer. Around a model that has no members it is the other algorithm.

    Args:
        algorithm: name or object; its rates by tensor are those of all members' tensors, in their order.
        inner_steps: steps; `None` for the other algorithm's.
        **kwargs: `inner_learning_rate`, `scope`, `first_order` or `inner_optimizer` change the other algorithm's.

    Raises:
        ValueError: a number of steps that is negative or not whole, or an unknown algorithm.

    Reference:
        Lakshminarayanan et al. (2017), Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles,
        arXiv:1612.01474: members learn each by its own loss, and only their answers are joined.

    Example:

    >>> Apart("maml", inner_steps=3).inner_steps
    3
    """

    def __init__(self, algorithm: Any = "maml", inner_steps: int | None = None, **kwargs: Any) -> None:
        changes = {name: kwargs.pop(name) for name in INNER if name in kwargs}
        if isinstance(algorithm, str):
            other = get(algorithm, **changes, **({} if inner_steps is None else {"inner_steps": inner_steps}))
        else:
            other = get(algorithm)
            other = type(other).from_config({**other.get_config(), **changes}) if changes else other
        steps = other.inner_steps if inner_steps is None else inner_steps
        super().__init__(steps, other.inner_learning_rate, other.scope, other.first_order, **kwargs)
        self.algorithm = other

    # ---------------------------------------------------------------- weights of its own

    def build(self, shapes: Sequence[tuple[int, ...]]) -> None:
        self.algorithm.layer_indices = self.layer_indices
        if not self.algorithm.built:
            self.algorithm.build(shapes)
        super().build(shapes)

    def check_shapes(self, shapes: Sequence[tuple[int, ...]]) -> None:
        self.algorithm.check_shapes(shapes)

    def scale_rates(self, factor: float) -> None:
        """Multiply the other algorithm's rates, if it can.

        Raises:
            TypeError: it cannot.
        """
        if not hasattr(self.algorithm, "scale_rates"):
            raise TypeError(f"The rates of {type(self.algorithm).__name__} cannot be scaled.")
        self.algorithm.scale_rates(factor)

    # ---------------------------------------------------------------- the inner loop

    def start(self, weights: Weights, support_loss: Any = None) -> Weights:
        return self.algorithm.start(weights, _apart(support_loss))

    def begin(self, start: Weights, support_loss: Any = None) -> Carry:
        return self.algorithm.begin(start, _apart(support_loss))

    def step(self, carry: Carry, support_loss: LossOfWeights, rate_multiplier: Any = 1.0) -> tuple[Carry, tf.Tensor]:
        return self.algorithm.step(carry, _apart(support_loss), rate_multiplier)

    # ---------------------------------------------------------------- the outer loop

    def objective(
        self, run: Adaptation, support_loss: LossOfWeights, query_loss: LossOfWeights
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self.algorithm.objective(run, _apart(support_loss), query_loss)

    @property
    def logs(self) -> tuple[str, ...]:
        return self.algorithm.logs

    def task_logs(self, run: Adaptation, support_loss: Any, loss: tf.Tensor) -> dict[str, tuple[Any, Any]]:
        return self.algorithm.task_logs(run, _apart(support_loss), loss)

    def first_order_now(self) -> tf.Tensor | None:
        return self.algorithm.first_order_now()

    @contextmanager
    def order(self, first: bool) -> Iterator[None]:
        """As `Algorithm.order`, of both."""
        with super().order(first), self.algorithm.order(first):
            yield

    def outer_gradients(self, gradients: Weights) -> Weights:
        return self.algorithm.outer_gradients(gradients)

    def end_outer_step(self) -> None:
        self.algorithm.end_outer_step()

    def get_config(self) -> dict[str, Any]:
        return {
            **keras.layers.Layer.get_config(self),
            "algorithm": keras.saving.serialize_keras_object(self.algorithm),
            "inner_steps": self.inner_steps,
        }


def _apart(support_loss: Any) -> Any:
    """The members' own losses, summed; of a model without members, the loss as it is."""
    task: Any = getattr(support_loss, "task", None)
    if isinstance(support_loss, MemberLosses) or not hasattr(getattr(task, "model", None), "answers"):
        return support_loss
    return MemberLosses(task, support_loss.x, support_loss.y)


class MemberLosses(TaskLoss):
    """The sum of the members' losses on a task's examples, as a function of fast weights."""

    def __call__(self, fast: Weights) -> tf.Tensor:
        task: Any = self.task
        with task.scope(fast) as scope:
            answers = task.model.answers(task.inputs(self.x, self.y), training=task.training)
            penalties = [tf.reduce_sum(tf.cast(p, tf.float32)) for p in task.model.losses]
        task.non_trainable = [scope.get_current_value(v) for v in task.model.non_trainable_variables]
        return tf.add_n([*(task_mean(task.loss, self.y, answer) for answer in answers), *penalties])
