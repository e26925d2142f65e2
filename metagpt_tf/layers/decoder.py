"""The decoder stack: whole sequences for training, one cached step at a time for generation."""

from typing import Any

import keras

from metagpt_tf.layers.attention import Cache
from metagpt_tf.layers.block import Block, Stack


@keras.saving.register_keras_serializable("metagpt_tf")
class DecoderLayer(Block):
    """Self-attention, cross-attention to the encoder's output, feed-forward network, each in a residual frame.

    With `norm="pre"`: `h = x + Attention(LayerNorm(x))`, `g = h + Attention(LayerNorm(h), memory)`,
    `y = g + FFN(LayerNorm(g))`. What makes it causal is the mask that is given to it.

    Args:
        num_heads, hidden_dim, dropout, norm, activation, low_rank, head_width: as in `EncoderLayer`.

    Call arguments:
        x: `(B, T, D)` float, or one step `(B, 1, D)` when a cache is given.
        memory: `(B, S, D)` output of the encoder, or its projected `(keys, values)` (see `project_memory`).
        self_mask: additive, broadcastable to `(B, H, T, T)` (see `causal_mask`).
        cross_mask: additive, broadcastable to `(B, H, T, S)`.
        cache: keys and values `(B, H, L, E)` of the steps so far.
        position: `()` int32, the step's place in the cache.
        training: bool, whether to drop.

    Returns:
        `(B, T, D)`, followed by the new cache when one was given.

    Raises:
        ValueError: as `EncoderLayer`; a cache without a position.

    Example:

    >>> layer = DecoderLayer(num_heads=2, hidden_dim=16)
    >>> keras.ops.shape(layer(keras.ops.ones((2, 3, 4)), keras.ops.ones((2, 5, 4))))
    (2, 3, 4)

    Reference: Vaswani et al., 2017, section 3.1.
    """

    def build(self, x_shape: tuple, memory_shape: tuple | None = None) -> None:
        self.self_attention = self.attention_layer("self_attention")
        self.cross_attention = self.attention_layer("cross_attention")
        self.feed_forward = self.feed_forward_layer("feed_forward")
        self.self_residual = self.residual_layer("self_attention_residual")
        self.cross_residual = self.residual_layer("cross_attention_residual")
        self.feed_forward_residual = self.residual_layer("feed_forward_residual")
        # The encoder and the decoder have one width, so the memory's shape adds nothing to the input's.
        for layer in (self.self_attention, self.cross_attention, self.feed_forward):
            layer.build(x_shape)
        for residual in (self.self_residual, self.cross_residual, self.feed_forward_residual):
            residual.build(x_shape)

    def project_memory(self, memory: Any) -> Cache:
        """Cross-attention's keys and values of the encoder's output: once a source, not once a step."""
        return self.cross_attention.project_memory(memory)

    def call(
        self,
        x: Any,
        memory: Any,
        self_mask: Any = None,
        cross_mask: Any = None,
        cache: Cache | None = None,
        position: Any = None,
        training: bool = False,
    ) -> Any:
        new_cache: list[Cache] = []

        def attend_self(h: Any) -> Any:
            result = self.self_attention(h, attention_mask=self_mask, cache=cache, position=position, training=training)
            if cache is None:
                return result
            new_cache.append(result[1])
            return result[0]

        def attend_memory(h: Any) -> Any:
            if isinstance(memory, tuple):
                keys, values = memory
                return self.cross_attention.attend(h, keys, values, cross_mask, training)[0]
            return self.cross_attention(h, memory, attention_mask=cross_mask, training=training)

        x = self.self_residual(x, function=attend_self, training=training)
        x = self.cross_residual(x, function=attend_memory, training=training)
        x = self.feed_forward_residual(x, function=lambda h: self.feed_forward(h, training=training), training=training)
        return (x, new_cache[0]) if new_cache else x

    def compute_output_shape(self, x_shape: tuple, memory_shape: tuple | None = None) -> tuple:
        return x_shape


@keras.saving.register_keras_serializable("metagpt_tf")
class Decoder(Stack):
    """Stack of decoder layers. Its output goes to `TokenHead`, which holds the final normalisation.

    Args:
        num_layers: int, number of layers.
        num_heads, hidden_dim, dropout, norm, activation, low_rank, head_width: as in `EncoderLayer`.

    Call arguments:
        x, self_mask, cross_mask, position, training: as in `DecoderLayer`.
        memory: `(B, S, D)`, or the list of projected keys and values made by `project_memory`.
        cache: list with one `(keys, values)` a layer.

    Returns:
        `(B, T, D)`, followed by the list of new caches when one was given.

    Raises:
        ValueError: as `DecoderLayer`.

    Example:

    >>> decoder = Decoder(2, num_heads=2, hidden_dim=16)
    >>> keras.ops.shape(decoder(keras.ops.ones((2, 3, 4)), keras.ops.ones((2, 5, 4))))
    (2, 3, 4)

    Reference: Vaswani et al., 2017, section 3.1.
    """

    layer_class = DecoderLayer

    def build(self, x_shape: tuple, memory_shape: tuple | None = None) -> None:
        self.build_layers(x_shape)

    def project_memory(self, memory: Any) -> list[Cache]:
        """Each layer's cross-attention keys and values of `memory (B, S, D)`."""
        return [layer.project_memory(memory) for layer in self.layers]

    def call(
        self,
        x: Any,
        memory: Any,
        self_mask: Any = None,
        cross_mask: Any = None,
        cache: list[Cache] | None = None,
        position: Any = None,
        training: bool = False,
    ) -> Any:
        memories = memory if isinstance(memory, list) else [memory] * self.num_layers
        if cache is None:
            for layer, layer_memory in zip(self.layers, memories, strict=True):
                x = layer(x, layer_memory, self_mask=self_mask, cross_mask=cross_mask, training=training)
            return x
        new_cache = []
        for layer, layer_memory, layer_cache in zip(self.layers, memories, cache, strict=True):
            x, written = layer(
                x, layer_memory, self_mask=self_mask, cross_mask=cross_mask, cache=layer_cache, position=position
            )
            new_cache.append(written)
        return x, new_cache

    def compute_output_shape(self, x_shape: tuple, memory_shape: tuple | None = None) -> tuple:
        return x_shape
