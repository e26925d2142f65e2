"""Environments and rollouts against what can be said of them on paper."""

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.reinforcement import (
    UCB1,
    Bandits,
    PointMass,
    Previous,
    RandomPlayer,
    ThompsonSampling,
    Trajectories,
    draw_noise,
    get,
    play,
    rollout,
)

SEED = tf.constant([3, 1])


def still(previous: Previous, memory: Any) -> tuple[tf.Tensor, Any]:
    """No movement, and hardly any deviation."""
    return tf.concat([tf.zeros_like(previous.observation), tf.zeros_like(previous.observation) - 20.0], -1), memory


def walk(world: PointMass, goal: Any, act: Any = still, episodes: int = 2) -> Trajectories:
    return rollout(world, act, tf.constant(goal), draw_noise(world, SEED, (episodes,)))


@pytest.mark.parametrize(("reward", "each"), [("distance", -0.5), ("squared_distance", -0.25)])
def test_who_stands_still_is_paid_his_distance(reward: str, each: float):
    played = walk(PointMass(reward, horizon=7), [0.3, -0.4])
    np.testing.assert_allclose(played.rewards, np.full((7, 2), each), atol=1e-5)
    assert float(played.mean_return) == pytest.approx(7 * each, abs=1e-4)
    np.testing.assert_array_equal(played.alive, 1.0)


def test_speed_is_clipped_and_actions_have_a_unit():
    world = PointMass(action_unit=0.1)
    moved, *_ = world.step(tf.zeros(2), tf.zeros(2), tf.constant([0.5, -7.0]), 0.0)
    np.testing.assert_allclose(moved, [0.05, -0.1], atol=1e-7)
    moved, *_ = PointMass(action_unit=1.0).step(tf.zeros(2), tf.zeros(2), tf.constant([0.05, 0.5]), 0.0)
    np.testing.assert_allclose(moved, [0.05, 0.1], atol=1e-7)


def test_an_episode_is_over_at_the_goal():
    def right(previous: Previous, memory: Any) -> tuple[tf.Tensor, Any]:
        return tf.constant([[1.0, 0.0, -20.0, -20.0]] * 2), memory

    played = walk(PointMass(horizon=6), [0.3, 0.0], right)
    np.testing.assert_array_equal(played.alive[:, 0], [1, 1, 1, 0, 0, 0])
    np.testing.assert_allclose(played.rewards[:, 0], [-0.2, -0.1, 0, 0, 0, 0], atol=1e-6)
    np.testing.assert_array_equal(walk(PointMass(horizon=6, tolerance=0.0), [0.3, 0.0], right).alive, 1.0)


def test_goals_are_those_of_the_paper():
    """The mean distance of a point of the unit square from its middle tells which reward the paper's figures mean."""
    goals = next(iter(PointMass().as_dataset(4000, num_batches=1))).task
    assert np.abs(goals).max() <= 0.5
    expected = (math.sqrt(2) + math.log(1 + math.sqrt(2))) / 6
    assert np.mean(np.linalg.norm(goals, axis=1)) == pytest.approx(expected, abs=0.01)
    assert np.mean(np.sum(np.square(goals), axis=1)) == pytest.approx(1 / 6, abs=0.01)


def test_tasks_depend_on_the_seed_and_their_number_alone():
    def goals(size: int, batches: int, seed: int) -> np.ndarray:
        return np.concatenate([b.task for b in PointMass().as_dataset(size, seed=seed, num_batches=batches)])

    np.testing.assert_array_equal(goals(6, 1, 4), goals(2, 3, 4))
    assert (goals(6, 1, 4) != goals(6, 1, 5)).all()
    seeds = next(iter(PointMass().as_dataset(6, num_batches=1))).seed.numpy()
    assert len({tuple(seed) for seed in seeds}) == 6


def test_a_rollout_depends_on_its_noise_alone():
    def wander(previous: Previous, memory: Any) -> tuple[tf.Tensor, Any]:
        return tf.zeros([3, 4]), memory

    world = PointMass(horizon=4)
    noise = draw_noise(world, SEED, (3,))
    eager = rollout(world, wander, tf.constant([0.1, 0.2]), noise)
    graph = tf.function(lambda: rollout(world, wander, tf.constant([0.1, 0.2]), noise))()
    for a, b in zip(eager, graph, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert np.ptp(eager.actions[:, :, 0]) > 0.5  # episodes and steps differ
    np.testing.assert_allclose(eager.observations[1], np.clip(0.1 * eager.actions[0], -0.1, 0.1), atol=1e-7)


def test_arms_pay_as_often_as_they_should():
    world, chances = Bandits(3, 80), tf.constant([0.0, 0.3, 1.0])
    played = rollout(
        world, RandomPlayer(3).act, chances, draw_noise(world, SEED, (100,)), RandomPlayer(3).memory((100,), SEED)
    )
    for arm, chance in enumerate(chances.numpy()):
        rewards = played.rewards.numpy()[played.actions.numpy() == arm]
        assert len(rewards) > 2300
        assert rewards.mean() == pytest.approx(chance, abs=0.03)


def test_players_earn_what_theory_says():
    """Chance earns n/2; the paper's figures for 5 arms and 10 pulls are 5.0 (chance), 5.7 (Thompson), 6.7 (UCB1)."""
    world = Bandits(5, 10)
    chance, thompson, ucb = (
        float(np.mean(play(world, player(5), 6000))) for player in (RandomPlayer, ThompsonSampling, UCB1)
    )
    assert chance == pytest.approx(5.0, abs=0.1)
    assert thompson == pytest.approx(5.8, abs=0.15)
    assert ucb == pytest.approx(6.65, abs=0.15)


def test_a_player_counts():
    player = UCB1(2, exploration=0.0)
    memory = player.memory((1,), SEED)
    outputs, memory = player.act(Previous(tf.zeros([1, 0]), tf.constant([-1]), tf.zeros([1])), memory)
    np.testing.assert_array_equal(memory.pulls, [[0, 0]])
    _, memory = player.act(Previous(tf.zeros([1, 0]), tf.constant([0]), tf.ones([1])), memory)
    outputs, memory = player.act(Previous(tf.zeros([1, 0]), tf.constant([1]), tf.zeros([1])), memory)
    np.testing.assert_array_equal((memory.wins, memory.pulls), ([[1, 0]], [[1, 1]]))
    assert int(tf.argmax(outputs[0])) == 0


def test_names_and_configs():
    assert isinstance(get("bandits", arms=3), Bandits)
    world = PointMass("squared_distance", 9, 0.5, 0.0)
    assert PointMass.from_config(world.get_config()).get_config() == world.get_config()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PointMass("distanse"), "Unknown reward 'distanse'. Did you mean 'distance'"),
        (lambda: PointMass(horizon=0), "horizon must be a whole number >= 1, received 0"),
        (lambda: PointMass(action_unit=0.0), "Expected action_unit > 0 and tolerance >= 0, received 0.0"),
        (lambda: Bandits(1), "arms must be a whole number >= 2, received 1"),
        (lambda: Bandits(2, 0), "pulls must be a whole number >= 1"),
        (lambda: UCB1(2, -1.0), "exploration must be >= 0, received -1.0"),
        (lambda: PointMass().as_dataset(0), "meta_batch_size must be a whole number >= 1, received 0"),
        (lambda: PointMass().as_dataset(1, num_batches=0), "num_batches must be"),
        (lambda: PointMass().as_dataset(1, seed=2**31), "seed must be a whole number in"),
        (lambda: get("point_mas"), "Unknown environment 'point_mas'. Did you mean 'point_mass'"),
    ],
)
def test_bad_input(make: Any, message: str):
    with pytest.raises(ValueError, match=message):
        make()
