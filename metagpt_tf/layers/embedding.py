"""Token and position embedding, and its transpose as output projection."""

from typing import Any

import keras
import numpy as np
from keras import ops

from metagpt_tf.layers.normalization import LayerNorm
from metagpt_tf.layers.projection import Projection, matmul_last_axis


def sinusoidal_positions(length: int, dim: int) -> np.ndarray:
    """Fixed position vectors: `P[t, 2i] = sin(t / 10000^(2i/D))`, `P[t, 2i+1] = cos(t / 10000^(2i/D))`.

    Returns:
        `(length, dim)` float32.

    Reference: Vaswani et al., 2017, section 3.5.
    """
    angles = np.arange(length)[:, None] / 10000.0 ** (np.arange(0, dim, 2)[None] / dim)
    table = np.zeros((length, dim), "float32")
    table[:, 0::2] = np.sin(angles)
    table[:, 1::2] = np.cos(angles[:, : dim // 2])
    return table


@keras.saving.register_keras_serializable("metagpt_tf")
class TokenAndPositionEmbedding(keras.layers.Layer):
    """Sum of a token vector, scaled by `√D`, and a position vector.

    Args:
        vocabulary_size: V.
        dim: D.
        max_length: longest sequence.
        positions: `"sinusoidal"` (fixed) or `"learned"`.

    Call arguments:
        ids: `(B, T)` int32.
        position: `()` int32; given for one step `(B, 1)` of a sequence, else positions are 0…T-1.

    Returns:
        `(B, T, D)`.

    Raises:
        ValueError: unknown kind of positions, or a sequence longer than `max_length`.

    Example:

    >>> TokenAndPositionEmbedding(10, 4, max_length=8)(keras.ops.ones((2, 3), "int32")).shape
    (2, 3, 4)

    Reference: Vaswani et al., 2017, sections 3.4 and 3.5.
    """

    def __init__(
        self, vocabulary_size: int, dim: int, max_length: int, positions: str = "sinusoidal", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if positions not in ("sinusoidal", "learned"):
            raise ValueError(f"positions must be 'sinusoidal' or 'learned', received {positions!r}.")
        self.vocabulary_size = vocabulary_size
        self.dim = dim
        self.max_length = max_length
        self.positions = positions

    def build(self, input_shape: tuple = ()) -> None:
        self.table = self.add_weight(
            shape=(self.vocabulary_size, self.dim),
            initializer=keras.initializers.RandomNormal(stddev=self.dim**-0.5),
            name="embeddings",
        )
        if self.positions == "learned":
            self.position_table = self.add_weight(
                shape=(self.max_length, self.dim),
                initializer=keras.initializers.RandomNormal(stddev=0.02),
                name="positions",
            )
        else:
            self.position_table = sinusoidal_positions(self.max_length, self.dim)

    def call(self, ids: Any, position: Any = None) -> Any:
        table = ops.cast(ops.convert_to_tensor(self.table), self.compute_dtype)
        tokens = ops.take(table, ids, axis=0) * self.dim**0.5
        places = ops.cast(ops.convert_to_tensor(self.position_table), self.compute_dtype)
        if position is not None:
            return tokens + ops.reshape(ops.take(places, position, axis=0), (1, 1, self.dim))
        length = ids.shape[1]
        if length is not None and length > self.max_length:
            raise ValueError(
                f"Sequence of length {length} given to an embedding with max_length={self.max_length}. "
                "Shorten the sequence, or build the model with a larger length."
            )
        length = ops.shape(ids)[1] if length is None else length
        return tokens + ops.expand_dims(ops.slice(places, (0, 0), (length, self.dim)), 0)

    def compute_output_shape(self, input_shape: tuple, position_shape: tuple | None = None) -> tuple:
        return (*input_shape, self.dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "dim": self.dim,
            "max_length": self.max_length,
            "positions": self.positions,
        }


@keras.saving.register_keras_serializable("metagpt_tf")
class TokenHead(keras.layers.Layer):
    """Scores over the vocabulary: final normalisation, then a projection by its own or by the embedding's matrix.

    `logits = LayerNorm(x) Eᵀ + b` (tied) or `LayerNorm(x) W + b`. Scope `"head"` adapts the weights of this layer.

    Args:
        vocabulary_size: V.
        tied: share the embedding's matrix, given to each call as `table`.

    Call arguments:
        x: `(B, T, D)`.
        table: `(V, D)` embedding matrix, needed when tied.

    Returns:
        `(B, T, V)` float32 logits, also under mixed precision.

    Reference: Press & Wolf, 2017, "Using the Output Embedding to Improve Language Models".
    """

    def __init__(self, vocabulary_size: int, tied: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.tied = tied

    def build(self, x_shape: tuple, table_shape: tuple | None = None) -> None:
        self.norm = LayerNorm(name="norm", dtype=self.dtype_policy)
        self.norm.build(x_shape)
        self.bias = self.add_weight(shape=(self.vocabulary_size,), initializer="zeros", name="bias")
        if not self.tied:
            self.projection = Projection(
                self.vocabulary_size, use_bias=False, name="projection", dtype=self.dtype_policy
            )
            self.projection.build(x_shape)

    def call(self, x: Any, table: Any = None) -> Any:
        x = self.norm(x)
        if self.tied:
            table = ops.cast(ops.convert_to_tensor(table), x.dtype)
            logits = matmul_last_axis(x, table, transpose=True)
        else:
            logits = self.projection(x)
        return ops.cast(logits, "float32") + ops.cast(self.bias, "float32")

    def compute_output_shape(self, x_shape: tuple, table_shape: tuple | None = None) -> tuple:
        return (*x_shape[:-1], self.vocabulary_size)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size, "tied": self.tied}
