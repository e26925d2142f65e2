"""A small regression learner and its tasks: a trial takes a second."""

import keras
import pytest

from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.tasks import Sinusoid


@pytest.fixture
def waves():
    return Sinusoid()


@pytest.fixture
def regression():
    keras.utils.set_random_seed(0)
    layers = [keras.Input((1,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(1, name="head")]
    learner = MetaLearner(keras.Sequential(layers), MAML(1, 0.05))
    learner.compile(keras.optimizers.Adam(1e-2), "mse")
    return learner
