"""MAML with implicit gradients."""

from typing import Any

import tensorflow as tf

from metagpt_tf.meta.algorithm import Algorithm, check_steps, registry
from metagpt_tf.meta.inner import Adaptation, Carry, LossOfWeights, Weights, dot


@registry.register("imaml")
class IMAML(Algorithm):
    """MAML whose meta-gradient looks at where the inner loop ends, and not at how it got there.

    The inner loop descends `L_support(φ) + λ/2 ‖φ − θ‖²`. Near its minimum the meta-gradient is
    `(I + ∇²L_support(φ)/λ)⁻¹ ∇L_query(φ)`, solved by conjugate gradient with Hessian-vector products. Its memory does
    not grow with the number of inner steps. Use it with many inner steps that come close to the minimum; for one or two
    steps `MAML` is exact and cheaper.

    Args:
        inner_steps: n; many, or a rate large enough to arrive.
        inner_learning_rate: α.
        scope: which weights a task adapts. Weights outside of it learn too, by the same theorem.
        regularization: λ > 0, the pull towards θ.
        cg_steps: steps of conjugate gradient, each one Hessian-vector product.
        inner_optimizer: `"sgd"`, `"momentum"` or `"adam"`.

    Raises:
        ValueError: steps that are negative or not whole, a rate or λ that is not positive, `first_order=True`.

    Example:

    >>> IMAML(inner_steps=10, regularization=2.0).cg_steps
    5

    Reference: Rajeswaran et al., 2019, "Meta-Learning with Implicit Gradients".
    """

    def __init__(
        self,
        inner_steps: int = 16,
        inner_learning_rate: float = 0.01,
        scope: str = "all",
        regularization: float = 2.0,
        cg_steps: int = 5,
        inner_optimizer: Any = "sgd",
        **kwargs: Any,
    ) -> None:
        if kwargs.pop("first_order", False):
            raise ValueError("IMAML needs second derivatives of the support loss. For first order use FOMAML.")
        super().__init__(inner_steps, inner_learning_rate, scope, inner_optimizer=inner_optimizer, **kwargs)
        check_steps("cg_steps", cg_steps)
        if not regularization > 0:
            raise ValueError(f"regularization must be > 0, received {regularization}.")
        self.regularization, self.cg_steps = regularization, cg_steps

    def begin(self, start: Weights, support_loss: Any = None) -> Carry:
        # Nothing of the path is differentiated: `objective` puts the dependence on θ back by hand.
        start = [tf.stop_gradient(w) for w in start]
        weights, slots, index = super().begin(start)
        return Carry(weights, (slots, start), index)

    def step(self, carry: Carry, support_loss: LossOfWeights, rate_multiplier: Any = 1.0) -> tuple[Carry, tf.Tensor]:
        loss, gradients = self.gradients(carry.weights, support_loss)
        slots, anchor = carry.slots
        pull = self.regularization
        pulled = [
            tf.stop_gradient(g) + tf.cast(pull, w.dtype) * (w - a)
            for g, w, a in zip(gradients, carry.weights, anchor, strict=True)
        ]
        rates = [tf.cast(rate, tf.float32) * rate_multiplier for rate in self.rates(carry, pulled)]
        weights, slots = self.inner_optimizer.apply(carry.weights, pulled, rates, slots, carry.index)
        return Carry(weights, (slots, anchor), carry.index + 1), loss

    def adapt(
        self, start: Weights, support_loss: LossOfWeights, steps: int | None = None, rate_multiplier: Any = 1.0
    ) -> Adaptation:
        run = super().adapt(start, support_loss, steps, rate_multiplier)
        return run._replace(path=[start, *run.path[1:]])

    def objective(
        self, run: Adaptation, support_loss: LossOfWeights, query_loss: LossOfWeights
    ) -> tuple[tf.Tensor, tf.Tensor]:
        end = [tf.stop_gradient(w) for w in run.fast]
        with tf.GradientTape() as tape:
            tape.watch(end)
            loss = query_loss(end)
        found = tape.gradient(loss, end, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        gradient = [tf.stop_gradient(tf.convert_to_tensor(g)) for g in found]
        solved = [tf.stop_gradient(v) for v in self.solve(end, support_loss, gradient)]
        objective = loss + _slope_only(dot(solved, run.start), loss)
        if self.scope != "all":  # weights outside of the scope move the minimum too
            slope = self.gradients(end, support_loss)[1]
            objective -= _slope_only(dot(slope, solved), loss) / self.regularization
        return objective, tf.stop_gradient(loss)

    def solve(self, at: Weights, support_loss: LossOfWeights, right: Weights) -> Weights:
        """`v` with `(I + ∇²L_support(at)/λ) v = right`, by `cg_steps` steps of conjugate gradient from `right`."""
        v = right
        residual = [b - a for b, a in zip(right, self._system(at, support_loss, v), strict=True)]
        direction, size = residual, dot(residual, residual)
        for _ in range(self.cg_steps):
            image = self._system(at, support_loss, direction)
            # A residual of zero is an exact solution, not a reason for NaN.
            step = tf.math.divide_no_nan(size, dot(direction, image))
            v = _add(v, step, direction)
            residual = _add(residual, -step, image)
            new = dot(residual, residual)
            direction = _add(residual, tf.math.divide_no_nan(new, size), direction)
            size = new
        return v

    def _system(self, at: Weights, support_loss: LossOfWeights, vector: Weights) -> Weights:
        """`(I + ∇²L_support(at)/λ) vector`."""
        with tf.GradientTape() as tape:
            tape.watch(at)
            slope = dot(self.gradients(at, support_loss)[1], vector)
        products = tape.gradient(slope, at, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return _add(vector, tf.constant(1.0 / self.regularization), [tf.convert_to_tensor(p) for p in products])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "regularization": self.regularization, "cg_steps": self.cg_steps}


def _slope_only(value: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """A zero with the gradient of `value`."""
    return tf.cast(value - tf.stop_gradient(value), like.dtype)


def _add(first: Weights, factor: tf.Tensor, second: Weights) -> Weights:
    """`first + factor · second`."""
    return [a + tf.cast(factor, a.dtype) * b for a, b in zip(first, second, strict=True)]
