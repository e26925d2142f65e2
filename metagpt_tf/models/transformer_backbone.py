"""From an image or a text to one feature vector by attention: a backbone of `MetaClassifier`.

Axes in comments: B batch, H height, W width, C channels, S patches or tokens, D features.
"""

from typing import Any

import keras
from keras import ops

from metagpt_tf.layers import ContextTokens, Encoder, LayerNorm, Projection, TokenAndPositionEmbedding, padding_mask
from metagpt_tf.layers.arguments import check_at_least, check_rank
from metagpt_tf.layers.embedding import sinusoidal_positions


@keras.saving.register_keras_serializable("metagpt_tf")
class TransformerBackbone(keras.layers.Layer):
    """Our `Encoder` over the patches of an image or the tokens of a text, its outputs averaged.

    `f(x) = mean_s Encoder(E(x) + P)_s` over what is not padding. Patches are projected, tokens are looked up.

    Args:
        dim: int, D; default 64.
        num_heads, num_layers, hidden_dim, dropout, norm, activation, low_rank: as in `Encoder`; defaults 4, 2, 4 D, 0,
            `"pre"`, `"relu"`, 0.
        patch_size: int, side of a patch in pixels, a divisor of H and W; default 4. For images only.
        vocabulary_size: int, V; 0 (default) for images.
        max_length: int, longest text in tokens. For texts only; default 128.
        pad_id: int, token that fills up a text; default 0.
        context_tokens: int, context vectors beside the sequence, scope `"context"`; default 0.

    Call arguments:
        x: `(B, H, W, C)` float, or `(B, S)` int32 with a vocabulary.
        training: bool, whether to drop.

    Returns:
        `(B, D)`.

    Raises:
        ValueError: a size below its least, or images that patches do not tile.

    Example:

    >>> keras.ops.shape(TransformerBackbone(8, num_heads=2)(keras.ops.ones((2, 28, 28, 1))))
    (2, 8)

    Reference: Dosovitskiy et al., 2021, "An Image is Worth 16x16 Words" (patches).
    """

    def __init__(
        self,
        dim: int = 64,
        num_heads: int = 4,
        num_layers: int = 2,
        hidden_dim: int | None = None,
        dropout: float = 0.0,
        norm: str = "pre",
        activation: str = "relu",
        low_rank: int = 0,
        patch_size: int = 4,
        vocabulary_size: int = 0,
        max_length: int = 128,
        pad_id: int = 0,
        context_tokens: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_at_least(self, 1, dim=dim, patch_size=patch_size, max_length=max_length)
        check_at_least(self, 0, vocabulary_size=vocabulary_size, context_tokens=context_tokens)
        self.dim, self.patch_size, self.vocabulary_size = dim, patch_size, vocabulary_size
        self.max_length, self.pad_id, self.context_tokens = max_length, pad_id, context_tokens
        hidden_dim = 4 * dim if hidden_dim is None else hidden_dim
        stack = (num_layers, num_heads, hidden_dim, dropout, norm, activation, low_rank)
        self.encoder = Encoder(*stack, name="encoder", dtype=self.dtype_policy)

    def build(self, input_shape: tuple) -> None:
        policy = self.dtype_policy
        if self.vocabulary_size:
            check_rank(self, "x", input_shape, "(B, S)")
            self.embedding = TokenAndPositionEmbedding(
                self.vocabulary_size, self.dim, self.max_length, name="embedding", dtype=policy
            )
            self.embedding.build(input_shape)
        else:
            check_rank(self, "x", input_shape, "(B, H, W, C)")
            self._build_patches(input_shape)
        if self.context_tokens:
            self.context = ContextTokens(self.context_tokens, name="context", dtype=policy)
            self.context.build((None, None, self.dim))
        self.encoder.build((None, None, self.dim))

    def _build_patches(self, input_shape: tuple) -> None:
        height, width, channels = input_shape[1:]
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(
                f"{self.name}: patches of {self.patch_size} x {self.patch_size} do not tile images of {height} x "
                f"{width}. Give a patch_size that divides both."
            )
        self.patches = Projection(self.dim, name="patches", dtype=self.dtype_policy)
        self.patches.build((None, self.patch_size**2 * channels))
        self.patch_norm = LayerNorm(name="patch_norm", dtype=self.dtype_policy)
        self.patch_norm.build((None, None, self.dim))
        self.positions = sinusoidal_positions((height // self.patch_size) * (width // self.patch_size), self.dim)

    def call(self, x: Any, training: bool = False) -> Any:
        if not self.vocabulary_size:
            x = self.patch_norm(self.patches(patches(ops.cast(x, self.compute_dtype), self.patch_size)))
            x = x + ops.cast(self.positions, x.dtype)
            x = self.context(x) if self.context_tokens else x
            return ops.mean(self.encoder(x, training=training), axis=1)
        keep = ops.not_equal(x, self.pad_id)
        x = self.embedding(x)
        if self.context_tokens:
            x, keep = self.context(x), self.context.extend_keep(keep)
        x = self.encoder(x, attention_mask=padding_mask(keep), training=training)
        weights = ops.expand_dims(ops.cast(keep, x.dtype), -1)
        return ops.sum(x * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), ops.cast(1.0, x.dtype))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0], self.dim)

    def get_config(self) -> dict[str, Any]:
        names = ("num_heads", "num_layers", "hidden_dim", "dropout", "norm", "activation", "low_rank")
        own = ("dim", "patch_size", "vocabulary_size", "max_length", "pad_id", "context_tokens")
        stack = {name: getattr(self.encoder, name) for name in names}
        return {**super().get_config(), **stack, **{name: getattr(self, name) for name in own}}


def patches(x: Any, size: int) -> Any:
    """Squares of `size` pixels, row by row: `(B, H, W, C)` to `(B, S, size² · C)`."""
    _, height, width, channels = x.shape
    x = ops.reshape(x, (-1, height // size, size, width // size, size * channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4))
    return ops.reshape(x, (-1, (height // size) * (width // size), size * size * channels))
