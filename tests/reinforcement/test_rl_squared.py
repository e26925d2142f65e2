"""RL²: the memory that acts is the memory that learns, and it learns to learn."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.reinforcement import (
    RL2,
    UCB1,
    Bandits,
    PointMass,
    RandomPlayer,
    RecurrentPolicy,
    ThompsonSampling,
    draw_noise,
    play,
)


def compiled(world: Any, rate: float = 1e-2, **options: Any) -> RL2:
    keras.utils.set_random_seed(0)
    made = RL2(world, **options)
    made.compile(keras.optimizers.Adam(rate, clipnorm=1.0))
    return made


def earned(world: Bandits, player: Any) -> float:
    return float(np.mean(play(world, player, 4000, seed=-1)))


@pytest.mark.parametrize("world", [Bandits(3, 6), PointMass(horizon=4)], ids=["bandits", "point mass"])
def test_replay_sees_what_the_player_saw(world: Any):
    made = compiled(world, units=5)
    rng = np.random.default_rng(0)
    made.set_weights([rng.normal(size=w.shape, scale=0.5).astype("float32") for w in made.get_weights()])
    batch = next(iter(world.as_dataset(4, num_batches=1)))
    trials = made.trials(batch)
    outputs, values = made.replay(trials)
    again = world.actions.sample(outputs, draw_noise(world, batch.seed[0], (4,)).action)
    np.testing.assert_allclose(again, trials.actions, atol=1e-5)
    assert values.shape == (world.horizon, 4)
    # What was pulled and paid in between must show, or there is nothing to learn with.
    forgetful = made.replay(trials._replace(rewards=tf.zeros_like(trials.rewards)))[0]
    np.testing.assert_allclose(forgetful[0], outputs[0], atol=1e-6)
    assert np.abs(forgetful[-1] - outputs[-1]).max() > 1e-3


def test_it_learns_to_play():
    world = Bandits(arms=2, pulls=10)
    made = compiled(world, units=16, discount=0.8)
    before = earned(world, made)
    history = made.fit(world.as_dataset(128, num_batches=100), epochs=3, verbose=0).history
    after = earned(world, made)
    chance, thompson, ucb = (earned(world, player(2)) for player in (RandomPlayer, ThompsonSampling, UCB1))
    assert before == pytest.approx(chance, abs=0.2)
    assert after > chance + 0.6
    assert after > thompson + 0.05
    assert after > 0.96 * ucb
    assert history["return"][-1] > history["return"][0] + 0.4


@pytest.mark.slow
def test_it_learns_to_play_five_arms():
    """The papers' setting: 10 pulls of 5 arms."""
    world = Bandits(arms=5, pulls=10)
    made = compiled(world, rate=5e-3, units=48)
    made.fit(world.as_dataset(256, num_batches=1500), verbose=0)
    assert earned(world, made) > earned(world, ThompsonSampling(5)) + 0.3
    assert earned(world, made) > 0.93 * earned(world, UCB1(5))


def test_a_file_plays_as_it_was_trained(tmp_path: Path):
    world = Bandits(2, 4)
    made = compiled(world, units=3, entropy_weight=0.2)
    data = world.as_dataset(4, num_batches=2)
    made.fit(data, verbose=0)
    made.save(tmp_path / "player.keras")
    loaded = keras.models.load_model(tmp_path / "player.keras")
    assert loaded.get_config()["entropy_weight"] == 0.2
    np.testing.assert_array_equal(play(world, loaded, 50), play(world, made, 50))
    for each in (made, loaded):
        each.fit(data, verbose=0)
    for a, b in zip(made.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RL2("bandit"), ValueError, "Unknown environment 'bandit'. Did you mean 'bandits'"),
        (lambda: RL2(units=0), ValueError, "units must be a whole number >= 1, received 0"),
        (lambda: RL2(discount=2.0), ValueError, r"Expected discount and gae in \[0, 1\], .* received 2.0"),
        (lambda: RL2(entropy_weight=-1.0), ValueError, "received 0.9, 0.3, 0.5 and -1.0"),
        (lambda: RecurrentPolicy(0), ValueError, "outputs must be a whole number >= 1, received 0"),
        (lambda: compiled("bandits").fit([1]), TypeError, "fit takes a tf.data.Dataset of TaskBatch, received list"),
    ],
)
def test_bad_input(make: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        make()
