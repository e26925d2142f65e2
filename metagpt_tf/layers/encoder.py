"""The encoder stack."""

from typing import Any

import keras

from metagpt_tf.layers.block import Block, Stack
from metagpt_tf.layers.normalization import LayerNorm


@keras.saving.register_keras_serializable("metagpt_tf")
class EncoderLayer(Block):
    """Self-attention and feed-forward network, each in a residual frame.

    With `norm="pre"`: `h = x + Attention(LayerNorm(x))`, `y = h + FFN(LayerNorm(h))`.

    Args:
        num_heads: int, H, a divisor of D unless `head_width` is given.
        hidden_dim: int, width F of the feed-forward network.
        dropout: float in [0, 1), share dropped of attention weights and after each sub-layer; default 0.
        norm: `"pre"` (default) or `"post"` (the paper's).
        activation: `"relu"` (default) or `"gelu"`.
        low_rank: int, rank of the adapters in the attention; 0 (default) for none.
        head_width: int, E, width of a head; `None` (default) means D / H.

    Call arguments:
        x: `(B, S, D)` float.
        attention_mask: additive, broadcastable to `(B, H, S, S)`.
        training: bool, whether to drop.

    Returns:
        `(B, S, D)`.

    Raises:
        ValueError: a size below 1, a share outside [0, 1), an unknown name, or D not divisible by H.

    Example:

    >>> keras.ops.shape(EncoderLayer(num_heads=2, hidden_dim=16)(keras.ops.ones((2, 3, 4))))
    (2, 3, 4)

    Reference: Vaswani et al., 2017, section 3.1.
    """

    def build(self, input_shape: tuple) -> None:
        self.attention = self.attention_layer("self_attention")
        self.attention_residual = self.residual_layer("self_attention_residual")
        self.feed_forward = self.feed_forward_layer("feed_forward")
        self.feed_forward_residual = self.residual_layer("feed_forward_residual")
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


@keras.saving.register_keras_serializable("metagpt_tf")
class Encoder(Stack):
    """Stack of encoder layers; a pre-norm stack ends with a normalisation.

    Args:
        num_layers: int, number of layers.
        num_heads, hidden_dim, dropout, norm, activation, low_rank, head_width: as in `EncoderLayer`.

    Call arguments:
        x: `(B, S, D)` float.
        attention_mask: additive, broadcastable to `(B, H, S, S)` (see `padding_mask`).
        training: bool, whether to drop.

    Returns:
        `(B, S, D)`.

    Raises:
        ValueError: as `EncoderLayer`.

    Example:

    >>> keras.ops.shape(Encoder(2, num_heads=2, hidden_dim=16)(keras.ops.ones((2, 3, 4))))
    (2, 3, 4)

    Reference: Vaswani et al., 2017, section 3.1.
    """

    layer_class = EncoderLayer

    def build(self, input_shape: tuple) -> None:
        self.build_layers(input_shape)
        if self.norm == "pre":
            self.final_norm = LayerNorm(name="final_norm", dtype=self.dtype_policy)
            self.final_norm.build(input_shape)

    def call(self, x: Any, attention_mask: Any = None, training: bool = False) -> Any:
        for layer in self.layers:
            x = layer(x, attention_mask=attention_mask, training=training)
        return self.final_norm(x) if self.norm == "pre" else x

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape
