"""The learner of policy gradients: its inner step, its outer step, its files, and that it learns to learn."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.meta import MAML
from metagpt_tf.reinforcement import (
    GaussianHead,
    PointMass,
    PolicyGradientLearner,
    draw_noise,
    gaussian_policy,
)
from metagpt_tf.reinforcement.advantages import advantages, discounted_sums, linear_baseline

WORLD = PointMass(horizon=6)
GOAL = [0.3, -0.2]


def learner(algorithm: Any = None, seed: int = 0, optimizer: Any = None, **options: Any) -> PolicyGradientLearner:
    keras.utils.set_random_seed(seed)
    options = {"trajectories": 4, "task_parallelism": "sequential", "evaluation_steps": 2, **options}
    made = PolicyGradientLearner(gaussian_policy(hidden=(8,)), WORLD, algorithm or MAML(1, 0.1), **options)
    made.compile(keras.optimizers.SGD(0.05) if optimizer is None else optimizer)
    return made


def test_one_step_is_reinforce_with_a_baseline():
    made = learner(surrogate="log_likelihood")
    noise = draw_noise(WORLD, tf.constant([9, 2]), (4,), (4,))
    weights = [tf.convert_to_tensor(v.value) for v in made.model.trainable_variables]
    played = made._practice(weights, tf.constant(GOAL), noise).episodes(weights)
    values = linear_baseline(played.observations, discounted_sums(played.rewards, 0.99), played.alive)
    advantage = advantages(played, values, 0.99, 1.0)
    with tf.GradientTape() as tape:
        outputs = tf.reshape(made.model(tf.reshape(played.observations, [-1, 2])), [6, 4, 4])
        loss = -tf.reduce_mean(WORLD.actions.log_prob(outputs, played.actions) * advantage)
    gradients = tape.gradient(loss, [v.value for v in made.model.trainable_variables])
    expected = np.concatenate([np.ravel(w - 0.1 * g) for w, g in zip(weights, gradients, strict=True)])
    np.testing.assert_allclose(made.adapt(GOAL, seed=9), expected, atol=1e-5)


def test_adapting_writes_nothing_and_is_determined_by_its_seed():
    made = learner()
    before = made.model.get_weights()
    one, again, other = made.adapt(GOAL), made.adapt(GOAL), made.adapt(GOAL, seed=1)
    for old, new in zip(before, made.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-4
    np.testing.assert_array_equal(made.adapt(GOAL, steps=0), made.layout.initial_state())
    assert made.adapted(one)(np.zeros((3, 2), "float32")).shape == (3, 4)


def test_later_steps_are_shorter():
    one, half, none = (learner(later_rate=rate).adapt(GOAL, steps=2) for rate in (1.0, 0.5, 1e-9))
    first = learner().adapt(GOAL, steps=1)
    np.testing.assert_allclose(none, first, atol=1e-6)
    np.testing.assert_allclose(half - first, 0.5 * (one - first), atol=1e-6)


@pytest.mark.slow  # tracing costs half a minute
def test_vectorized_equals_sequential_through_fit_and_evaluate():
    results = []
    for form in ("vectorized", "sequential"):
        made = learner(MAML(1, 0.1, learn_rate=True), task_parallelism=form)
        history = made.fit(WORLD.as_dataset(3, num_batches=2), verbose=0).history
        scores = made.evaluate(WORLD.as_dataset(3, seed=1, num_batches=1), verbose=0, return_dict=True)
        assert set(history) == {"return", "pre_return", "loss"}
        assert list(scores) == ["return_0", "return_1", "return_2"]
        results.append((made.get_weights(), history, list(scores.values())))
    (weights, history, scores), (others, history_2, scores_2) = results
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_allclose(history["return"], history_2["return"], atol=1e-4)
    np.testing.assert_allclose(scores, scores_2, atol=1e-4)


def test_only_the_scope_adapts():
    made = learner(MAML(1, 0.1, scope="head"))
    assert made.adapt(GOAL).shape == (8 * 2 + 2 + 2,)


def test_a_file_goes_on_where_training_stopped(tmp_path: Path):
    data = WORLD.as_dataset(2, num_batches=2)
    made = learner(MAML(1, 0.1, learn_rate=True), optimizer=keras.optimizers.Adam(0.01))
    made.fit(data, verbose=0)
    made.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    assert loaded.environment.get_config() == WORLD.get_config()
    assert loaded.get_config()["later_rate"] == 0.5
    for each in (made, loaded):
        each.fit(data, verbose=0)
    for a, b in zip(made.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_it_learns_to_learn():
    """Short episodes and a small net; `benchmarks/paper_rows/point_mass.py` is the paper's setting."""
    keras.utils.set_random_seed(0)
    world = PointMass(horizon=15)
    policy = gaussian_policy(hidden=(32, 32), initial_std=0.7)
    made = PolicyGradientLearner(policy, world, MAML(1, 0.1), evaluation_steps=1)
    made.compile(keras.optimizers.Adam(1e-2, clipnorm=1.0))
    history = made.fit(world.as_dataset(20, num_batches=40), epochs=3, verbose=0).history
    scores = made.evaluate(world.as_dataset(30, seed=-1, num_batches=1), verbose=0, return_dict=True)
    assert scores["return_1"] - scores["return_0"] > 1.5
    assert history["return"][-1] > history["return"][0] + 0.3


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: learner().fit([1]), TypeError, "fit takes a tf.data.Dataset of TaskBatch, received list"),
        (lambda: learner().compile("adam", loss="mse"), ValueError, "learns from rewards: leave loss out"),
        (lambda: learner(trajectories=0), ValueError, "trajectories must be a whole number >= 1"),
        (lambda: learner(discount=1.5), ValueError, r"Expected discount and gae in \[0, 1\] .* received 1.5"),
        (lambda: learner(surrogate="dice"), ValueError, "Unknown surrogate 'dice'"),
        (lambda: learner().adapt([0.1]), ValueError, r"A task of PointMass has shape \(2,\), received \(1,\)"),
        (lambda: learner().adapt(GOAL, steps=-1), ValueError, "steps must be a whole number >= 0"),
        (lambda: learner().adapt(GOAL, rate_multiplier=float("inf")), ValueError, "not finite"),
        (lambda: PolicyGradientLearner(gaussian_policy(2, 3)), ValueError, r"gives 4 numbers .* gives shape \(1, 6\)"),
        (lambda: GaussianHead(2, 0.0), ValueError, "initial_std must be > 0, received 0.0"),
    ],
)
def test_bad_input(make: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        make()


def test_an_algorithm_that_plays_too_often_is_told_so():
    made = learner()
    weights = [tf.convert_to_tensor(v.value) for v in made.model.trainable_variables]
    practice = made._practice(weights, tf.constant(GOAL), draw_noise(WORLD, tf.constant([0, 0]), (4,), (1,)))
    practice.episodes(weights)
    with pytest.raises(ValueError, match="plays more often than the 1 times that noise was drawn for"):
        practice.episodes(weights)
