"""What the layers and the stacks of encoder and decoder have in common: their arguments and their sub-layers."""

from typing import Any

import keras

from metagpt_tf.layers.arguments import check_at_least, check_choice, check_share
from metagpt_tf.layers.attention import MultiHeadAttention
from metagpt_tf.layers.feed_forward import ACTIVATIONS, FeedForward
from metagpt_tf.layers.residual import NORMS, Residual


class Block(keras.layers.Layer):
    """Base of `EncoderLayer` and `DecoderLayer`: sub-layers, each in a residual frame.

    Subclass it for another kind of Transformer layer: make the sub-layers in `build`, join them in `call`.

    Args:
        num_heads: int, H, a divisor of the width D unless `head_width` is given.
        hidden_dim: int, width F of the feed-forward network.
        dropout: float in [0, 1), share dropped of attention weights and after each sub-layer; default 0.
        norm: `"pre"` (default) or `"post"` (the paper's).
        activation: `"relu"` (default) or `"gelu"`.
        low_rank: int, rank of the adapters in each attention; 0 (default) for none.
        head_width: int, E, width of a head; `None` (default) means D / H.

    Raises:
        ValueError: a size below 1, a share outside [0, 1), or an unknown name.
    """

    def __init__(
        self,
        num_heads: int,
        hidden_dim: int,
        dropout: float = 0.0,
        norm: str = "pre",
        activation: str = "relu",
        low_rank: int = 0,
        head_width: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_at_least(self, 1, num_heads=num_heads, hidden_dim=hidden_dim)
        check_at_least(self, 0, low_rank=low_rank)
        check_share(self, dropout=dropout)
        self.num_heads, self.hidden_dim, self.dropout, self.low_rank = num_heads, hidden_dim, dropout, low_rank
        self.head_width = head_width
        self.norm = check_choice(self, "norm", norm, NORMS)
        self.activation = check_choice(self, "activation", activation, ACTIVATIONS)

    def arguments(self) -> dict[str, Any]:
        """The arguments above, as they go into the config and on to the layers of a stack."""
        names = ("num_heads", "hidden_dim", "dropout", "norm", "activation", "low_rank", "head_width")
        return {name: getattr(self, name) for name in names}

    def attention_layer(self, name: str) -> MultiHeadAttention:
        """A new attention as the arguments say."""
        return MultiHeadAttention(
            self.num_heads, self.dropout, self.low_rank, self.head_width, name=name, dtype=self.dtype_policy
        )

    def feed_forward_layer(self, name: str) -> FeedForward:
        """A new feed-forward network as the arguments say."""
        return FeedForward(self.hidden_dim, self.activation, name=name, dtype=self.dtype_policy)

    def residual_layer(self, name: str) -> Residual:
        """A new residual frame as the arguments say."""
        return Residual(self.norm, self.dropout, name=name, dtype=self.dtype_policy)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.arguments()}


class Stack(Block):
    """Base of `Encoder` and `Decoder`: equal layers, one on top of the other.

    Args:
        num_layers: int, number of layers.
        num_heads, hidden_dim, dropout, norm, activation, low_rank, head_width: of every layer, see `Block`.
    """

    layer_class: type[Block]

    def __init__(
        self,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        dropout: float = 0.0,
        norm: str = "pre",
        activation: str = "relu",
        low_rank: int = 0,
        head_width: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_heads, hidden_dim, dropout, norm, activation, low_rank, head_width, **kwargs)
        check_at_least(self, 1, num_layers=num_layers)
        self.num_layers = num_layers

    def build_layers(self, shape: tuple) -> None:
        """Make and build the layers for inputs `(B, T, D)`."""
        self.layers = [
            self.layer_class(**self.arguments(), name=f"layer_{i}", dtype=self.dtype_policy)
            for i in range(self.num_layers)
        ]
        for layer in self.layers:
            layer.build(shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_layers": self.num_layers}
