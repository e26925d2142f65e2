"""Weight sharing by tfmot's engine, in plain training and in meta-training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.compression import WeightClustering, cluster, prune, sparsity
from metagpt_tf.meta import MetaLearner
from metagpt_tf.tasks import Sinusoid

from .test_pruning import EPISODES, data, kernels, learner, plain


def distinct(model):
    return [len(np.unique(k)) for k in kernels(model)]


@pytest.mark.parametrize("initialization", ["kmeans++", "linear", "density"])
def test_few_values(initialization):
    model = plain()
    loss = model.evaluate(data(), verbose=0)
    model.fit(data(), shuffle=False, verbose=0, callbacks=[WeightClustering(8, initialization)])
    assert max(distinct(model)) <= 8 and min(distinct(model)) > 2
    assert model.evaluate(data(), verbose=0) < loss


def test_values_move_by_the_mean_update():
    model = plain(keras.optimizers.SGD(0.1))
    x = tf.random.stateless_normal([8, 8], [0, 1])
    first = [k.copy() for k in kernels(model)]
    callback = WeightClustering(4)
    callback.set_model(model)
    callback.on_train_begin()
    start, places = [k.copy() for k in kernels(model)], [c.places.numpy() for c in callback._clusters]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(x) - x) ** 2)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])[::2]
    model.fit(x, x, verbose=0, callbacks=[_Begun(callback)])
    for old, place, gradient, new in zip(start, places, gradients, kernels(model), strict=True):
        for index in np.unique(place):
            moved = (old - 0.1 * gradient.numpy())[place == index].mean()
            np.testing.assert_allclose(new[place == index], moved, rtol=1e-5)
    assert all((a != b).any() for a, b in zip(first, start, strict=True))


class _Begun(keras.callbacks.Callback):
    """A clustering whose beginning is over."""

    def __init__(self, clustering):
        super().__init__()
        self.clustering = clustering

    def on_train_batch_end(self, batch, logs=None):
        self.clustering.on_train_batch_end(batch)


def test_zeros_of_a_pruned_learner_stay():
    pruned = prune(learner(), EPISODES, 0.5, steps=20)
    clustered = cluster(pruned, EPISODES, 8)
    assert clustered.keep_zeros and max(distinct(clustered.model)) <= 8
    for was, now in zip(kernels(pruned.model), kernels(clustered.model), strict=True):
        np.testing.assert_array_equal(was == 0, now == 0)
    assert sparsity(clustered.model) == 0.5


def test_it_still_adapts():
    clustered = cluster(learner(), EPISODES, 8)
    support = (np.linspace(-3, 3, 5, dtype="float32")[:, None], np.ones((5, 1), "float32"))
    state = clustered.adapt(support, steps=3)
    before, after = (float(np.mean((f(support[0]) - 1) ** 2)) for f in (clustered.model, clustered.adapted(state)))
    assert after < before and isinstance(clustered, MetaLearner)


def test_a_training_that_goes_on_keeps_its_values():
    model = plain()
    model.fit(data(4), shuffle=False, verbose=0, callbacks=[WeightClustering(4)])
    values = [np.unique(k) for k in kernels(model)]
    model.compile(keras.optimizers.SGD(1e-9), "mse")
    model.fit(data(1), shuffle=False, verbose=0, callbacks=[WeightClustering(4)])
    for old, new in zip(values, map(np.unique, kernels(model)), strict=True):
        np.testing.assert_allclose(old, new, rtol=1e-4)


def test_a_policy_by_layer():
    model = plain()
    model.fit(data(4), shuffle=False, verbose=0, callbacks=[WeightClustering(policy={"first": 4, "second": None})])
    assert distinct(model)[0] == 4 and distinct(model)[1] == 16 * 8


@pytest.mark.parametrize("wrong", [1, 0, 2.5, True, "16"])
def test_too_few(wrong):
    with pytest.raises(ValueError, match="whole number >= 2"):
        WeightClustering(wrong)


def test_unknown_beginning():
    with pytest.raises(ValueError, match="Did you mean 'linear'"):
        WeightClustering(4, "linaer")


def test_endless_data_need_steps():
    with pytest.raises(ValueError, match="steps"):
        cluster(learner(), Sinusoid().as_dataset(4, 5, 5))
