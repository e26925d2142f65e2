"""The frame that every sub-layer of a Transformer stands in: residual connection, normalisation, dropout."""

from collections.abc import Callable
from typing import Any

import keras

from metagpt_tf.layers.normalization import LayerNorm

NORMS = ("pre", "post")


@keras.saving.register_keras_serializable("metagpt_tf")
class Residual(keras.layers.Layer):
    """Residual connection round a function, normalised before or after.

    `"pre"`: `x + Dropout(f(LayerNorm(x)))`. `"post"`: `LayerNorm(x + Dropout(f(x)))`, as in the paper.

    Args:
        norm: `"pre"` or `"post"`.
        dropout: share of the function's output dropped in training.

    Reference: Vaswani et al., 2017, section 3.1; Xiong et al., 2020, "On Layer Normalization in the Transformer
    Architecture".
    """

    def __init__(self, norm: str = "pre", dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if norm not in NORMS:
            raise ValueError(f"norm must be 'pre' or 'post', received {norm!r}.")
        self.norm = norm
        self.dropout = dropout

    def build(self, input_shape: tuple) -> None:
        self.normalization = LayerNorm(name="norm", dtype=self.dtype_policy)
        self.normalization.build(input_shape)
        self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)

    def call(self, x: Any, function: Callable[[Any], Any], training: bool = False) -> Any:
        if self.norm == "pre":
            return x + self.dropout_layer(function(self.normalization(x)), training=training)
        return self.normalization(x + self.dropout_layer(function(x), training=training))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "norm": self.norm, "dropout": self.dropout}
