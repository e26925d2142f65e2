"""MAML++."""

from typing import Any

from metagpt_tf.meta.algorithm import registry
from metagpt_tf.meta.maml import MAML


@registry.register("maml_plus_plus")
class MAMLPlusPlus(MAML):
    """MAML with the repairs of MAML++ on: a rate for each tensor and step, a fading multi-step loss, first order first.

    Use it with several inner steps, where plain MAML trains unsteadily. The paper's outer rate follows a cosine:
    `compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, steps)))`. Batch normalisation per step
    is not part of it: the Transformers here use layer normalisation.

    Args:
        inner_steps: n; the paper uses 5.
        inner_learning_rate: first value of every rate.
        scope, inner_optimizer, learn_rate, multi_step_loss, include_start, first_order_steps: as in `MAML`, other
            defaults.

    Raises:
        ValueError: as in `MAML`.

    Example:

    >>> MAMLPlusPlus().learn_rate
    'per_tensor_per_step'

    Reference: Antoniou et al., 2019, "How to Train Your MAML".
    """

    def __init__(
        self,
        inner_steps: int = 5,
        inner_learning_rate: float = 0.01,
        scope: str = "all",
        learn_rate: bool | str = "per_tensor_per_step",
        multi_step_loss: int = 1000,
        first_order_steps: int = 500,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            inner_steps,
            inner_learning_rate,
            scope,
            learn_rate=learn_rate,
            multi_step_loss=multi_step_loss,
            first_order_steps=first_order_steps,
            **kwargs,
        )
