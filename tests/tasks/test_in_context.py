"""The support set beside each input: all of it for a query, the others for a support row."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.layers import Encoder
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.tasks import InContext, Sinusoid

SEED = tf.constant([3, 1])


def test_a_query_row_sees_the_whole_support_set_and_a_support_row_never_itself() -> None:
    plain, found = (tasks.sample(SEED, 4, 3) for tasks in (Sinusoid(), InContext(Sinusoid())))
    np.testing.assert_array_equal(found.query_x["x"], plain.query_x)
    for row in range(3):
        np.testing.assert_array_equal(found.query_x["context_x"][row], plain.support_x)
        np.testing.assert_array_equal(found.query_x["context_y"][row], plain.support_y)
    for row in range(4):
        seen = set(found.support_x["context_x"][row, :, 0].numpy().tolist())
        assert seen == set(np.delete(plain.support_x.numpy()[:, 0], row).tolist())


def test_splits_are_those_of_the_family() -> None:
    found = InContext(Sinusoid()).split("meta_test").sample(SEED, 4, 3)
    np.testing.assert_array_equal(found.query_y, Sinusoid().split("meta_test").sample(SEED, 4, 3).query_y)


def reader(k_shot: int) -> keras.Model:
    """A small Transformer over the context's points and the query's place."""
    keras.utils.set_random_seed(0)
    x = keras.Input((1,), name="x")
    context_x, context_y = keras.Input((k_shot, 1), name="context_x"), keras.Input((k_shot, 1), name="context_y")
    points = keras.layers.Concatenate()([context_x, context_y])
    place = keras.layers.Concatenate()([keras.layers.Reshape((1, 1))(x), keras.layers.Reshape((1, 1))(0.0 * x)])
    tokens = keras.layers.Concatenate(axis=1)([keras.layers.Dense(16)(points), keras.layers.Dense(16)(place)])
    read = Encoder(1, 2, 32, 0.0, "pre", "gelu", 0)(tokens)
    return keras.Model({"x": x, "context_x": context_x, "context_y": context_y}, keras.layers.Dense(1)(read[:, -1]))


def test_context_and_gradient_can_be_combined() -> None:
    """Zero steps learn from the context alone; the same model also adapts by gradient."""
    tasks = InContext(Sinusoid())
    learner = MetaLearner(reader(5), MAML(0))
    learner.compile(keras.optimizers.Adam(3e-3), "mse")
    held_out = tasks.split("meta_test").as_dataset(16, 5, 10, num_batches=2)
    before = learner.evaluate(held_out, verbose=0, return_dict=True)["loss"]
    learner.fit(tasks.as_dataset(16, 5, 10, num_batches=150), verbose=0)
    after = learner.evaluate(held_out, verbose=0, return_dict=True)["loss"]
    assert after < 0.85 * before
    both = MetaLearner(learner.model, MAML(2, 0.001))
    both.compile("sgd", "mse")
    logs = both.evaluate(held_out, verbose=0, return_dict=True)
    assert logs["pre_loss"] == pytest.approx(after, rel=1e-4) and logs["loss"] != logs["pre_loss"]


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="k_shot >= 2.*Received k_shot=1"):
        InContext(Sinusoid()).as_dataset(2, 1, 3)
    with pytest.raises(TypeError, match="wraps a TaskDistribution, received str"):
        InContext("sinusoid")
