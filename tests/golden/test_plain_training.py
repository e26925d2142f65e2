"""Without inner steps, meta-training is plain training on the query sets."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.meta import MAML
from metagpt_tf.tasks import Episode, Sinusoid

from .gradients import learner_of, meta_gradient


def network(penalty: float = 0.0) -> keras.Model:
    keras.utils.set_random_seed(3)
    regularizer = keras.regularizers.L2(penalty) if penalty else None
    return keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(8, "tanh", kernel_regularizer=regularizer),
            keras.layers.Dense(1, activity_regularizer=regularizer),
        ]
    )


def batches(count: int) -> tf.data.Dataset:
    return Sinusoid().as_dataset(3, k_shot=4, n_query=5, num_batches=count)


def pooled(episodes: tf.data.Dataset) -> tf.data.Dataset:
    """The query sets of a meta-batch as one plain batch."""
    return episodes.map(lambda e: (tf.reshape(e.query_x, (-1, 1)), tf.reshape(e.query_y, (-1, 1))))


@pytest.mark.parametrize(
    "optimizer", [lambda: keras.optimizers.SGD(0.05), lambda: keras.optimizers.Adam(0.01, clipnorm=1.0)]
)
@pytest.mark.parametrize("penalty", [0.0, 0.1])
def test_fit_equals_plain_fit(optimizer: Callable[[], keras.optimizers.Optimizer], penalty: float) -> None:
    episodes = batches(4).cache()
    meta, plain = network(penalty), network(penalty)
    learner = learner_of(meta, MAML(inner_steps=0), optimizer=optimizer())
    history = learner.fit(episodes, epochs=2, verbose=0).history
    plain.compile(optimizer(), "mse")
    expected = plain.fit(pooled(episodes), epochs=2, verbose=0, shuffle=False).history
    for found, wanted in zip(meta.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(history["pre_loss"], history["loss"], rtol=1e-6)
    np.testing.assert_allclose(history["adaptation_gain"], 0.0, atol=1e-6)


def test_the_meta_gradient_is_the_gradient_on_the_query_set() -> None:
    model = network()
    episode = Episode(*next(iter(batches(1))))
    with tf.GradientTape() as tape:
        error = model(tf.reshape(episode.query_x, (-1, 1))) - tf.reshape(episode.query_y, (-1, 1))
        loss = tf.reduce_mean(error**2)
    expected = tape.gradient(loss, [v.value for v in model.trainable_variables])
    for found, wanted in zip(meta_gradient(learner_of(model, MAML(0)), episode), expected, strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "loss", ["mse", keras.losses.mean_absolute_error, keras.losses.Huber(0.5), lambda t, p: (t - p) ** 2]
)
def test_a_loss_means_what_it_means_to_keras(loss: object) -> None:
    """Labels without their last axis too: (K,) against (K, 1) must not broadcast to (K, K)."""
    x, y = np.linspace(-2, 2, 6, dtype="float32")[:, None], np.linspace(1, 3, 6, dtype="float32")
    meta, plain = network(), network()
    learner_of(meta, MAML(0), keras.optimizers.SGD(0.1), loss).fit(
        tf.data.Dataset.from_tensors(Episode(x[None], y[None], x[None], y[None])), verbose=0
    )
    plain.compile(keras.optimizers.SGD(0.1), loss)
    plain.fit(x, y, batch_size=6, verbose=0)
    for found, wanted in zip(meta.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
