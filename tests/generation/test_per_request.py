"""Settings as inputs: each row draws as the sampler of its own settings would, whatever stands beside it."""

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.generation import Greedy, Random, TopK, TopP, decode
from metagpt_tf.generation.per_request import PerRequest, Settings, ending

VOCABULARY = 40


def settings(**given):
    rows = max(len(np.atleast_1d(v)) for v in given.values()) if given else 1
    values = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 7, "max_length": 100, **given}
    kinds = {"temperature": "float32", "top_p": "float32"}
    return Settings(*(tf.constant(np.broadcast_to(values[n], rows), kinds.get(n, "int32")) for n in Settings._fields))


def logits(rows=1, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(0, 2, (rows, VOCABULARY)), tf.float32)


@pytest.mark.parametrize(
    ("given", "sampler"),
    [
        ({"temperature": 0.0}, Greedy()),
        ({}, Random()),
        ({"temperature": 0.5}, Random(0.5)),
        ({"top_k": 3}, TopK(3)),
        ({"top_k": 500}, TopK(500)),
        ({"top_p": 0.6}, TopP(0.6)),
        ({"top_p": 0.8, "temperature": 1.7}, TopP(0.8, 1.7)),
    ],
)
def test_one_row_draws_as_the_sampler_does(given, sampler):
    for seed in (0, 5, 2**31 - 1, -3):
        for position in range(4):
            step = tf.constant([11 * position, -7 * position])
            found = PerRequest(settings(seed=seed, **given))(logits(seed=position), step)
            expected = sampler(logits(seed=position), step + tf.constant([0, seed % 2**31]))
            assert int(found[0]) == int(expected[0])


def test_rows_do_not_know_of_each_other():
    given = {"temperature": [0.0, 1.0, 2.0], "top_k": [0, 2, 0], "top_p": [1.0, 1.0, 0.3], "seed": [1, 2, 3]}
    together = PerRequest(settings(**given))(logits(3), tf.constant([0, 0]))
    for row in range(3):
        alone = PerRequest(settings(**{name: [values[row]] for name, values in given.items()}))
        assert int(alone(logits(3)[row : row + 1], tf.constant([0, 0]))[0]) == int(together[row])


@pytest.mark.parametrize("given", [{"top_p": 0.0}, {"top_p": -1.0}, {"top_p": np.nan}, {"top_k": 1}])
def test_the_likeliest_token_always_stays(given):
    found = PerRequest(settings(**given))(logits(), tf.constant([0, 0]))
    assert int(found[0]) == int(tf.argmax(logits(), -1)[0])


@pytest.mark.parametrize("temperature", [-1.0, np.nan, 0.0])
def test_no_heat_is_greedy(temperature):
    found = PerRequest(settings(temperature=temperature))(logits(), tf.constant([0, 0]))
    assert int(found[0]) == int(tf.argmax(logits(), -1)[0])


def test_shares_are_those_of_the_distribution():
    rows = 4000
    given = settings(seed=np.arange(rows), top_k=2)
    drawn = PerRequest(given)(tf.repeat(tf.constant([[2.0, 1.0, 0.0, -9.0]]), rows, 0), tf.constant([0, 0])).numpy()
    share = 1 / (1 + np.exp(-1))
    assert set(drawn) == {0, 1} and np.mean(drawn == 0) == pytest.approx(share, abs=4 * np.sqrt(share / 4 / rows))


def test_rows_end_after_their_own_length():
    count = lambda tokens, position, cache: (tf.one_hot(tokens % 5 + 3, 12) * 9.0, cache)  # noqa: E731
    limits = tf.constant([0, 2, 9])
    ids = decode(
        ending(count, limits, 2),
        (),
        3,
        bos_id=1,
        eos_id=2,
        pad_id=0,
        max_length=4,
        sampler=PerRequest(settings(temperature=[0.0, 0.0, 0.0])),
    ).numpy()
    assert [(row > 2).sum() for row in ids] == [0, 2, 4]
    assert ids[0].tolist() == [2, 0, 0, 0] and ids[1, 2] == 2
