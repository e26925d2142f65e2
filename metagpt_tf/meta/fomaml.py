"""First-order MAML."""

from typing import Any

from metagpt_tf.meta.algorithm import always_first_order, registry
from metagpt_tf.meta.maml import MAML


@registry.register("fomaml")
class FOMAML(MAML):
    """MAML that treats the inner gradients as constants: `θ ← θ − β Σ_tasks ∇L_query(φ_n)`.

    Use it when second order is too slow or too large: about 2.5 times cheaper a step.

    Args:
        inner_steps, inner_learning_rate, scope: as in `MAML`.
        learn_rate, inner_optimizer, multi_step_loss, include_start: as in `MAML`; a rate has a gradient even so, that
            of the update `−α g` with g constant.

    Raises:
        ValueError: as in `MAML`, or `first_order=False`.

    Example:

    >>> FOMAML(inner_steps=2).first_order
    True

    Reference: Finn et al., 2017, section 5.2; Nichol et al., 2018, "On First-Order Meta-Learning Algorithms".
    """

    def __init__(
        self,
        inner_steps: int = 1,
        inner_learning_rate: float = 0.01,
        scope: str = "all",
        learn_rate: bool | str = False,
        **kwargs: Any,
    ) -> None:
        always_first_order("FOMAML", kwargs)
        super().__init__(inner_steps, inner_learning_rate, scope, first_order=True, learn_rate=learn_rate, **kwargs)
