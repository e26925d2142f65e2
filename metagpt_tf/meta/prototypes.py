"""Classes as the mean of their examples: prototypical networks, the reference that has no inner loop.

Axes: M meta-batch, K support, Q query, N classes, D features.
"""

from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from metagpt_tf.meta.algorithm import check_steps
from metagpt_tf.meta.episodes import as_episode, check_dataset, check_support


def class_means(features: Any, labels: Any, n_way: int) -> Any:
    """The prototypes `c_n = mean of f(x) over the examples with y = n`.

    Args:
        features: `(…, K, D)` float.
        labels: `(…, K)` int, each in [0, N); others belong to no class.
        n_way: N.

    Returns:
        `(…, N, D)` float32, zeros for a class without examples.

    Example:

    >>> class_means(np.array([[1.0], [3.0], [5.0]], "float32"), np.array([0, 0, 1]), 2).numpy().tolist()
    [[2.0], [5.0]]
    """
    members = ops.one_hot(labels, n_way, dtype="float32")
    totals = ops.matmul(ops.swapaxes(members, -1, -2), ops.cast(features, "float32"))
    return totals / ops.expand_dims(ops.maximum(ops.sum(members, axis=-2), 1.0), -1)


def negative_distances(features: Any, prototypes: Any) -> Any:
    """Logits `-‖f(x) − c_n‖²`, written as `2 f·c − ‖c‖² − ‖f‖²`.

    Args:
        features: `(…, Q, D)` float.
        prototypes: `(…, N, D)` float.

    Returns:
        `(…, Q, N)` float32.

    Example:

    >>> negative_distances(np.zeros((1, 2), "float32"), np.array([[0.0, 0.0], [3.0, 4.0]], "float32")).numpy().tolist()
    [[0.0, -25.0]]
    """
    features, prototypes = ops.cast(features, "float32"), ops.cast(prototypes, "float32")
    lengths = ops.sum(prototypes * prototypes, axis=-1)
    own = ops.sum(features * features, axis=-1, keepdims=True)
    products = ops.matmul(features, ops.swapaxes(prototypes, -1, -2))
    return 2.0 * products - ops.expand_dims(lengths, -2) - own


@keras.saving.register_keras_serializable("metagpt_tf")
class PrototypicalNetwork(keras.Model):
    """An embedding trained so that queries lie nearest to the mean of their class's support examples.

        c_n = mean_{y = n} f(x),    p(n | x) = softmax_n(-‖f(x) − c_n‖²)

    Use it as the reference that gradient-based algorithms must beat on N-way K-shot episodes: a task is learned in one
    pass forward, without a rate or a number of steps to tune. `fit` and `evaluate` take the datasets that `MetaLearner`
    takes, with labels `(M, K) int32`.

    Args:
        embedding: a layer or model from inputs `(B, …)` to features `(B, D)`, such as `MetaClassifier(…).backbone`.
        n_way: int, classes N of every episode.

    Call arguments:
        inputs: `(support_x (M, K, …), support_y (M, K), query_x (M, Q, …))`.
        training: bool, passed on to the embedding.

    Returns:
        Logits `(M, Q, N)` float32.

    Raises:
        TypeError: an embedding that is no layer.
        ValueError: `n_way` below 1, or inputs that are no such triple.

    Example:

    >>> network = PrototypicalNetwork(keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)]), n_way=2)
    >>> network.compile("adam")
    >>> x, y = np.array([[[0.0, 0.0], [1.0, 1.0]]], "float32"), np.array([[0, 1]])
    >>> _ = network.fit(tf.data.Dataset.from_tensors((x, y, x, y)), verbose=0)
    >>> network.adapt((x[0], y[0])).shape
    (2, 4)

    Reference: Snell et al., 2017, "Prototypical Networks for Few-shot Learning".
    """

    def __init__(self, embedding: keras.layers.Layer, n_way: int = 5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(embedding, keras.layers.Layer):
            raise TypeError(f"embedding must be a keras layer or model, received {type(embedding).__name__}.")
        check_steps("n_way", n_way)
        if n_way < 1:
            raise ValueError(f"n_way must be at least 1, received {n_way}.")
        self.embedding, self.n_way = embedding, int(n_way)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not isinstance(inputs, (tuple, list)) or len(inputs) != 3:
            raise ValueError(
                "PrototypicalNetwork is called with (support_x, support_y, query_x) of a meta-batch; received "
                f"{type(inputs).__name__}. For one task use adapt(support) and classify(x, prototypes)."
            )
        support_x, support_y, query_x = inputs
        prototypes = class_means(self._embed_tasks(support_x, training), support_y, self.n_way)
        return negative_distances(self._embed_tasks(query_x, training), prototypes)

    def _embed_tasks(self, x: Any, training: bool) -> Any:
        """Features `(M, K, D)` of nested inputs `(M, K, …)`, all rows embedded at once."""
        first = tf.nest.flatten(x)[0]
        rows = tf.nest.map_structure(lambda t: ops.reshape(t, (-1, *t.shape[2:])), x)
        features = self._embed(rows, training)
        return ops.reshape(features, (-1, first.shape[1] or ops.shape(first)[1], features.shape[-1]))

    def _embed(self, rows: Any, training: bool = False) -> Any:
        takes = getattr(self.embedding, "_call_has_training_arg", True)
        return self.embedding(rows, training=training) if takes else self.embedding(rows)

    # ---------------------------------------------------------------- training

    def compile(self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None, **kwargs: Any) -> None:
        """Configure training.

        Args:
            optimizer: Keras optimizer or its name; default `"adam"`.
            loss: `None` (default) for the cross-entropy of logits.
            metrics: `None` (default) for the accuracy.
            **kwargs: as in `keras.Model.compile`.
        """
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if loss is None else loss
        metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")] if metrics is None else metrics
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as saved. Keras leaves a model with its own `compile` uncompiled unless this is defined."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.trainable_variables:
            self.optimizer.build(self.trainable_variables)

    def fit(self, x: Any = None, validation_data: Any = None, **kwargs: Any) -> Any:
        """Train on episodes; arguments and errors as in `MetaLearner.fit`."""
        data = self._examples(x, kwargs.get("steps_per_epoch"), "steps_per_epoch")
        if validation_data is not None:
            validation_data = self._examples(validation_data, kwargs.get("validation_steps"), "validation_steps")
        kwargs.setdefault("shuffle", False)  # a dataset brings its own order; Keras warns otherwise
        return super().fit(data, validation_data=validation_data, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Score the queries of episodes; arguments and errors as in `MetaLearner.evaluate`."""
        if not kwargs.get("_use_cached_eval_dataset"):  # set by fit, which has prepared its validation data
            x = self._examples(x, kwargs.get("steps"), "steps")
        return super().evaluate(x, *args, **kwargs)

    def _examples(self, dataset: Any, steps: int | None, argument: str) -> tf.data.Dataset:
        """Episodes as pairs that Keras trains on: what the call takes, and the query labels."""
        if isinstance(dataset, tf.data.Dataset) and _is_prepared(dataset.element_spec):
            return dataset
        check_dataset(dataset, steps, argument)

        def pair(*parts: Any) -> tuple[Any, Any]:
            episode = as_episode(parts[0] if len(parts) == 1 else parts)
            return (episode.support_x, episode.support_y, episode.query_x), episode.query_y

        return dataset.map(pair, num_parallel_calls=tf.data.AUTOTUNE)

    # ---------------------------------------------------------------- one task

    def adapt(self, support: tuple[Any, Any]) -> np.ndarray:
        """Learn a task: the prototypes of its support set.

        Args:
            support: `(x (K, …), y (K,))`, labels in [0, N).

        Returns:
            `(N, D)` float32.

        Raises:
            ValueError: no such pair, labels outside [0, N), or a class without an example.
        """
        x, y = check_support(support)
        labels = np.asarray(y)
        present = set(np.unique(labels).tolist())
        if labels.ndim != 1 or present != set(range(self.n_way)):
            raise ValueError(
                f"A support set needs labels (K,) with each class of 0 … {self.n_way - 1} at least once; received "
                f"shape {labels.shape} with classes {sorted(present)}."
            )
        return np.asarray(class_means(self._embed(tf.nest.map_structure(tf.convert_to_tensor, x)), labels, self.n_way))

    def classify(self, x: Any, prototypes: Any) -> tf.Tensor:
        """Logits `(Q, N)` of inputs `(Q, …)` for a task's prototypes `(N, D)`."""
        return negative_distances(self._embed(tf.nest.map_structure(tf.convert_to_tensor, x)), prototypes)

    # ---------------------------------------------------------------- saving

    def get_config(self) -> dict[str, Any]:
        own = {"embedding": keras.saving.serialize_keras_object(self.embedding), "n_way": self.n_way}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{**config, "embedding": keras.saving.deserialize_keras_object(config["embedding"])})


def _is_prepared(spec: Any) -> bool:
    return isinstance(spec, tuple) and len(spec) == 2 and isinstance(spec[0], tuple) and len(spec[0]) == 3
