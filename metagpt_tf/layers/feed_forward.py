"""The position-wise feed-forward network."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from metagpt_tf.layers.projection import Projection, merge_axes, restore_axes


def relu(x: Any) -> Any:
    """`max(x, 0)`, written as a maximum: the gradient of the ReLU operation has no LiteRT form."""
    return ops.maximum(x, ops.cast(0.0, x.dtype))


def gelu(x: Any) -> Any:
    """The tanh form of GELU: the exact form needs the error function, whose gradient has no LiteRT form."""
    return ops.gelu(x, approximate=True)


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"relu": relu, "gelu": gelu}


@keras.saving.register_keras_serializable("metagpt_tf")
class FeedForward(keras.layers.Layer):
    """Two projections with a non-linearity, `FFN(x) = f(x W₁ + b₁) W₂ + b₂`.

    Args:
        hidden_dim: width F between the projections.
        activation: `"relu"` (the paper's) or `"gelu"` (tanh form).
        dropout: share of hidden units dropped in training.

    Call arguments:
        x: `(B, T, D)`.

    Returns:
        `(B, T, D)`.

    Raises:
        ValueError: unknown activation.

    Example:

    >>> FeedForward(16)(keras.ops.ones((2, 3, 4))).shape
    (2, 3, 4)

    Reference: Vaswani et al., 2017, section 3.3.
    """

    def __init__(self, hidden_dim: int, activation: str = "relu", dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"FeedForward: unknown activation {activation!r}. Expected one of {', '.join(ACTIVATIONS)}: "
                "these have gradients that run in every exported file."
            )
        self.hidden_dim = hidden_dim
        self.activation = activation
        self.dropout = dropout

    def build(self, input_shape: tuple) -> None:
        self.up = Projection(self.hidden_dim, name="up", dtype=self.dtype_policy)
        self.down = Projection(input_shape[-1], name="down", dtype=self.dtype_policy)
        self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)
        self.up.build(input_shape)
        self.down.build((*input_shape[:-1], self.hidden_dim))

    def call(self, x: Any, training: bool = False) -> Any:
        hidden = ACTIVATIONS[self.activation](self.up(merge_axes(x)))
        return restore_axes(self.down(self.dropout_layer(hidden, training=training)), x)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "activation": self.activation,
            "dropout": self.dropout,
        }
