"""Adaptation points: small sets of weights that a task may change while the rest stays as meta-trained."""

from typing import Any

import keras
from keras import ops

from metagpt_tf.layers.arguments import check_at_least, check_rank
from metagpt_tf.layers.projection import matmul_last_axis


@keras.saving.register_keras_serializable("metagpt_tf")
class LowRankAdapter(keras.layers.Layer):
    """Low-rank addition to a projection: `y = (x A) B · α / r` with `A (D, r)`, `B (r, F)`.

    `B` starts at zero, so an adapter changes nothing until a task moves it. Scope `"low_rank"` adapts these weights
    only.

    Args:
        units: int, width F of the output.
        rank: int, r, the number of directions a task may change; default 4.
        alpha: float, scale α of the addition; `None` (default) means r, that is a factor of 1.

    Call arguments:
        x: `(B, T, D)` or `(N, D)` float.

    Returns:
        `(B, T, F)` or `(N, F)`, to be added to the projection it accompanies.

    Raises:
        ValueError: `units` or `rank` below 1.

    Example:

    >>> float(keras.ops.sum(LowRankAdapter(8, rank=2)(keras.ops.ones((1, 3, 4)))))
    0.0

    Reference: Hu et al., 2021, "LoRA: Low-Rank Adaptation of Large Language Models".
    """

    def __init__(self, units: int, rank: int = 4, alpha: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_at_least(self, 1, units=units, rank=rank)
        self.units = units
        self.rank = rank
        self.alpha = alpha

    def build(self, input_shape: tuple) -> None:
        initializer = keras.initializers.RandomNormal(stddev=input_shape[-1] ** -0.5)
        self.down = self.add_weight(shape=(input_shape[-1], self.rank), initializer=initializer, name="low_rank_down")
        self.up = self.add_weight(shape=(self.rank, self.units), initializer="zeros", name="low_rank_up")

    def call(self, x: Any) -> Any:
        y = matmul_last_axis(matmul_last_axis(x, self.down), self.up)
        return y if self.alpha is None else y * (self.alpha / self.rank)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "rank": self.rank, "alpha": self.alpha}


@keras.saving.register_keras_serializable("metagpt_tf")
class ContextTokens(keras.layers.Layer):
    """Learned vectors appended to a sequence: the context parameters φ of CAVIA.

    `y = [x₁ … x_S, φ₁ … φ_C]`. They start at zero. Scope `"context"` adapts these weights only, from zero
    for every task.

    Args:
        num_tokens: int, number C of vectors appended.

    Call arguments:
        x: `(B, S, D)` float.

    Returns:
        `(B, S + C, D)`; `extend_keep` gives the map of real tokens that goes with it.

    Raises:
        ValueError: `num_tokens` below 1, or an input that is not of rank 3.

    Example:

    >>> keras.ops.shape(ContextTokens(2)(keras.ops.ones((1, 3, 4))))
    (1, 5, 4)

    Reference: Zintgraf et al., 2019, "Fast Context Adaptation via Meta-Learning".
    """

    def __init__(self, num_tokens: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_at_least(self, 1, num_tokens=num_tokens)
        self.num_tokens = num_tokens

    def build(self, input_shape: tuple) -> None:
        check_rank(self, "x", input_shape, "(B, S, D)")
        self.context = self.add_weight(shape=(self.num_tokens, input_shape[-1]), initializer="zeros", name="context")

    def call(self, x: Any) -> Any:
        # Added to a slice of zeros and not broadcast: a static shape that converters keep.
        start = ops.zeros_like(x[:, :1, :]) + ops.expand_dims(ops.cast(self.context, x.dtype), 0)
        return ops.concatenate([x, start], axis=1)

    def extend_keep(self, keep: Any) -> Any:
        """Extend a `(B, S)` bool map of real tokens to `(B, S + C)`: context is always real."""
        extra = ops.concatenate([ops.ones_like(keep[:, :1])] * self.num_tokens, axis=1)
        return ops.concatenate([keep, extra], axis=1)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        length = None if input_shape[1] is None else input_shape[1] + self.num_tokens
        return (input_shape[0], length, input_shape[2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_tokens": self.num_tokens}
