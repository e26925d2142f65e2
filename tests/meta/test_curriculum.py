"""A curriculum keeps the easiest candidates first, and in the end all of them alike."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.meta import Curriculum, MetaLearner
from metagpt_tf.tasks import Episode

from .toys import compiled, mlp, waves


def by_difficulty(tasks: int = 8) -> Episode:
    """Task i is y = 10 i for a model that answers about 0: the larger i, the harder."""
    x = np.random.default_rng(0).normal(size=(tasks, 3, 1)).astype("float32")
    y = np.broadcast_to(10.0 * np.arange(tasks, dtype="float32")[::-1, None, None], (tasks, 3, 1))
    return Episode(x, y, x, y)


def chosen(curriculum: Curriculum) -> list[float]:
    dataset = tf.data.Dataset.from_tensors(by_difficulty())
    return [float(y) for y in next(iter(curriculum(dataset)))[1][:, 0, 0]]


@pytest.mark.parametrize(
    ("order", "done", "expected"),
    [
        ("easy_first", 0, [0, 10]),
        ("hard_first", 0, [70, 60]),
        ("easy_first", 5, [0, 20]),
        ("easy_first", 50, [0, 40]),
    ],
)
def test_the_window_grows_over_the_ranked_tasks(order: str, done: int, expected: list[float]) -> None:
    learner = compiled(mlp(), "maml")
    learner.optimizer.iterations.assign(done)
    assert chosen(Curriculum(learner, 4, outer_steps=10, start_share=0.25, order=order)) == expected


def test_it_follows_the_learner_as_it_trains() -> None:
    """The same dataset object picks other tasks after the weights have changed."""
    learner = compiled(mlp(), "maml")
    dataset = Curriculum(learner, 4, outer_steps=10**6, start_share=0.25)(tf.data.Dataset.from_tensors(by_difficulty()))
    assert [float(y) for y in next(iter(dataset))[1][:, 0, 0]] == [0, 10]
    bias = next(v for v in learner.model.trainable_variables if v.path.endswith("head/bias"))
    bias.assign([70.0])
    assert [float(y) for y in next(iter(dataset))[1][:, 0, 0]] == [70, 60]


def test_fit_takes_its_episodes() -> None:
    learner = compiled(mlp(), "maml")
    curriculum = Curriculum(learner, 2, outer_steps=4)
    history = learner.fit(curriculum(waves(tasks=6, batches=3)), verbose=0).history
    assert np.isfinite(history["loss"]).all() and int(learner.optimizer.iterations) == 3


def test_bad_input() -> None:
    learner = compiled(mlp(), "maml")
    with pytest.raises(ValueError, match="Expected candidates >= 2.*received 1, 1000 and 0.5"):
        Curriculum(learner, candidates=1)
    with pytest.raises(ValueError, match="order must be one of easy_first, hard_first, received 'random'"):
        Curriculum(learner, order="random")
    with pytest.raises(ValueError, match="must be a static multiple of that, received 3"):
        Curriculum(learner, candidates=2)(waves(tasks=3))
    with pytest.raises(ValueError, match="not built yet"):
        Curriculum(MetaLearner(keras.Sequential([keras.layers.Dense(1)]), "maml"))
