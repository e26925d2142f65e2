"""Token and position embedding, and its transpose as output projection."""

from typing import Any

import keras
import numpy as np
from keras import ops

from metagpt_tf.layers.arguments import check_at_least, check_choice
from metagpt_tf.layers.normalization import LayerNorm
from metagpt_tf.layers.projection import Projection, matmul_last_axis

POSITIONS = ("sinusoidal", "learned")


def sinusoidal_positions(length: int, dim: int) -> np.ndarray:
    """Fixed position vectors: `P[t, 2i] = sin(t / 10000^(2i/D))`, `P[t, 2i+1] = cos(t / 10000^(2i/D))`.

    Args:
        length: int, positions t from 0 to length − 1.
        dim: int, D; with an odd D the last column is a sine.

    Returns:
        `(length, D)` float32.

    Example:

    >>> sinusoidal_positions(2, 4)[0].tolist()
    [0.0, 1.0, 0.0, 1.0]

    Reference: Vaswani et al., 2017, section 3.5.
    """
    angles = np.arange(length)[:, None] / 10000.0 ** (np.arange(0, dim, 2)[None] / dim)
    table = np.zeros((length, dim), "float32")
    table[:, 0::2] = np.sin(angles)
    table[:, 1::2] = np.cos(angles[:, : dim // 2])
    return table


@keras.saving.register_keras_serializable("metagpt_tf")
class TokenAndPositionEmbedding(keras.layers.Layer):
    """Sum of a token vector and a position vector, `y_t = √D · E[id_t] + P[t]`.

    Args:
        vocabulary_size: int, V.
        dim: int, D.
        max_length: int, longest sequence in tokens.
        positions: `"sinusoidal"` (default, fixed) or `"learned"`.

    Call arguments:
        ids: `(B, T)` int32, each in [0, V).
        position: `()` int32; given for one step `(B, 1)` of a sequence, else positions are 0…T-1.

    Returns:
        `(B, T, D)`.

    Raises:
        ValueError: unknown kind of positions, sizes below 1, a sequence longer than `max_length`, or ids that are no
            integers.

    Example:

    >>> keras.ops.shape(TokenAndPositionEmbedding(10, 4, max_length=8)(keras.ops.ones((2, 3), "int32")))
    (2, 3, 4)

    Reference: Vaswani et al., 2017, sections 3.4 and 3.5.
    """

    def __init__(
        self, vocabulary_size: int, dim: int, max_length: int, positions: str = "sinusoidal", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_at_least(self, 1, vocabulary_size=vocabulary_size, dim=dim, max_length=max_length)
        self.vocabulary_size = vocabulary_size
        self.dim = dim
        self.max_length = max_length
        self.positions = check_choice(self, "positions", positions, POSITIONS)

    def build(self, ids_shape: tuple = ()) -> None:
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
        self._check(ids)
        table = ops.cast(ops.convert_to_tensor(self.table), self.compute_dtype)
        tokens = ops.take(table, ids, axis=0) * self.dim**0.5
        places = ops.cast(ops.convert_to_tensor(self.position_table), self.compute_dtype)
        if position is not None:
            return tokens + ops.reshape(ops.take(places, position, axis=0), (1, 1, self.dim))
        length = ops.shape(ids)[1] if ids.shape[1] is None else ids.shape[1]
        return tokens + ops.expand_dims(ops.slice(places, (0, 0), (length, self.dim)), 0)

    def _check(self, ids: Any) -> None:
        dtype = keras.backend.standardize_dtype(ids.dtype)
        if "int" not in dtype:
            raise ValueError(
                f"{self.name}: expected integer token ids (B, T), received {dtype} of shape {tuple(ids.shape)}. "
                'Cast them first, or declare keras.Input((None,), dtype="int32").'
            )
        if ids.shape[1] is not None and ids.shape[1] > self.max_length:
            raise ValueError(
                f"Sequence of length {ids.shape[1]} given to an embedding with max_length={self.max_length}. "
                "Shorten the sequence, or build the model with a larger length."
            )

    def compute_output_shape(self, ids_shape: tuple, position_shape: tuple | None = None) -> tuple:
        return (*ids_shape, self.dim)

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
    Tie small models: the matrix is a large part of their weights.

    Args:
        vocabulary_size: int, V.
        tied: bool, share the embedding's matrix, given to each call as `table`; default True.

    Call arguments:
        x: `(B, T, D)` float.
        table: `(V, D)` embedding matrix, needed when tied.

    Returns:
        `(B, T, V)` float32 logits, also under mixed precision.

    Raises:
        ValueError: `vocabulary_size` below 1, or a tied head called without a table.

    Example:

    >>> keras.ops.shape(TokenHead(10)(keras.ops.ones((2, 3, 4)), keras.ops.ones((10, 4))))
    (2, 3, 10)

    Reference: Press & Wolf, 2017, "Using the Output Embedding to Improve Language Models".
    """

    def __init__(self, vocabulary_size: int, tied: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_at_least(self, 1, vocabulary_size=vocabulary_size)
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
        if self.tied and table is None:
            raise ValueError(
                f"{self.name}: a tied TokenHead needs the embedding's matrix ({self.vocabulary_size}, {x.shape[-1]}). "
                "Call it as head(x, embedding.table), or build it with tied=False."
            )
        x = self.norm(x)
        if self.tied:
            table = ops.cast(ops.convert_to_tensor(table), x.dtype)
            logits = matmul_last_axis(x, table, transpose=True)
        else:
            logits = self.projection(x)
        return ops.cast(logits, "float32") + ops.cast(self.bias, "float32")

    def compute_output_shape(self, x_shape: tuple, table_shape: tuple | None = None) -> tuple:
        return (*x_shape[:-1], self.vocabulary_size)

    def compute_output_spec(self, x: Any, table: Any = None) -> keras.KerasTensor:
        # Keras would announce the compute dtype; logits are float32 under every policy.
        return keras.KerasTensor(self.compute_output_shape(x.shape), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size, "tied": self.tied}
