"""Multi-task meta-learning: several families of tasks in one meta-batch, none of which drowns the others."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from metagpt_tf.meta.algorithm import registry
from metagpt_tf.meta.inner import Adaptation, LossOfWeights
from metagpt_tf.meta.maml import MAML


@registry.register("multi_task")
class MultiTask(MAML):
    """MAML over several families of tasks with a learned weight for each family's loss.

    With s_f = log σ_f² the learned log variance of family f, the objective of its tasks is

        exp(−s_f) L_query(φ_n) + s_f / 2

    the homoscedastic likelihood up to a factor of the loss: at its minimum σ_f² = 2 L_f, so that every family's loss
    counts relative to its own size.

    Use it when families differ in scale or noise: a mean over tasks follows the loudest. What families share are the
    model's weights; what is a family's own are layers that read its index, e.g. `metagpt_tf.layers.FamilyDense` as
    head. With one family it is MAML, up to the scale of its loss.

    An episode tells its family with its inputs: support and query x are `(x, family)` or `{"x": …, "family": …}`, with
    family `(K,) int32` the same number in every row, a place in `families`. The model takes both.

    Args:
        inner_steps, inner_learning_rate, scope, first_order: as in `MAML`.
        families: names of the families, in the order of their indices; each gets a logged `loss_<name>`.
        learn_weights: learn s_f; `False` for the plain mean over tasks.

    Raises:
        ValueError: as in `MAML`, or no families, or one named twice; with several, episodes that do not tell theirs.

    Example:

    >>> MultiTask(families=("sinusoid", "line")).logs
    ('loss_sinusoid', 'loss_line')

    Reference: Kendall et al., 2018, "Multi-Task Learning Using Uncertainty to Weigh Losses".
    """

    def __init__(
        self,
        inner_steps: int = 1,
        inner_learning_rate: float = 0.01,
        scope: str = "all",
        first_order: bool = False,
        families: Sequence[str] = ("all",),
        learn_weights: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(inner_steps, inner_learning_rate, scope, first_order, **kwargs)
        if not families or len(set(families)) != len(families) or isinstance(families, str):
            raise ValueError(f"families must be a sequence of different names, received {families!r}.")
        self.families, self.learn_weights = tuple(families), learn_weights

    def build(self, shapes: Sequence[tuple[int, ...]]) -> None:
        if self.learn_weights:
            self.log_variances = self.add_weight(
                shape=(len(self.families),), initializer="zeros", name="log_variances", dtype="float32"
            )
        super().build(shapes)

    def family_of(self, support_loss: Any) -> tf.Tensor:
        """Index `()` of a task's family.

        Raises:
            ValueError: several families, and inputs that do not tell one.
        """
        if len(self.families) == 1:
            return tf.constant(0)
        x = support_loss.x
        if isinstance(x, dict) and "family" in x:
            family = x["family"]
        elif isinstance(x, tuple | list) and len(x) == 2:
            family = x[1]
        else:
            raise ValueError(
                f"MultiTask with families {self.families} needs inputs (x, family) or {{'x': …, 'family': …}}, with "
                f"family (K,) int32; received {tf.nest.map_structure(lambda t: t.shape, x)}."
            )
        return tf.cast(tf.reshape(family, [-1])[0], tf.int32)

    def objective(
        self, run: Adaptation, support_loss: LossOfWeights, query_loss: LossOfWeights
    ) -> tuple[tf.Tensor, tf.Tensor]:
        objective, loss = super().objective(run, support_loss, query_loss)
        if not self.learn_weights:
            return objective, loss
        s = tf.gather(tf.convert_to_tensor(self.log_variances), self.family_of(support_loss))
        return tf.exp(-s) * objective + 0.5 * s, loss

    @property
    def logs(self) -> tuple[str, ...]:
        return tuple(f"loss_{name}" for name in self.families) if len(self.families) > 1 else ()

    def task_logs(self, run: Adaptation, support_loss: Any, loss: tf.Tensor) -> dict[str, tuple[Any, Any]]:
        if len(self.families) == 1:
            return {}
        mine = tf.one_hot(self.family_of(support_loss), len(self.families))
        return {name: (loss, mine[i]) for i, name in enumerate(self.logs)}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "families": list(self.families), "learn_weights": self.learn_weights}
