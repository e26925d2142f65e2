"""The frame that every sub-layer of a Transformer stands in: residual connection, normalisation, dropout."""

from collections.abc import Callable
from typing import Any

import keras

from metagpt_tf.layers.arguments import check_choice, check_share
from metagpt_tf.layers.normalization import LayerNorm

NORMS = ("pre", "post")


@keras.saving.register_keras_serializable("metagpt_tf")
class Residual(keras.layers.Layer):
    """Residual connection round a function, normalised before or after.

    `"pre"`: `x + Dropout(f(LayerNorm(x)))`, which trains without a warm-up. `"post"`: `LayerNorm(x + Dropout(f(x)))`,
    as in the paper.

    Args:
        norm: `"pre"` (default) or `"post"`.
        dropout: float in [0, 1), share of the function's output dropped in training; default 0.

    Call arguments:
        x: `(B, T, D)` float.
        function: f, maps `(B, T, D)` to `(B, T, D)`: a sub-layer, or a closure over its other arguments.
        training: bool, whether to drop.

    Returns:
        `(B, T, D)`.

    Raises:
        ValueError: unknown `norm`, or `dropout` outside [0, 1).

    Example:

    >>> keras.ops.shape(Residual("pre")(keras.ops.ones((2, 3, 4)), function=keras.ops.tanh))
    (2, 3, 4)

    Reference: Vaswani et al., 2017, section 3.1; Xiong et al., 2020, "On Layer Normalization in the Transformer
    Architecture".
    """

    def __init__(self, norm: str = "pre", dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_share(self, dropout=dropout)
        self.norm = check_choice(self, "norm", norm, NORMS)
        self.dropout = dropout

    def build(self, input_shape: tuple) -> None:
        self.normalization = LayerNorm(name="norm", dtype=self.dtype_policy)
        self.normalization.build(input_shape)
        self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)

    def call(self, x: Any, function: Callable[[Any], Any], training: bool = False) -> Any:
        if self.norm == "pre":
            return x + self.dropout_layer(function(self.normalization(x)), training=training)
        return self.normalization(x + self.dropout_layer(function(x), training=training))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "norm": self.norm, "dropout": self.dropout}
