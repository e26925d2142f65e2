"""Distributions, advantages and surrogates against their formulas."""

import math

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.reinforcement import Categorical, Gaussian, Trajectories
from metagpt_tf.reinforcement.advantages import (
    advantages,
    check_surrogate,
    discounted_sums,
    linear_baseline,
    surrogate_loss,
)

SEED = tf.constant([5, 0])
RNG = np.random.default_rng(0)


def test_gaussian():
    law, outputs = Gaussian(2), tf.constant([1.0, -2.0, math.log(0.5), math.log(3.0)])
    drawn = law.sample(outputs, law.noise(SEED, (20000,)))
    np.testing.assert_allclose(np.mean(drawn, axis=0), [1.0, -2.0], atol=0.06)
    np.testing.assert_allclose(np.std(drawn, axis=0), [0.5, 3.0], rtol=0.03)
    expected = sum(-0.5 * (z * z) - math.log(s) - 0.5 * math.log(2 * math.pi) for z, s in ((2.0, 0.5), (1.0, 3.0)))
    assert float(law.log_prob(outputs, tf.constant([2.0, 1.0]))) == pytest.approx(expected, abs=1e-5)
    assert float(law.entropy(outputs)) == pytest.approx(-float(np.mean(law.log_prob(outputs, drawn))), abs=0.03)
    np.testing.assert_array_equal(law.nothing((3,)), np.zeros((3, 2)))


def test_categorical():
    law, outputs = Categorical(3), tf.math.log(tf.constant([0.2, 0.5, 0.3]))
    drawn = law.sample(outputs, law.noise(SEED, (20000,)))
    np.testing.assert_allclose(np.bincount(drawn) / 20000, [0.2, 0.5, 0.3], atol=0.015)
    np.testing.assert_allclose(np.exp(law.log_prob(outputs, tf.constant([0, 1, 2]))), [0.2, 0.5, 0.3], atol=1e-6)
    assert float(law.entropy(outputs)) == pytest.approx(-float(np.mean(law.log_prob(outputs, drawn))), abs=0.02)
    np.testing.assert_array_equal(law.features(law.nothing((2,))), np.zeros((2, 3)))


@pytest.mark.parametrize("law", [Gaussian, Categorical])
def test_bad_sizes(law: type):
    with pytest.raises(ValueError, match=f"{law.__name__}: expected size to be an integer >= 1, received 0"):
        law(0)


def episodes(steps: int = 6, count: int = 4) -> Trajectories:
    """Random episodes; the first is over after two steps."""
    rewards = RNG.normal(size=(steps, count)).astype("float32")
    alive = np.ones((steps, count), "float32")
    alive[2:, 0] = 0.0
    observations = RNG.normal(size=(steps, count, 2)).astype("float32")
    return Trajectories(*map(tf.constant, (observations, observations, rewards * alive, alive)))


def test_discounted_sums():
    rewards = episodes().rewards.numpy()
    expected, running = np.zeros_like(rewards), 0.0
    for t in reversed(range(len(rewards))):
        expected[t] = running = rewards[t] + 0.9 * running
    np.testing.assert_allclose(discounted_sums(tf.constant(rewards), 0.9), expected, atol=1e-5)
    np.testing.assert_array_equal(discounted_sums(tf.constant(rewards), 0.0), rewards)


def test_the_baseline_foresees_what_is_linear_in_its_features():
    played = episodes(50, 10)
    time = np.arange(50)[:, None] / 100.0
    returns = 1.0 + 2.0 * played.observations[..., 0] - played.observations[..., 1] ** 2 + 30.0 * time**3
    found = linear_baseline(played.observations, tf.cast(returns, tf.float32) * played.alive, played.alive)
    np.testing.assert_allclose(found, returns * played.alive, atol=5e-3)


def test_advantages_equal_the_sum_and_are_standardised():
    played = episodes()
    values = tf.constant(RNG.normal(size=(6, 4)).astype("float32")) * played.alive
    found = advantages(played, values, 0.9, 0.8).numpy()
    raw, after, ahead = np.zeros((6, 4)), np.zeros(4), np.zeros(4)
    for t in reversed(range(6)):
        ahead = (played.rewards[t] + 0.9 * after - values[t]) * played.alive[t] + 0.72 * ahead
        raw[t], after = ahead, values[t]
    living = played.alive.numpy() > 0
    expected = (raw - raw[living].mean()) / raw[living].std()
    np.testing.assert_allclose(found[living], expected[living], atol=1e-4)
    np.testing.assert_array_equal(found[~living], 0.0)


def test_surrogates_have_the_policy_gradient_and_one_its_derivative():
    """One pull of two arms, the samples exactly as frequent as they are likely: J(θ) = σ(θ) is known with all of it."""
    theta = tf.constant(math.log(3.0))  # the first arm three times in four
    actions, reward = tf.constant([[0, 0, 0, 1]]), tf.constant([[1.0, 1.0, 1.0, 0.0]])
    found = {}
    for kind in ("likelihood_ratio", "log_likelihood"):
        with tf.GradientTape() as outer:
            outer.watch(theta)
            with tf.GradientTape() as inner:
                inner.watch(theta)
                logits = tf.tile(tf.stack([theta, 0.0])[None, None], [1, 4, 1])
                log_prob = Categorical(2).log_prob(logits, actions)
                loss = surrogate_loss(log_prob, reward, tf.ones([1, 4]), kind)
            first = inner.gradient(loss, theta)
        found[kind] = float(first), float(outer.gradient(first, theta))
    slope, curvature = 0.75 * 0.25, 0.75 * 0.25 * (0.25 - 0.75)
    assert found["likelihood_ratio"] == pytest.approx((-slope, -curvature), abs=1e-6)
    assert found["log_likelihood"][0] == pytest.approx(-slope, abs=1e-6)
    assert abs(found["log_likelihood"][1] + curvature) > 0.04


def test_an_unknown_surrogate():
    with pytest.raises(ValueError, match="Unknown surrogate 'dice'"):
        check_surrogate("dice")
