"""Vectors to codes: the nearest of a learned set, with gradients that pass straight through.

Axes: B batch, ... places, D width of a code, N codes.
"""

from typing import Any

import keras
from keras import ops

from metagpt_tf.layers.arguments import check_at_least


@keras.saving.register_keras_serializable("metagpt_tf")
class VectorQuantizer(keras.layers.Layer):
    """Replaces each vector by the nearest of N codes.

        q(z) = e_k,  k = argmin_j |z - e_j|²          the gradient of q is taken as that of z
        loss = commitment · mean |z - sg(e_k)|²
        n_j ← γ n_j + (1-γ) · count_j,   m_j ← γ m_j + (1-γ) · Σ_{z → j} z,   e_j = m_j / n_j

    Codes move by the running means of the vectors they stand for, not by the optimizer. A code that stands for less
    than `restart_below` vectors a batch in the running mean begins anew at a vector of the batch, or most of them would
    be used by none.

    Args:
        num_codes: int, N; default 512.
        code_dim: int, D; default 32.
        commitment: float, weight of the loss that keeps vectors near their codes; default 0.25.
        decay: float γ in [0, 1) of the running means; default 0.99.
        restart_below: float >= 0, default 1, for batches of several vectors a code; 0 for never.
        seed: int, of the first codes and of restarts.

    Call arguments:
        inputs: `(B, ..., D)` float.
        training: bool, whether codes move.

    Returns:
        `(B, ..., D)`, each vector a code.

    Raises:
        ValueError: a size below 1, a decay outside [0, 1), or vectors of another width.

    Example:

    >>> layer = VectorQuantizer(num_codes=4, code_dim=2)
    >>> layer(keras.ops.ones((3, 7, 7, 2))).shape
    TensorShape([3, 7, 7, 2])

    Reference: van den Oord et al., 2017, "Neural Discrete Representation Learning", https://arxiv.org/abs/1711.00937,
    with the running means of its appendix A.1; restarts: Dhariwal et al., 2020, "Jukebox".
    """

    def __init__(
        self,
        num_codes: int = 512,
        code_dim: int = 32,
        commitment: float = 0.25,
        decay: float = 0.99,
        restart_below: float = 1.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_codes, self.code_dim, self.commitment = num_codes, code_dim, commitment
        self.decay, self.restart_below, self.seed = decay, restart_below, seed
        check_at_least(self, 1, num_codes=num_codes, code_dim=code_dim)
        if not 0 <= decay < 1:
            raise ValueError(f"decay is a share in [0, 1), received {decay!r}.")
        if restart_below < 0:
            raise ValueError(f"restart_below is a number of vectors, at least 0, received {restart_below!r}.")
        self.generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Any) -> None:
        """Make the codes."""
        if input_shape[-1] != self.code_dim:
            raise ValueError(f"VectorQuantizer has codes of {self.code_dim} numbers, received vectors {input_shape}.")
        shape, start = (self.num_codes, self.code_dim), keras.initializers.RandomUniform(-1.0, 1.0, seed=self.seed)
        self.codes = self.add_weight(name="codes", shape=shape, initializer=start, trainable=False)
        self.sums = self.add_weight(name="sums", shape=shape, initializer="zeros", trainable=False)
        self.counts = self.add_weight(name="counts", shape=(self.num_codes,), initializer="zeros", trainable=False)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Vectors to codes."""
        ids = self.ids(inputs)
        found = ops.take(self.codes, ids, axis=0)
        if training:
            self.add_loss(self.commitment * ops.mean(ops.square(inputs - ops.stop_gradient(found))))
            self._move(ops.stop_gradient(ops.reshape(inputs, (-1, self.code_dim))), ops.reshape(ids, (-1,)))
        return inputs + ops.stop_gradient(found - inputs)

    def ids(self, inputs: Any) -> Any:
        """Places `(B, ...)` int32 of the nearest codes."""
        return ops.cast(ops.argmin(self.distances(inputs), axis=-1), "int32")

    def distances(self, inputs: Any) -> Any:
        """`|z - e|² - |z|²` of inputs `(B, ..., D)` to every code `(B, ..., N)`: the least is that of the nearest."""
        return ops.sum(ops.square(self.codes), axis=1) - 2.0 * ops.matmul(inputs, ops.transpose(self.codes))

    def vectors(self, ids: Any) -> Any:
        """Codes `(B, ..., D)` of places `(B, ...)`."""
        return ops.take(self.codes, ids, axis=0)

    def _move(self, vectors: Any, ids: Any) -> None:
        counts = ops.segment_sum(ops.ones_like(vectors[:, 0]), ids, num_segments=self.num_codes)
        sums = ops.segment_sum(vectors, ids, num_segments=self.num_codes)
        counts, sums = (
            self.decay * old + (1.0 - self.decay) * new for old, new in ((self.counts, counts), (self.sums, sums))
        )
        needed = (counts > 0)[:, None]
        codes = ops.where(needed, sums / ops.where(needed, counts[:, None], 1.0), self.codes)
        dead = counts < self.restart_below
        rows = keras.random.randint((self.num_codes,), 0, ops.shape(vectors)[0], seed=self.generator)
        fresh = ops.take(vectors, rows, axis=0)
        self.codes.assign(ops.where(dead[:, None], fresh, codes))
        self.counts.assign(ops.where(dead, self.restart_below, counts))  # it lives on if one vector comes to it
        self.sums.assign(ops.where(dead[:, None], self.restart_below * fresh, sums))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        names = ("num_codes", "code_dim", "commitment", "decay", "restart_below", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
