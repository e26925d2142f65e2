"""Families in one meta-batch: each has its head, its metric and its weight."""

import keras
import numpy as np
import pytest

from metagpt_tf.layers import FamilyDense
from metagpt_tf.meta import MAML, MetaLearner, MultiTask
from metagpt_tf.tasks import Episode

from .toys import compiled, mlp, one_batch, waves


def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    x, family = keras.Input((1,)), keras.Input((), dtype="int32")
    hidden = keras.layers.Dense(8, "tanh")(x)
    return keras.Model((x, family), FamilyDense(1, 2, name="head")(hidden, family))


def two_families(scale: float = 100.0, tasks: int = 4) -> Episode:
    """Even tasks y = sin x, odd ones y = scale · cos x."""
    random = np.random.default_rng(0)
    x = random.uniform(-2, 2, size=(tasks, 6, 1)).astype("float32")
    y = np.where(np.arange(tasks)[:, None, None] % 2 == 0, np.sin(x), scale * np.cos(x)).astype("float32")
    family = np.tile((np.arange(tasks) % 2)[:, None], (1, 6)).astype("int32")
    return Episode((x, family), y, (x, family), y)


def learner_of(**options: object) -> MetaLearner:
    learner = MetaLearner(model(), MultiTask(1, 0.001, families=("quiet", "loud"), **options))
    learner.compile(keras.optimizers.Adam(0.01), "mse")
    return learner


def test_each_family_has_its_metric() -> None:
    learner, episode = learner_of(), two_families()
    found = learner.evaluate(one_batch(episode), verbose=0, return_dict=True)
    assert found["loss_quiet"] < found["loss_loud"]
    assert found["loss"] == pytest.approx((found["loss_quiet"] + found["loss_loud"]) / 2, rel=1e-5)


def test_the_objective_is_the_likelihood_of_each_family() -> None:
    """d/ds [exp(−s) L + s / 2] = 1/2 − L at s = 0, for each family a share of its tasks."""
    learner, episode = learner_of(), two_families(scale=2.0)
    learner.compile(keras.optimizers.SGD(1.0), "mse")
    losses = learner.evaluate(one_batch(episode), verbose=0, return_dict=True)
    learner.fit(one_batch(episode), verbose=0)
    moved = -learner.algorithm.log_variances.numpy()
    expected = [0.5 * (0.5 - losses["loss_quiet"]), 0.5 * (0.5 - losses["loss_loud"])]
    np.testing.assert_allclose(moved, expected, rtol=1e-4)


def test_a_loud_family_does_not_drown_the_quiet_one() -> None:
    """The same training with and without learned weights: the quiet family ends lower with them."""
    quiet = {}
    for learn in (True, False):
        learner = learner_of(learn_weights=learn)
        learner.fit(one_batch(two_families()).repeat(400), verbose=0)
        quiet[learn] = learner.evaluate(one_batch(two_families()), verbose=0, return_dict=True)["loss_quiet"]
    assert quiet[True] < 0.75 * quiet[False]


def test_one_family_of_fixed_weight_is_maml() -> None:
    weights = []
    for algorithm in (MAML(2, 0.05), MultiTask(2, 0.05, learn_weights=False)):
        learner = compiled(mlp(), algorithm)
        learner.fit(waves(), verbose=0)
        weights.append(learner.model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_inputs_by_name() -> None:
    x, family = keras.Input((1,), name="x"), keras.Input((), dtype="int32", name="family")
    named = keras.Model({"x": x, "family": family}, FamilyDense(1, 2, name="head")(x, family))
    learner = MetaLearner(named, MultiTask(families=("quiet", "loud")))
    learner.compile("sgd", "mse")
    (x, family), y, *_ = two_families(scale=1.0)
    inputs = {"x": x, "family": family}
    assert "loss_loud" in learner.fit(one_batch(Episode(inputs, y, inputs, y)), verbose=0).history


def test_bad_input() -> None:
    for families in ((), ("a", "a"), "ab"):
        with pytest.raises(ValueError, match="families must be a sequence of different names"):
            MultiTask(families=families)
    with pytest.raises(ValueError, match=r"needs inputs \(x, family\) or .*received \(4, 1\)"):
        compiled(mlp(), MultiTask(families=("a", "b"))).fit(waves(batches=1), verbose=0)
    with pytest.raises(ValueError, match="families"):
        FamilyDense(1, 0)
