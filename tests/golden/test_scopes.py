"""ANIL leaves the body as it is; CAVIA adapts the context alone, from zero."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.layers import ContextTokens
from metagpt_tf.meta import ANIL, CAVIA, MAML, MetaLearner, MetaSGD
from metagpt_tf.tasks import Episode, Sinusoid

from .gradients import learner_of, meta_gradient


@pytest.fixture
def model() -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((1,)),
            layers.Dense(2),
            layers.Reshape((1, 2)),
            ContextTokens(2, name="context"),
            layers.Flatten(),
            layers.Dense(6, "tanh"),
            layers.Dense(1, name="head"),
        ]
    )


@pytest.fixture
def episode() -> Episode:
    return Episode(*next(iter(Sinusoid().as_dataset(3, k_shot=4, n_query=5, num_batches=1))))


def support_of(episode: Episode) -> tuple[tf.Tensor, tf.Tensor]:
    return episode.support_x[0], episode.support_y[0]


def context_of(model: keras.Model) -> keras.Variable:
    return next(v for v in model.trainable_variables if v.name == "context")


def merged(learner: MetaLearner, state: np.ndarray) -> list[np.ndarray]:
    """All trainable weights as the adapted task sees them."""
    trainable = [v.numpy() for v in learner.model.trainable_variables]
    return [np.asarray(w) for w in learner.layout.merge(trainable, learner.layout.unpack(state))]


def test_anil_leaves_the_body_equal(model: keras.Model, episode: Episode) -> None:
    learner = learner_of(model, ANIL(3, 0.1))
    state = learner.adapt(support_of(episode))
    for variable, fast in zip(model.trainable_variables, merged(learner, state), strict=True):
        if "head" in variable.path:
            assert np.abs(fast - variable.numpy()).max() > 1e-4
        else:
            np.testing.assert_array_equal(fast, variable.numpy())
    body = keras.Sequential(model.layers[:-1])(episode.query_x[0]).numpy()
    kernel, bias = state[:6, None], state[6:]
    np.testing.assert_allclose(learner.adapted(state)(episode.query_x[0]), body @ kernel + bias, rtol=1e-4, atol=1e-5)


def test_anil_still_meta_learns_the_body(model: keras.Model, episode: Episode) -> None:
    gradients = meta_gradient(learner_of(model, ANIL(2, 0.1)), episode)
    assert all(np.abs(g).max() > 1e-6 for g in gradients)


def test_cavia_starts_from_zero_and_moves_the_context_alone(model: keras.Model, episode: Episode) -> None:
    context_of(model).assign([[1.0, 2.0], [3.0, 4.0]])
    learner = learner_of(model, CAVIA(1, 0.5))
    np.testing.assert_array_equal(learner.adapt(support_of(episode), steps=0), np.zeros(4))
    state = learner.adapt(support_of(episode))
    for variable, fast in zip(model.trainable_variables, merged(learner, state), strict=True):
        if variable.name != "context":
            np.testing.assert_array_equal(fast, variable.numpy())
    context_of(model).assign(np.zeros((2, 2)))
    x, y = support_of(episode)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(x) - y) ** 2)
    expected = -0.5 * tape.gradient(loss, context_of(model).value).numpy()
    np.testing.assert_allclose(state, expected.ravel(), rtol=1e-4, atol=1e-6)


def test_cavia_meta_learns_all_but_the_context(model: keras.Model, episode: Episode) -> None:
    gradients = meta_gradient(learner_of(model, CAVIA(2, 0.5)), episode)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert (np.abs(gradient).max() == 0) == (variable.name == "context")


@pytest.mark.parametrize("algorithm", [MetaSGD(1, 0.01), MAML(1, 0.01, learn_rate=True)], ids=["meta_sgd", "maml"])
def test_rates_learn(model: keras.Model, algorithm: MAML | MetaSGD) -> None:
    """With the model's weights put back after each epoch, the rates alone bring the loss after adaptation down."""
    learner = learner_of(model, algorithm, keras.optimizers.Adam(0.03))
    episodes = Sinusoid().as_dataset(8, k_shot=10, n_query=10, num_batches=15).cache()
    weights, rates = model.get_weights(), algorithm.get_weights()
    first = learner.evaluate(episodes, verbose=0, return_dict=True)["loss"]
    for _ in range(3):
        learner.fit(episodes, verbose=0)
        model.set_weights(weights)
    last = learner.evaluate(episodes, verbose=0, return_dict=True)["loss"]
    assert last < first - 1e-2
    assert (
        np.mean([after.mean() for after in algorithm.get_weights()]) > np.mean([rate.mean() for rate in rates]) + 1e-2
    )
