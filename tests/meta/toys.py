"""Small models and episodes, and what a test of a learner always needs."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from metagpt_tf.layers import ContextTokens
from metagpt_tf.meta import MetaLearner, registry
from metagpt_tf.tasks import Episode, Sinusoid

ALGORITHMS = registry.names()


def mlp(units: int = 6, seed: int = 0) -> keras.Model:
    """One number to one number, smooth, with a context beside the input: every algorithm has something to adapt."""
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(2),
            keras.layers.Reshape((1, 2)),
            ContextTokens(2, name="context"),
            keras.layers.Flatten(),
            keras.layers.Dense(units, "tanh"),
            keras.layers.Dense(1, name="head"),
        ]
    )


def waves(tasks: int = 3, shot: int = 4, query: int = 5, batches: int = 2, seed: int = 0) -> tf.data.Dataset:
    """Meta-batches of sinusoid episodes."""
    return Sinusoid().as_dataset(tasks, shot, query, seed=seed, num_batches=batches)


def one_batch(episode: Any) -> tf.data.Dataset:
    """A dataset of a single meta-batch."""
    return tf.data.Dataset.from_tensors(Episode(*episode))


def numbers(episode: Any) -> Episode:
    """An episode's tensors as NumPy arrays."""
    return Episode(*tf.nest.map_structure(lambda t: t.numpy(), tuple(episode)))


def compiled(
    model: keras.Model, algorithm: Any, optimizer: Any = None, loss: Any = "mse", **options: Any
) -> MetaLearner:
    """A compiled learner; the optimizer is SGD(0.1) unless given."""
    parallelism = options.pop("task_parallelism", "vectorized")
    learner = MetaLearner(model, algorithm, task_parallelism=parallelism)
    learner.compile(keras.optimizers.SGD(0.1) if optimizer is None else optimizer, loss, **options)
    return learner


def weights_of(model: keras.Model) -> list[np.ndarray]:
    """Copies of all weights of a model or learner."""
    return [v.numpy() for v in model.weights]


def largest_difference(first: Any, second: Any) -> float:
    """Largest absolute difference between two lists of arrays."""
    pairs = zip(first, second, strict=True)
    return max(float(np.abs(np.asarray(a, "float64") - np.asarray(b, "float64")).max(initial=0.0)) for a, b in pairs)
