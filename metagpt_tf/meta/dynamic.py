"""Dynamic meta-learning: how far and how many steps a task adapts, decided by the task."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from metagpt_tf.meta.algorithm import registry
from metagpt_tf.meta.inner import Adaptation, Carry, Weights, dot
from metagpt_tf.meta.maml import MAML

TINY = 1e-8
FEATURES = 3
HIDDEN = 16
NEARLY_ALL = 4.6  # σ of it is 0.99


class Plan(NamedTuple):
    """What a task decides before its first step.

    Attributes:
        steps: number of steps `()` in [1, inner_steps]; the last one is taken in part.
        rate: factor `()` on the inner rate.
    """

    steps: tf.Tensor
    rate: tf.Tensor


class Progress(NamedTuple):
    """What a task keeps between steps, beside the slots of its inner optimizer."""

    slots: Any
    plan: Plan
    alive: tf.Tensor  # () float32, 1 until the task halts
    held_out: tf.Tensor  # () float32, the lowest held-out support loss so far
    taken: tf.Tensor  # () float32, steps taken


@registry.register("dynamic")
class Dynamic(MAML):
    """MAML in which each task chooses its number of steps and its rate, and stops when stepping no longer helps.

    Before the first step the support set is cut in two halves; its complexity is read from the gradients g_1, g_2 of
    both at the initialisation:

        τ = (log L_support, log ‖g‖, 1 − cos(g_1, g_2))        difficulty, slope, disagreement

    A small network maps τ to `steps = 1 + (n − 1) σ(·)` and `rate = exp(·)`; it starts at all n steps (but for a
    hundredth) and factor 1, so that it starts as MAML, and learns from the query loss. Step i has weight
    `clip(steps − i, 0, 1)`. A task halts when the loss of `held_out` of its support set, which is not trained on, has
    not fallen by `tolerance`: the weights of that step are thrown away. In a file the loop ends there and saves its
    time. `steps_taken` is logged.

    Use it where tasks differ much in difficulty, and where adapting can overfit few examples. With fixed steps tuned
    for one kind of task it only costs two gradients.

    Args:
        inner_steps: n, the most steps.
        inner_learning_rate, scope, first_order, learn_rate: as in `MAML`.
        held_out: share of the support set kept for halting, in [0, 1); 0 for no halting. At least one example is kept,
            and a support set of one example is used for both.
        tolerance: relative fall of the held-out loss below which a task halts.
        plan: learn steps and rate from the complexity; `False` leaves the halting rule alone.

    Raises:
        ValueError: as in `MAML`, or a share outside [0, 1).

    Example:

    >>> Dynamic(inner_steps=5, held_out=0.2).held_out
    0.2

    Reference: Prechelt, 1998, "Early Stopping – But When?", for the halting rule; the plan is this package's own.
    """

    def __init__(
        self,
        inner_steps: int = 5,
        inner_learning_rate: float = 0.01,
        scope: str = "all",
        first_order: bool = False,
        held_out: float = 0.25,
        tolerance: float = 0.0,
        plan: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(inner_steps, inner_learning_rate, scope, first_order, **kwargs)
        if not 0.0 <= held_out < 1.0:
            raise ValueError(f"held_out must be a share of the support set in [0, 1), received {held_out}.")
        self.held_out, self.tolerance, self.plan = held_out, tolerance, plan

    def build(self, shapes: Sequence[tuple[int, ...]]) -> None:
        if self.plan:
            self.kernel_in = self._weight("kernel_in", (FEATURES, HIDDEN), "glorot_uniform")
            self.bias_in = self._weight("bias_in", (HIDDEN,), "zeros")
            self.kernel_out = self._weight("kernel_out", (HIDDEN, 2), "zeros")
            self.bias_out = self._weight("bias_out", (2,), "zeros")
        super().build(shapes)

    def _weight(self, name: str, shape: tuple[int, ...], initializer: str) -> Any:
        return self.add_weight(shape=shape, initializer=initializer, name=name, dtype="float32")

    # ---------------------------------------------------------------- before the first step

    def complexity(self, weights: Weights, support_loss: Any) -> tf.Tensor:
        """τ `(3,)` of a task at `weights`: difficulty, slope and disagreement; a constant for the outer loop."""
        at, size = [tf.stop_gradient(w) for w in weights], support_loss.size
        middle = max(size // 2, 1)
        halves = [support_loss.rows(0, middle), support_loss.rows(size - middle, size)]
        (loss_1, first), (loss_2, second) = (self.gradients(at, half) for half in halves)
        dots = [tf.cast(dot(a, b), tf.float32) for a, b in ((first, first), (second, second), (first, second))]
        cosine = dots[2] / (tf.sqrt(dots[0] * dots[1]) + TINY)
        slope = 0.5 * tf.math.log(0.25 * (dots[0] + dots[1] + 2.0 * dots[2]) + TINY)
        loss = tf.cast(0.5 * (loss_1 + loss_2), tf.float32)
        return tf.stop_gradient(tf.stack([tf.math.log(tf.abs(loss) + TINY), slope, 1.0 - cosine]))

    def decide(self, complexity: tf.Tensor) -> Plan:
        """Steps and rate of a task with this complexity `(3,)`."""
        hidden = tf.tanh(complexity[None] @ tf.convert_to_tensor(self.kernel_in) + tf.convert_to_tensor(self.bias_in))
        out = (hidden @ tf.convert_to_tensor(self.kernel_out) + tf.convert_to_tensor(self.bias_out))[0]
        return Plan(1.0 + (self.inner_steps - 1.0) * tf.sigmoid(out[0] + NEARLY_ALL), tf.exp(out[1]))

    def _parts(self, support_loss: Any) -> tuple[Any, Any]:
        """The losses to train on and to halt by."""
        size = support_loss.size
        if not self.held_out or size is None or size < 2:
            return support_loss, support_loss
        kept = min(max(round(self.held_out * size), 1), size - 1)
        return support_loss.rows(0, size - kept), support_loss.rows(size - kept, size)

    def begin(self, start: Weights, support_loss: Any = None) -> Carry:
        always = Plan(tf.constant(float(self.inner_steps)), tf.constant(1.0))
        plan = self.decide(self.complexity(start, support_loss)) if self.plan else always
        judge = self._parts(support_loss)[1]
        best = tf.cast(judge(start), tf.float32) if self.held_out else tf.constant(0.0)
        carry = super().begin(start)
        return carry._replace(slots=Progress(carry.slots, plan, tf.constant(1.0), best, tf.constant(0.0)))

    # ---------------------------------------------------------------- the inner loop

    def step(self, carry: Carry, support_loss: Any, rate_multiplier: Any = 1.0) -> tuple[Carry, tf.Tensor]:
        progress: Progress = carry.slots
        train, judge = self._parts(support_loss)
        weight = progress.alive
        if self.plan:
            weight *= tf.clip_by_value(progress.plan.steps - tf.cast(carry.index, tf.float32), 0.0, 1.0)
        inner = carry._replace(slots=progress.slots)
        moved, loss = super().step(inner, train, rate_multiplier * progress.plan.rate * weight)
        if not self.held_out:
            taken = progress.taken + weight
            return moved._replace(slots=progress._replace(slots=moved.slots, taken=taken)), loss
        now = tf.cast(judge(moved.weights), tf.float32)
        # A step that did not help is thrown away, and with it all later ones.
        alive = progress.alive * tf.stop_gradient(tf.cast(now < progress.held_out * (1.0 - self.tolerance), tf.float32))
        weights = [tf.where(alive > 0.0, new, old) for new, old in zip(moved.weights, carry.weights, strict=True)]
        best = tf.where(alive > 0.0, now, progress.held_out)
        kept = Progress(moved.slots, progress.plan, alive, best, progress.taken + weight * alive)
        return Carry(weights, kept, moved.index), loss

    def goes_on(self, carry: Carry) -> tf.Tensor:
        progress: Progress = carry.slots
        wanted = tf.cast(carry.index, tf.float32) < progress.plan.steps
        return (carry.index < self.inner_steps) & wanted & (progress.alive > 0.0)

    @property
    def logs(self) -> tuple[str, ...]:
        return ("steps_taken",)

    def task_logs(self, run: Adaptation, support_loss: Any, loss: tf.Tensor) -> dict[str, tuple[Any, Any]]:
        return {"steps_taken": (run.carry.slots.taken, tf.constant(1.0))} if run.carry else {}

    def get_config(self) -> dict[str, Any]:
        names = ("held_out", "tolerance", "plan")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
