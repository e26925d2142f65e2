"""Multi-head attention: self, causal, cross, and one cached step at a time."""

from typing import Any

import keras
from keras import ops

from metagpt_tf.layers.adapters import LowRankAdapter
from metagpt_tf.layers.projection import Projection, merge_axes, restore_axes

Cache = tuple[Any, Any]


@keras.saving.register_keras_serializable("metagpt_tf")
class MultiHeadAttention(keras.layers.Layer):
    """Scaled dot-product attention in H parallel heads.

    `Attention(Q, K, V) = softmax(Q Kᵀ / √E + mask) V`, heads concatenated and projected. Masks are additive (0 or a
    large negative number): constants convert to every file format.

    Args:
        num_heads: H; must divide the model width D, E = D / H.
        dropout: share of attention weights dropped in training.
        low_rank: rank of the adapters on the query and value projections; 0 for none.

    Call arguments:
        query: `(B, T, D)`.
        value: `(B, S, D)` to attend to; `None` for self-attention.
        attention_mask: additive, broadcastable to `(B, H, T, S)`.
        cache: `(keys, values)`, each `(B, H, L, E)`; then `query` is one step `(B, 1, D)`, its key and value are
            written at `position`, and the new cache is returned too. The mask must hide what lies behind `position`.
        position: `()` int32, where the step writes.
        return_weights: also return the attention weights.

    Returns:
        `(B, T, D)`; then, if asked for, the new cache and the weights `(B, H, T, S)`.

    Raises:
        ValueError: D is not divisible by `num_heads`.

    Example:

    >>> x = keras.random.normal((2, 5, 8))
    >>> MultiHeadAttention(num_heads=2)(x).shape
    (2, 5, 8)

    Reference: Vaswani et al., 2017, "Attention Is All You Need", section 3.2.
    """

    def __init__(self, num_heads: int, dropout: float = 0.0, low_rank: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.dropout = dropout
        self.low_rank = low_rank

    def build(self, query_shape: tuple, value_shape: tuple | None = None) -> None:
        width = query_shape[-1]
        if width % self.num_heads:
            raise ValueError(
                f"MultiHeadAttention: the width {width} of the input {query_shape} is not divisible by "
                f"num_heads={self.num_heads}. Choose a number of heads that divides {width}."
            )
        self.width, self.head_width = width, width // self.num_heads
        self.query_projection = Projection(width, name="query", dtype=self.dtype_policy)
        self.key_projection = Projection(width, name="key", dtype=self.dtype_policy)
        self.value_projection = Projection(width, name="value", dtype=self.dtype_policy)
        self.output_projection = Projection(width, name="output", dtype=self.dtype_policy)
        self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)
        memory_shape = value_shape or query_shape
        self.query_projection.build(query_shape)
        self.key_projection.build(memory_shape)
        self.value_projection.build(memory_shape)
        self.output_projection.build(query_shape)
        if self.low_rank:
            self.query_adapter = LowRankAdapter(width, self.low_rank, name="query_adapter", dtype=self.dtype_policy)
            self.value_adapter = LowRankAdapter(width, self.low_rank, name="value_adapter", dtype=self.dtype_policy)
            self.query_adapter.build(query_shape)
            self.value_adapter.build(memory_shape)

    def call(
        self,
        query: Any,
        value: Any = None,
        attention_mask: Any = None,
        cache: Cache | None = None,
        position: Any = None,
        return_weights: bool = False,
        training: bool = False,
    ) -> Any:
        keys, values = self.project_memory(query if value is None else value)
        if cache is not None:
            keys = write_step(cache[0], keys, position)
            values = write_step(cache[1], values, position)
        output, weights = self.attend(query, keys, values, attention_mask, training)
        if cache is None and not return_weights:
            return output
        return (output, *([(keys, values)] if cache is not None else []), *([weights] if return_weights else []))

    def project_memory(self, value: Any) -> Cache:
        """Keys and values `(B, H, S, E)` of a sequence `(B, S, D)`; computed once for a source that does not change."""
        flat, length = merge_axes(value), _length(value)
        values = self.value_projection(flat)
        if self.low_rank:
            values = values + self.value_adapter(flat)
        return self._split_heads(self.key_projection(flat), length), self._split_heads(values, length)

    def attend(self, query: Any, keys: Any, values: Any, mask: Any, training: bool = False) -> tuple[Any, Any]:
        """Attention of `query (B, T, D)` over projected keys and values: `(B, T, D)` and weights `(B, H, T, S)`."""
        flat, length = merge_axes(query), _length(query)
        queries = self.query_projection(flat)
        if self.low_rank:
            queries = queries + self.query_adapter(flat)
        queries = self._split_heads(queries * self.head_width**-0.5, length)
        scores = ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2)))
        # The softmax runs in float32 whatever the policy: the mask is outside of float16's range.
        scores = ops.cast(scores, "float32")
        if mask is not None:
            scores = scores + mask
        weights = ops.cast(ops.softmax(scores, axis=-1), self.compute_dtype)
        mixed = ops.matmul(self.dropout_layer(weights, training=training), values)
        merged = ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (-1, self.width))
        return restore_axes(self.output_projection(merged), query), weights

    def _split_heads(self, flat: Any, length: Any) -> Any:
        # (B · T, D) -> (B, H, T, E)
        x = ops.reshape(flat, (-1, length, self.num_heads, self.head_width))
        return ops.transpose(x, (0, 2, 1, 3))

    def compute_output_shape(self, query_shape: tuple, value_shape: tuple | None = None) -> tuple:
        return query_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "low_rank": self.low_rank,
        }


def _length(x: Any) -> Any:
    return ops.shape(x)[1] if x.shape[1] is None else x.shape[1]


def write_step(cache: Any, step: Any, position: Any) -> Any:
    """Write `step (B, H, 1, E)` at `position` of `cache (B, H, L, E)`, by blending: it converts everywhere."""
    here = ops.equal(ops.arange(cache.shape[2], dtype="int32"), position)[None, None, :, None]
    return ops.where(here, ops.cast(step, cache.dtype), cache)
