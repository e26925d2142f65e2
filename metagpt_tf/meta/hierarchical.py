"""Hierarchical meta-learning: tasks softly clustered, an initialisation for each cluster, rates at three levels."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.meta.algorithm import registry
from metagpt_tf.meta.inner import Carry, Weights
from metagpt_tf.meta.maml import MAML
from metagpt_tf.meta.task_embedding import TaskEmbedding

GATES = ("parameter", "tensor")


@registry.register("hierarchical")
class Hierarchical(MAML):
    """MAML from an initialisation that is gated by what kind of task it is.

    With z the embedding of the support set, c_k and (W_k, b_k) learned for each cluster:

        p = softmax_k(−‖z − c_k‖²)                     soft assignment
        h = Σ_k p_k tanh(W_k z + b_k)                  what the clusters know
        φ_0 = θ ∘ 2σ(W_g [z, h] + b_g)                 the gated initialisation

    and, with `three_level_rates`, `α_ij = exp(a + a_layer(i) + a_ij)` for parameter j of tensor i. W_g and b_g start at
    0 and the rates at `inner_learning_rate`, so that it starts as MAML. Use it when tasks come in kinds that no single
    initialisation serves (mixed families of functions); for tasks of one kind it only costs.

    The papers also train the embedding to reconstruct the support set; here it learns from the query loss alone.

    Args:
        inner_steps, inner_learning_rate, scope, first_order: as in `MAML`.
        clusters: number of clusters.
        embedding_dim: width of z.
        example_size: numbers in one example, x and y flattened: z then is the mean over examples of a small network.
            `None` (default) reads the support loss and its gradient at θ instead, which every model and every kind of
            data has, at the price of one more gradient.
        gate: `"parameter"` (one number for each weight of the scope) or `"tensor"` (one for each tensor, for large
            models).
        three_level_rates: learn rates globally, for each layer and for each parameter.

    Raises:
        ValueError: as in `MAML`, fewer than 1 cluster or dimension, or an unknown gate.

    Example:

    >>> Hierarchical(clusters=4, example_size=2).clusters
    4

    Reference: Yao et al., 2019, "Hierarchically Structured Meta-learning"; Yao et al., 2020, "Automated Relational
    Meta-learning".
    """

    def __init__(
        self,
        inner_steps: int = 1,
        inner_learning_rate: float = 0.01,
        scope: str = "all",
        first_order: bool = False,
        clusters: int = 4,
        embedding_dim: int = 32,
        example_size: int | None = None,
        gate: str = "parameter",
        three_level_rates: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(inner_steps, inner_learning_rate, scope, first_order, **kwargs)
        if clusters < 1 or embedding_dim < 1:
            raise ValueError(f"clusters and embedding_dim must be >= 1, received {clusters} and {embedding_dim}.")
        if gate not in GATES:
            raise ValueError(f"gate must be one of {', '.join(GATES)}, received {gate!r}.")
        self.clusters, self.embedding_dim, self.example_size = clusters, embedding_dim, example_size
        self.gate, self.three_level_rates = gate, three_level_rates

    # ---------------------------------------------------------------- weights of its own

    def build(self, shapes: Sequence[tuple[int, ...]]) -> None:
        dim = self.embedding_dim
        self.embedding = TaskEmbedding(dim, self.example_size, name="embedding")
        self.embedding.build(shapes)
        self.centres = self._weight("centres", (self.clusters, dim), keras.initializers.RandomNormal(stddev=1.0))
        self.kernels = self._weight("kernels", (self.clusters, dim, dim), "glorot_uniform")
        self.biases = self._weight("biases", (self.clusters, dim), "zeros")
        self.sizes = self._gate_sizes(shapes)
        self.gate_kernel = self._weight("gate_kernel", (2 * dim, sum(self.sizes)), "zeros")
        self.gate_bias = self._weight("gate_bias", (sum(self.sizes),), "zeros")
        if self.three_level_rates:
            self._build_rates(shapes)
        super().build(shapes)

    def _build_rates(self, shapes: Sequence[tuple[int, ...]]) -> None:
        start = keras.initializers.Constant(math.log(self.inner_learning_rate))
        self.layer_of = list(self.layer_indices) or list(range(len(shapes)))
        self.global_rate = self._weight("global_log_rate", (), start)
        self.layer_rates = self._weight("layer_log_rates", (max(self.layer_of) + 1,), "zeros")
        self.parameter_rates = [self._weight(f"log_rate_{i}", tuple(s), "zeros") for i, s in enumerate(shapes)]

    def _gate_sizes(self, shapes: Sequence[tuple[int, ...]]) -> list[int]:
        return [math.prod(shape) if self.gate == "parameter" else 1 for shape in shapes]

    def _weight(self, name: str, shape: tuple[int, ...], initializer: Any) -> keras.Variable:
        return self.add_weight(shape=shape, initializer=initializer, name=name, dtype="float32")

    def check_shapes(self, shapes: Sequence[tuple[int, ...]]) -> None:
        super().check_shapes(shapes)
        sizes = self._gate_sizes(shapes)
        if sizes != self.sizes:
            raise ValueError(
                f"The gates of this Hierarchical are for tensors of {self.sizes[:4]}… numbers; scope {self.scope!r} "
                f"now picks {sizes[:4]}…. Make a new Hierarchical for another model or other trainable layers."
            )

    # ---------------------------------------------------------------- the inner loop

    def start(self, weights: Weights, support_loss: Any = None) -> Weights:
        if support_loss is None:
            raise ValueError("Hierarchical looks at the support set before it starts: give start its support_loss.")
        z = self.embedding.of_task(weights, support_loss, self)
        share = self.assign(z)
        known = tf.einsum("d,kde->ke", z, tf.convert_to_tensor(self.kernels)) + tf.convert_to_tensor(self.biases)
        h = tf.linalg.matvec(tf.tanh(known), share, transpose_a=True)
        open_ = tf.linalg.matvec(tf.convert_to_tensor(self.gate_kernel), tf.concat([z, h], 0), transpose_a=True)
        gates = tf.split(2.0 * tf.sigmoid(open_ + tf.convert_to_tensor(self.gate_bias)), self.sizes)
        shape = (lambda w: w.shape) if self.gate == "parameter" else (lambda w: ())
        return [w * tf.cast(tf.reshape(g, shape(w)), w.dtype) for w, g in zip(weights, gates, strict=True)]

    def assign(self, z: tf.Tensor) -> tf.Tensor:
        """Share of each cluster `(clusters,)` in a task with embedding `z (embedding_dim,)`."""
        return tf.nn.softmax(-tf.reduce_sum((z - tf.convert_to_tensor(self.centres)) ** 2, axis=-1))

    def rates(self, carry: Carry, gradients: Weights) -> list[Any]:
        if not self.three_level_rates:
            return super().rates(carry, gradients)
        shared = tf.convert_to_tensor(self.global_rate) + tf.convert_to_tensor(self.layer_rates)
        return [
            tf.exp(shared[layer] + tf.convert_to_tensor(own))
            for layer, own in zip(self.layer_of, self.parameter_rates, strict=True)
        ]

    def get_config(self) -> dict[str, Any]:
        names = ("clusters", "embedding_dim", "example_size", "gate", "three_level_rates")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
