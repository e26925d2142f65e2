"""CAVIA: fast context adaptation."""

from typing import Any

import tensorflow as tf

from metagpt_tf.meta.algorithm import Algorithm, registry
from metagpt_tf.meta.inner import Weights


@registry.register("cavia")
class CAVIA(Algorithm):
    """Adapt only context parameters that start at zero for every task; all other weights are shared and meta-learned.

    `φ_0 = 0`, `φ_{i+1} = φ_i − α ∇_φ L_support(θ, φ_i)`, then `θ ← θ − β ∇_θ Σ_tasks L_query(θ, φ_n)`.

    Use it when a task is a few numbers' worth of information: the state is tiny, adapting cannot overfit, and the model
    as it is stays what a task starts from.

    Args:
        inner_steps: n.
        inner_learning_rate: α; context tolerates large rates (0.1–10).
        scope: which weights are context parameters.
        first_order: ignore second derivatives.

    Raises:
        ValueError: a number of steps that is negative or not whole, or a rate that is not positive.

    Example:

    >>> CAVIA().scope
    'context'

    Reference: Zintgraf et al., 2019, "Fast Context Adaptation via Meta-Learning".
    """

    def __init__(
        self, inner_steps: int = 1, inner_learning_rate: float = 1.0, scope: str = "context", **kwargs: Any
    ) -> None:
        super().__init__(inner_steps, inner_learning_rate, scope, **kwargs)

    def start(self, weights: Weights, support_loss: Any = None) -> Weights:
        return [tf.zeros_like(w) for w in weights]
