"""One small text learner and its tasks."""

import keras
import pytest

from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.tasks import Sinusoid, TextTasks

LENGTH, K = 10, 3


@pytest.fixture(scope="session")
def text_tasks():
    splits = {"meta_train": range(4), "meta_test": range(4, 6)}
    pairs = {
        split: {f"shift {n}": [(f"w{i}", f"w{i + n}") for i in range(20)] for n in numbers}
        for split, numbers in splits.items()
    }
    return TextTasks.from_pairs(pairs, "bytes", LENGTH, LENGTH)


@pytest.fixture(scope="session")
def training(text_tasks):
    return text_tasks.as_dataset(2, K, K, num_batches=4)


@pytest.fixture(scope="session")
def held_out(text_tasks):
    return text_tasks.split("meta_test").every_task(K, K, 2)


@pytest.fixture(scope="session")
def text_learner():
    keras.utils.set_random_seed(0)
    sizes = {"dim": 32, "num_heads": 2, "num_layers": 1, "hidden_dim": 64, "low_rank": 2}
    learner = MetaLearner(MetaGPT(source_length=LENGTH, target_length=LENGTH, **sizes), MAML(2, 0.1, scope="low_rank"))
    learner.compile(keras.optimizers.Adam(1e-3))
    return learner


@pytest.fixture(scope="session")
def regression():
    keras.utils.set_random_seed(0)
    layers = [keras.Input((1,)), keras.layers.Dense(40, "relu"), keras.layers.Dense(40, "relu"), keras.layers.Dense(1)]
    learner = MetaLearner(keras.Sequential(layers), MAML(1, 0.01))
    learner.compile(keras.optimizers.Adam(2e-3), "mse")
    learner.fit(Sinusoid().as_dataset(10, 10, 10, num_batches=300), verbose=0)
    return learner
