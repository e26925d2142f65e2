"""How a golden test reads a learner's meta-gradient: from what one step of `fit` does to the weights."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from metagpt_tf.meta import MetaLearner
from metagpt_tf.tasks import Episode


def linear(features: int = 2) -> keras.Model:
    """y = xᵀw + b."""
    return keras.Sequential([keras.Input((features,)), keras.layers.Dense(1)])


def learner_of(model: keras.Model, algorithm: Any, optimizer: Any = None, loss: Any = "mse") -> MetaLearner:
    """A compiled learner; the optimizer is SGD(1) unless given, so that a step subtracts the gradient itself."""
    learner = MetaLearner(model, algorithm)
    learner.compile(keras.optimizers.SGD(1.0) if optimizer is None else optimizer, loss)
    return learner


def one_batch(episode: Any) -> tf.data.Dataset:
    """A dataset of a single meta-batch."""
    return tf.data.Dataset.from_tensors(Episode(*episode))


def meta_gradient(learner: MetaLearner, episode: Any) -> list[np.ndarray]:
    """Gradient of the mean over a meta-batch in the learner's trainable variables; the weights are put back."""
    before = [v.numpy() for v in learner.trainable_variables]
    learner.fit(one_batch(episode), verbose=0)
    after = [v.numpy() for v in learner.trainable_variables]
    for variable, value in zip(learner.trainable_variables, before, strict=True):
        variable.assign(value)
    return [b - a for b, a in zip(before, after, strict=True)]


def flat(parts: list[np.ndarray]) -> np.ndarray:
    """Arrays one after the other as one vector."""
    return np.concatenate([np.ravel(p) for p in parts])
