"""The encoder stack."""

from typing import Any

import keras

from metagpt_tf.layers.attention import MultiHeadAttention
from metagpt_tf.layers.feed_forward import FeedForward
from metagpt_tf.layers.normalization import LayerNorm
from metagpt_tf.layers.residual import Residual


@keras.saving.register_keras_serializable("metagpt_tf")
class EncoderLayer(keras.layers.Layer):
    """Self-attention and feed-forward network, each in a residual frame.

    Args:
        num_heads: H.
        hidden_dim: width F of the feed-forward network.
        dropout: share dropped after each sub-layer.
        norm: `"pre"` or `"post"`.
        activation: `"relu"` or `"gelu"`.
        low_rank: rank of the adapters in the attention; 0 for none.

    Call arguments:
        x: `(B, S, D)`.
        attention_mask: additive, broadcastable to `(B, H, S, S)`.

    Returns:
        `(B, S, D)`.

    Example:

    >>> EncoderLayer(num_heads=2, hidden_dim=16)(keras.ops.ones((2, 3, 4))).shape
    (2, 3, 4)

    Reference: Vaswani et al., 2017, section 3.1.
    """

    def __init__(
        self,
        num_heads: int,
        hidden_dim: int,
        dropout: float = 0.0,
        norm: str = "pre",
        activation: str = "relu",
        low_rank: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads, self.hidden_dim, self.dropout = num_heads, hidden_dim, dropout
        self.norm, self.activation, self.low_rank = norm, activation, low_rank

    def build(self, input_shape: tuple) -> None:
        policy = self.dtype_policy
        self.attention = MultiHeadAttention(
            self.num_heads, self.dropout, self.low_rank, name="self_attention", dtype=policy
        )
        self.attention_residual = Residual(self.norm, self.dropout, name="self_attention_residual", dtype=policy)
        self.feed_forward = FeedForward(self.hidden_dim, self.activation, name="feed_forward", dtype=policy)
        self.feed_forward_residual = Residual(self.norm, self.dropout, name="feed_forward_residual", dtype=policy)
        for layer in (self.attention, self.attention_residual, self.feed_forward, self.feed_forward_residual):
            layer.build(input_shape)

    def call(self, x: Any, attention_mask: Any = None, training: bool = False) -> Any:
        x = self.attention_residual(
            x, function=lambda h: self.attention(h, attention_mask=attention_mask, training=training), training=training
        )
        return self.feed_forward_residual(
            x, function=lambda h: self.feed_forward(h, training=training), training=training
        )

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "hidden_dim": self.hidden_dim,
            "dropout": self.dropout,
            "norm": self.norm,
            "activation": self.activation,
            "low_rank": self.low_rank,
        }


@keras.saving.register_keras_serializable("metagpt_tf")
class Encoder(keras.layers.Layer):
    """Stack of encoder layers; a pre-norm stack ends with a normalisation.

    Args:
        num_layers: number of layers.
        num_heads: H.
        hidden_dim: width F of the feed-forward networks.
        dropout, norm, activation, low_rank: as in `EncoderLayer`.

    Call arguments:
        x: `(B, S, D)`.
        attention_mask: additive, broadcastable to `(B, H, S, S)` (see `padding_mask`).

    Returns:
        `(B, S, D)`.

    Example:

    >>> Encoder(2, num_heads=2, hidden_dim=16)(keras.ops.ones((2, 3, 4))).shape
    (2, 3, 4)

    Reference: Vaswani et al., 2017, section 3.1.
    """

    def __init__(
        self,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        dropout: float = 0.0,
        norm: str = "pre",
        activation: str = "relu",
        low_rank: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_layers, self.num_heads, self.hidden_dim = num_layers, num_heads, hidden_dim
        self.dropout, self.norm, self.activation, self.low_rank = dropout, norm, activation, low_rank

    def build(self, input_shape: tuple) -> None:
        self.layers = [
            EncoderLayer(
                self.num_heads,
                self.hidden_dim,
                self.dropout,
                self.norm,
                self.activation,
                self.low_rank,
                name=f"layer_{i}",
                dtype=self.dtype_policy,
            )
            for i in range(self.num_layers)
        ]
        for layer in self.layers:
            layer.build(input_shape)
        if self.norm == "pre":
            self.final_norm = LayerNorm(name="final_norm", dtype=self.dtype_policy)
            self.final_norm.build(input_shape)

    def call(self, x: Any, attention_mask: Any = None, training: bool = False) -> Any:
        for layer in self.layers:
            x = layer(x, attention_mask=attention_mask, training=training)
        return self.final_norm(x) if self.norm == "pre" else x

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "hidden_dim": self.hidden_dim,
            "dropout": self.dropout,
            "norm": self.norm,
            "activation": self.activation,
            "low_rank": self.low_rank,
        }
