"""ANIL: almost no inner loop."""

from typing import Any

from metagpt_tf.meta.algorithm import registry
from metagpt_tf.meta.maml import MAML


@registry.register("anil")
class ANIL(MAML):
    """MAML that adapts only the head; the body learns features that need no change.

    With body θ and head h: `h_{i+1} = h_i − α ∇_h L_support(θ, h_i)`, then `(θ, h_0)` take an outer step against
    `∇ Σ_tasks L_query(θ, h_n)`.

    Use it when tasks differ in what the outputs mean rather than in what the inputs hold: adapting is then far cheaper.

    Args:
        inner_steps, inner_learning_rate, first_order, learn_rate, inner_optimizer, multi_step_loss, include_start,
            first_order_steps, rate_speed: as in `MAML`.
        scope: what counts as the head.

    Raises:
        ValueError: as in `MAML`.

    Example:

    >>> ANIL().scope
    'head'

    Reference: Raghu et al., 2020, "Rapid Learning or Feature Reuse? Towards Understanding the Effectiveness of MAML".
    """

    def __init__(
        self, inner_steps: int = 1, inner_learning_rate: float = 0.01, scope: str = "head", **kwargs: Any
    ) -> None:
        super().__init__(inner_steps, inner_learning_rate, scope, **kwargs)
