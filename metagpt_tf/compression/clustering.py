"""Weight sharing: each matrix holds a few distinct values, so that a file packs well."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from metagpt_tf.compression._tfmot import CENTROIDS, ClusteringAlgorithm
from metagpt_tf.compression.copies import copy_of
from metagpt_tf.compression.prunable import prunable_variables
from metagpt_tf.compression.recovery import recover
from metagpt_tf.registry import closest


def cluster(
    subject: Any,
    data: tf.data.Dataset,
    number_of_clusters: int = 16,
    steps: int | None = None,
    optimizer: Any = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    backup: str | os.PathLike | None = None,
    verbose: Any = 0,
    plain_steps: int = 0,
    **options: Any,
) -> Any:
    """A copy of a model or a learner whose matrices hold at most so many distinct values each.

    Args:
        subject: a built and compiled `MetaLearner` or model; it stays as it is.
        data: what its `fit` takes.
        number_of_clusters: distinct values of each matrix, zero among them if it is pruned.
        steps: training steps; `None` for one pass through finite data.
        optimizer: for this training; `None` for a fresh one like the subject's.
        callbacks: more callbacks of `fit`.
        backup: directory that makes the training resumable.
        verbose: as in `fit`.
        plain_steps: as in `prune`.
        **options: of `WeightClustering`.

    Returns:
        The copy.

    Raises:
        ValueError: not built or compiled, endless data without steps, or what `WeightClustering` refuses.

    Example:

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)])
    >>> model.compile("adam", "mse")
    >>> x = np.ones((4, 8), "float32")
    >>> small = cluster(model, tf.data.Dataset.from_tensors((x, x)), 4)
    >>> len(np.unique(small.layers[0].kernel.numpy()))
    4
    """
    clustering = WeightClustering(number_of_clusters, **options)
    copied = copy_of(subject, optimizer)
    recover(copied, data, steps, [clustering, *callbacks], backup, verbose, plain_steps)
    return copied


class WeightClustering(keras.callbacks.Callback):
    """Keeps each matrix at a few values while `fit` moves them.

    tfmot's engine finds the first values c and puts every weight to the nearest: `w = c[i(w)]`. After each step the
    weights of a cluster have moved apart, and `c_j ← mean {w : i(w) = j}` brings them together again: a value moves by
    the mean update of its weights. Zeros stay zero.

    Args:
        number_of_clusters: n ≥ 2, distinct values of each matrix.
        initialization: `"kmeans++"`, `"linear"` or `"density"`.
        policy: as in `MagnitudePruning`, with `True` or a number of clusters where a path is to be clustered.
        preserve_sparsity: keep zeros: one of the values is 0.

    Raises:
        ValueError: fewer than 2 clusters, an unknown initialization; in `fit`: nothing to cluster.

    Example:

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)])
    >>> model.compile("adam", "mse")
    >>> x = np.ones((4, 8), "float32")
    >>> _ = model.fit(x, x, epochs=3, verbose=0, callbacks=[WeightClustering(4)])
    >>> len(np.unique(model.layers[0].kernel.numpy()))
    4

    Reference: Han, Mao & Dally, 2016, "Deep Compression", section 3; engine of the TensorFlow Model Optimization
    Toolkit.
    """

    def __init__(
        self,
        number_of_clusters: int = 16,
        initialization: str = "kmeans++",
        policy: Mapping[str, Any] | None = None,
        preserve_sparsity: bool = True,
    ) -> None:
        super().__init__()
        if isinstance(number_of_clusters, bool) or not isinstance(number_of_clusters, int) or number_of_clusters < 2:
            raise ValueError(f"number_of_clusters must be a whole number >= 2, received {number_of_clusters!r}.")
        if initialization not in CENTROIDS:
            raise ValueError(f"Unknown initialization {initialization!r}. {closest(initialization, CENTROIDS)}")
        self.number_of_clusters, self.initialization = number_of_clusters, initialization
        self.policy, self.preserve_sparsity = policy, preserve_sparsity
        self._clusters: list[_Clusters] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self._clusters = [
            _Clusters(
                variable, self.number_of_clusters if rule is True else rule, self.initialization, self.preserve_sparsity
            )
            for variable, rule in prunable_variables(self.model, self.policy)
        ]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        for clusters in self._clusters:
            clusters.gather()

    def on_train_end(self, logs: Any = None) -> None:
        self.on_train_batch_end(0)  # an optimizer may write its averages after the last step


class _Clusters:
    """The values of one matrix, and which weight has which."""

    def __init__(self, variable: Any, number: int, initialization: str, preserve_sparsity: bool) -> None:
        self.variable = variable
        values = variable.numpy()
        self.zero = preserve_sparsity and bool((values == 0).any())
        self.values = tf.Variable(self._first_values(values, number, initialization), trainable=False)
        self.places = ClusteringAlgorithm(self.values).get_pulling_indices(variable.value)
        if self.zero:  # the nearest value of a zero is zero; a small weight beside it must not become one
            self._keep_apart(values)
        variable.assign(tf.gather(self.values, self.places))

    def _first_values(self, values: np.ndarray, number: int, initialization: str) -> np.ndarray:
        found = np.unique(values)
        if len(found) <= number:  # clustered already: a training that goes on
            return found
        engine = CENTROIDS[initialization](tf.constant(values), number, preserve_sparsity=self.zero)
        centroids = np.sort(np.ravel(engine.get_cluster_centroids()))
        if self.zero:
            centroids[np.abs(centroids).argmin()] = 0.0
        return centroids.astype(values.dtype)

    def _keep_apart(self, values: np.ndarray) -> None:
        others = np.where(self.values.numpy() == 0, np.inf, self.values.numpy())
        nearest = np.abs(values[..., None] - others).argmin(axis=-1)
        self.places = tf.where(values == 0, self.places, tf.constant(nearest, tf.int64))

    def gather(self) -> None:
        """Bring the weights of each cluster together at their mean."""
        flat, places = tf.reshape(self.variable.value, [-1]), tf.reshape(self.places, [-1])
        number = self.values.shape[0]
        sizes = tf.math.unsorted_segment_sum(tf.ones_like(flat), places, number)
        means = tf.math.unsorted_segment_mean(flat, places, number)
        stays = sizes == 0 if not self.zero else (sizes == 0) | (self.values == 0)
        self.values.assign(tf.where(stays, self.values, means))
        self.variable.assign(tf.gather(self.values, self.places))
