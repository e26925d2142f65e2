"""The position-wise feed-forward network."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from metagpt_tf.layers.arguments import check_at_least, check_choice, check_share
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
    """Two projections with a non-linearity, `FFN(x) = f(x W₁ + b₁) W₂ + b₂`, the same at every position.

    Args:
        hidden_dim: int, width F between the projections.
        activation: `"relu"` (default, the paper's) or `"gelu"` (tanh form): their gradients run in every exported file.
        dropout: float in [0, 1), share of hidden units dropped in training; default 0.

    Call arguments:
        x: `(B, T, D)` float.
        training: bool, whether to drop.

    Returns:
        `(B, T, D)`.

    Raises:
        ValueError: unknown activation, `hidden_dim` below 1, or `dropout` outside [0, 1).

    Example:

    >>> keras.ops.shape(FeedForward(16)(keras.ops.ones((2, 3, 4))))
    (2, 3, 4)

    Reference: Vaswani et al., 2017, section 3.3.
    """

    def __init__(self, hidden_dim: int, activation: str = "relu", dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_at_least(self, 1, hidden_dim=hidden_dim)
        check_share(self, dropout=dropout)
        self.hidden_dim = hidden_dim
        self.activation = check_choice(self, "activation", activation, ACTIVATIONS)
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
