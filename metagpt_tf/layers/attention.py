"""Multi-head attention: self, causal, cross, and one cached step at a time."""

from typing import Any

import keras
from keras import ops

from metagpt_tf.layers.adapters import LowRankAdapter
from metagpt_tf.layers.arguments import check_at_least, check_rank, check_share
from metagpt_tf.layers.projection import Projection, merge_axes, restore_axes

Cache = tuple[Any, Any]


@keras.saving.register_keras_serializable("metagpt_tf")
class MultiHeadAttention(keras.layers.Layer):
    """Scaled dot-product attention in H parallel heads.

    `Attention(Q, K, V) = softmax(Q Kᵀ / √E + mask) V`, heads concatenated and projected. Masks are additive (0 or a
    large negative number): constants convert to every file format. With copied weights it equals
    `keras.layers.MultiHeadAttention`.

    Args:
        num_heads: int, H.
        dropout: float in [0, 1), share of attention weights dropped in training; default 0.
        low_rank: int, rank of the adapters on the query and value projections; 0 (default) for none.
        head_width: int, E, width of a head; `None` (default) means D / H, which H must then divide.

    Call arguments:
        query: `(B, T, D)` float.
        value: `(B, S, D)` to attend to; `None` for self-attention.
        attention_mask: additive, broadcastable to `(B, H, T, S)` (see `padding_mask`, `causal_mask`).
        cache: `(keys, values)`, each `(B, H, L, E)`; then `query` is one step `(B, 1, D)`, its key and value are
            written at `position`, and the new cache is returned too. The mask must hide what lies behind `position`.
        position: `()` int32, where the step writes.
        return_weights: bool, also return the attention weights.
        training: bool, whether to drop.

    Returns:
        `(B, T, D)`; then, if asked for, the new cache and the weights `(B, H, T, S)`.

    Raises:
        ValueError: D is not divisible by `num_heads` and no `head_width` is given, inputs are not of rank 3, or a cache
            comes without a position or with more than one step.

    Example:

    >>> x = keras.random.normal((2, 5, 8))
    >>> y, weights = MultiHeadAttention(num_heads=2)(x, return_weights=True)
    >>> keras.ops.shape(y), keras.ops.shape(weights)
    ((2, 5, 8), (2, 2, 5, 5))

    Reference: Vaswani et al., 2017, "Attention Is All You Need", section 3.2.
    """

    def __init__(
        self,
        num_heads: int,
        dropout: float = 0.0,
        low_rank: int = 0,
        head_width: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_at_least(self, 1, num_heads=num_heads, head_width=1 if head_width is None else head_width)
        check_at_least(self, 0, low_rank=low_rank)
        check_share(self, dropout=dropout)
        self.num_heads = num_heads
        self.dropout = dropout
        self.low_rank = low_rank
        self.given_head_width = head_width

    def build(self, query_shape: tuple, value_shape: tuple | None = None) -> None:
        memory_shape = value_shape or query_shape
        check_rank(self, "query", query_shape, "(B, T, D)")
        check_rank(self, "value", memory_shape, "(B, S, D)")
        width = query_shape[-1]
        if self.given_head_width is None and width % self.num_heads:
            raise ValueError(
                f"MultiHeadAttention: the width {width} of the input {query_shape} is not divisible by "
                f"num_heads={self.num_heads}. Choose a number of heads that divides {width}, or give head_width."
            )
        self.head_width = self.given_head_width or width // self.num_heads
        self.inner_width = self.num_heads * self.head_width
        self.query_projection = _built(self._projection("query", self.inner_width), query_shape)
        self.key_projection = _built(self._projection("key", self.inner_width), memory_shape)
        self.value_projection = _built(self._projection("value", self.inner_width), memory_shape)
        self.output_projection = _built(self._projection("output", width), (*query_shape[:-1], self.inner_width))
        self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)
        if self.low_rank:
            self.query_adapter = _built(self._adapter("query_adapter"), query_shape)
            self.value_adapter = _built(self._adapter("value_adapter"), memory_shape)

    def _projection(self, name: str, units: int) -> Projection:
        return Projection(units, name=name, dtype=self.dtype_policy)

    def _adapter(self, name: str) -> LowRankAdapter:
        return LowRankAdapter(self.inner_width, self.low_rank, name=name, dtype=self.dtype_policy)

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
            self._check_step(query, position)
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
            scores = scores + ops.cast(mask, "float32")
        # One key gets all the attention; Keras warns of a softmax over one number.
        weights = ops.ones_like(scores) if scores.shape[-1] == 1 else ops.softmax(scores, axis=-1)
        weights = ops.cast(weights, self.compute_dtype)
        mixed = ops.matmul(self.dropout_layer(weights, training=training), values)
        merged = ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (-1, self.inner_width))
        return restore_axes(self.output_projection(merged), query), weights

    def _split_heads(self, flat: Any, length: Any) -> Any:
        # (B · T, D) -> (B, H, T, E)
        x = ops.reshape(flat, (-1, length, self.num_heads, self.head_width))
        return ops.transpose(x, (0, 2, 1, 3))

    def _check_step(self, query: Any, position: Any) -> None:
        if position is None or query.shape[1] != 1:
            raise ValueError(
                f"{self.name}: with a cache, query is one step (B, 1, D) and position says where it is written; "
                f"received query {tuple(query.shape)}, position={position}."
            )

    def compute_output_shape(self, query_shape: tuple, value_shape: tuple | None = None) -> tuple:
        return query_shape

    def compute_output_spec(self, query: Any, value: Any = None, *args: Any, **kwargs: Any) -> Any:
        # What comes back depends on the options, which a shape alone does not know.
        if kwargs.get("cache") is not None:
            raise ValueError(f"{self.name}: a cache is for tensors, not for building a functional model.")
        output = keras.KerasTensor(query.shape, dtype=self.compute_dtype)
        if not kwargs.get("return_weights"):
            return output
        memory = query if value is None else value
        scores = (query.shape[0], self.num_heads, query.shape[1], memory.shape[1])
        return output, keras.KerasTensor(scores, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "low_rank": self.low_rank,
            "head_width": self.given_head_width,
        }


def _built(layer: keras.layers.Layer, shape: tuple) -> Any:
    layer.build(shape)
    return layer


def _length(x: Any) -> Any:
    return ops.shape(x)[1] if x.shape[1] is None else x.shape[1]


def write_step(cache: Any, step: Any, position: Any) -> Any:
    """Write `step (B, H, 1, E)` at `position` of `cache (B, H, L, E)`, by blending: it converts everywhere."""
    here = ops.equal(ops.arange(cache.shape[2], dtype="int32"), position)[None, None, :, None]
    return ops.where(here, ops.cast(step, cache.dtype), cache)
