"""Model-agnostic meta-learning, with the options that MAML++ adds to it."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.meta.algorithm import Algorithm, check_steps, registry
from metagpt_tf.meta.inner import Adaptation, Carry, LossOfWeights, Weights

RATES = (False, True, "per_step", "per_tensor", "per_tensor_per_step")


@registry.register("maml")
class MAML(Algorithm):
    """Learn an initialisation from which a few gradient steps on a task's support set do well on its query set.

    `θ ← θ − β ∇_θ Σ_tasks L_query(φ_n)`, with `φ_0 = θ`, `φ_{i+1} = φ_i − α ∇L_support(φ_i)`; the gradient runs
    through the inner steps. Use it when the cost of second order (about 2.5 plain evaluations each) is bearable; it
    wins most after a warm start by plain training. `FOMAML` is the cheap form, `MAMLPlusPlus` has the options below on.

    With `multi_step_loss` the objective is `Σ_i v_i L_query(φ_i)` over i = 1 … n: the weights v begin equal and move
    in that many outer steps to `v_n = 1`, all others 0. `include_start` adds `L_query(φ_0)` to the sum, so that the
    unadapted model is trained too.

    Args:
        inner_steps: n.
        inner_learning_rate: α; for classification and language 0.01–0.4.
        scope: which weights a task adapts.
        first_order: see `FOMAML`.
        learn_rate: meta-learn α too, as `exp(s · w)` of weights w that start at `log(α) / s`: it stays positive.
            `True` for one, `"per_step"`, `"per_tensor"` or `"per_tensor_per_step"` for several; steps beyond n use the
            n-th's.
        rate_speed: s, how much faster than other weights the learned rates move. Adam's steps have the size of its own
            rate whatever the gradient is: at 5e-4 and s = 1, 300 outer steps change α by a sixth at most.
        inner_optimizer: `"sgd"`, `"momentum"` or `"adam"`.
        multi_step_loss: outer steps in which the multi-step loss fades; 0 for none.
        include_start: let the loss before adaptation take part in the multi-step loss, and keep its share of
            `1 / (n + 1)` when the others fade.
        first_order_steps: this many outer steps run in first order, then second order begins.

    Raises:
        ValueError: a number of steps that is negative or not whole, a rate that is not positive, an unknown
            `learn_rate`, or `include_start` without `multi_step_loss`.

    Example:

    >>> MAML(inner_steps=3, inner_learning_rate=0.1).get_config()["inner_steps"]
    3

    Reference: Finn et al., 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks"; Antoniou et al.,
    2019, "How to Train Your MAML".
    """

    def __init__(
        self,
        inner_steps: int = 1,
        inner_learning_rate: float = 0.01,
        scope: str = "all",
        first_order: bool = False,
        learn_rate: bool | str = False,
        inner_optimizer: Any = "sgd",
        multi_step_loss: int = 0,
        include_start: bool = False,
        first_order_steps: int = 0,
        rate_speed: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(inner_steps, inner_learning_rate, scope, first_order, inner_optimizer, **kwargs)
        if learn_rate not in RATES:
            raise ValueError(f"learn_rate must be one of {', '.join(map(repr, RATES))}, received {learn_rate!r}.")
        check_steps("multi_step_loss", multi_step_loss)
        check_steps("first_order_steps", first_order_steps)
        if include_start and not multi_step_loss:
            raise ValueError("include_start is a part of the multi-step loss: give multi_step_loss=… outer steps too.")
        self.learn_rate, self.multi_step_loss, self.include_start = learn_rate, multi_step_loss, include_start
        if rate_speed <= 0:
            raise ValueError(f"rate_speed must be above 0 (1 for the speed of other weights), received {rate_speed}.")
        self.first_order_steps, self.rate_speed = first_order_steps, rate_speed

    # ---------------------------------------------------------------- weights of its own

    def build(self, shapes: Sequence[tuple[int, ...]]) -> None:
        if self.learn_rate:
            start = keras.initializers.Constant(math.log(self.inner_learning_rate) / self.rate_speed)
            self.log_rate = self.add_weight(
                shape=self._rate_shape(len(shapes)), initializer=start, name="log_inner_learning_rate", dtype="float32"
            )
        if self.multi_step_loss or self.first_order_steps:
            self.outer_steps = self.add_weight(
                shape=(), initializer="zeros", name="outer_steps", dtype="int32", trainable=False
            )
        super().build(shapes)

    def _rate_shape(self, tensors: int) -> tuple[int, ...]:
        steps = max(self.inner_steps, 1)
        return {"per_step": (steps,), "per_tensor": (tensors,), "per_tensor_per_step": (steps, tensors)}.get(
            str(self.learn_rate), ()
        )

    def check_shapes(self, shapes: Sequence[tuple[int, ...]]) -> None:
        if self.learn_rate and tuple(self.log_rate.shape) != self._rate_shape(len(shapes)):
            raise ValueError(
                f"The learned rates of this {type(self).__name__} have shape {tuple(self.log_rate.shape)}; for the "
                f"{len(shapes)} weights that scope {self.scope!r} picks they need {self._rate_shape(len(shapes))}. "
                f"Make a new {type(self).__name__} for another model or other trainable layers."
            )

    def scale_rates(self, factor: float) -> None:
        """Multiply every learned rate, or the fixed one: for a factor that was best on validation tasks.

        Raises:
            ValueError: a factor that is not above 0.
        """
        if factor <= 0:
            raise ValueError(f"factor must be above 0, received {factor}.")
        self.inner_learning_rate *= factor
        if self.learn_rate:
            self.log_rate.assign(self.log_rate + math.log(factor) / self.rate_speed)

    # ---------------------------------------------------------------- the inner loop

    def rates(self, carry: Carry, gradients: Weights) -> list[Any]:
        if not self.learn_rate:
            return super().rates(carry, gradients)
        rates = tf.exp(self.rate_speed * tf.convert_to_tensor(self.log_rate))
        if str(self.learn_rate).endswith("per_step"):
            rates = tf.gather(rates, tf.minimum(carry.index, self.log_rate.shape[0] - 1))
        return tf.unstack(tf.broadcast_to(rates, [len(gradients)]))

    # ---------------------------------------------------------------- the outer loop

    def objective(
        self, run: Adaptation, support_loss: LossOfWeights, query_loss: LossOfWeights
    ) -> tuple[tf.Tensor, tf.Tensor]:
        if not self.multi_step_loss:
            return super().objective(run, support_loss, query_loss)
        points = run.path if self.include_start else run.path[1:] or run.path
        losses = [query_loss(weights) for weights in points]
        return tf.reduce_sum(self.loss_weights(len(losses)) * tf.stack(losses)), losses[-1]

    def loss_weights(self, count: int) -> tf.Tensor:
        """Shares `(count,)` of the query losses along the path in this outer step; they sum to 1."""
        progress = tf.minimum(tf.cast(self.outer_steps, tf.float32) / self.multi_step_loss, 1.0)
        equal = tf.fill([count], 1.0 / count)
        kept = 1.0 / count if self.include_start and count > 1 else 0.0
        last = tf.one_hot(count - 1, count) * (1.0 - kept) + tf.one_hot(0, count) * kept
        return (1.0 - progress) * equal + progress * last

    def first_order_now(self) -> tf.Tensor | None:
        if not self.first_order_steps or self.first_order:
            return None
        return tf.convert_to_tensor(self.outer_steps) < self.first_order_steps

    def end_outer_step(self) -> None:
        if self.multi_step_loss or self.first_order_steps:
            self.outer_steps.assign_add(1)

    def get_config(self) -> dict[str, Any]:
        names = ("learn_rate", "multi_step_loss", "include_start", "first_order_steps", "rate_speed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
