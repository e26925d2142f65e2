import itertools

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.generation import Beam, decode

from .toy import EOS, IDS, PAD, Language


def run(language, bias, length, sampler, **keywords):
    @tf.function
    def call(bias):
        return decode(
            language.step, language.cache(bias), len(bias), max_length=length, sampler=sampler, **IDS, **keywords
        )

    return call(tf.constant(bias)).numpy()


def brute_force(language, bias, length, alpha, ends=((EOS,),)):
    """Every row that ends for the first time at its last token, or is cut at `length`; the one that scores best."""
    best = (-np.inf, None)

    def ended(row):
        return any(tuple(row[-len(s) :]) == s for s in ends)

    for n in range(1, length + 1):
        for row in itertools.product(range(language.size), repeat=n):
            early = any(ended(row[:i]) for i in range(1, n))
            if not early and (ended(row) or n == length):
                score = language.log_probability(list(row), bias) / ((5 + n) / 6) ** alpha
                best = max(best, (score, [*row] + [PAD] * (length - n)))
    return best[1]


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_exhaustive_beam_finds_the_best_row(seed, alpha):
    language, length = Language(4, seed=seed, scale=1.0), 4
    bias = language.bias(3)
    beam = Beam(width=4 ** (length - 1), length_penalty=alpha)
    assert run(language, bias, length, beam).tolist() == [brute_force(language, b, length, alpha) for b in bias]


def test_exhaustive_beam_with_stop_sequences():
    language, ends = Language(4, seed=8, scale=1.0), ((3, 1), (EOS,))
    bias = language.bias(4)
    rows = run(language, bias, 4, Beam(64), stop_sequences=[[3, 1]]).tolist()
    assert rows == [brute_force(language, b, 4, 0.6, ends) for b in bias]


def test_width_one_is_greedy():
    for seed in range(5):
        language = Language(9, seed=seed)
        bias = language.bias(6)
        np.testing.assert_array_equal(run(language, bias, 12, Beam(1)), run(language, bias, 12, "greedy"))


def total_score(language, bias, rows):
    cut = [row[: row.index(EOS) + 1] if EOS in row else row for row in rows.tolist()]
    return sum(language.log_probability(row, b) for row, b in zip(cut, bias, strict=True))


def test_wider_beams_find_likelier_rows():
    gains = []
    for seed in range(6):
        language = Language(7, seed=seed, scale=1.0)
        bias = language.bias(4)
        wide = total_score(language, bias, run(language, bias, 8, Beam(16, length_penalty=0.0)))
        gains.append(wide - total_score(language, bias, run(language, bias, 8, "greedy")))
    assert np.mean(gains) > 0.1 and min(gains) > -0.1


def test_rows_do_not_depend_on_their_neighbours():
    language = Language(6, seed=2)
    bias = language.bias(4)
    whole = run(language, bias, 10, "beam")
    for i in range(4):
        np.testing.assert_array_equal(run(language, bias[i : i + 1], 10, "beam")[0], whole[i])


def test_length_penalty_favours_longer_rows():
    lengths = []
    for alpha in (0.0, 3.0):
        language = Language(5, seed=1, scale=0.5)
        rows = run(language, language.bias(8), 8, Beam(8, length_penalty=alpha))
        lengths.append((rows != PAD).sum())
    assert lengths[1] > lengths[0]


def test_finished_hypotheses_are_never_crowded_out():
    """EOS at once is likeliest of all rows, but after two steps both places could go to likelier prefixes."""
    first = {EOS: 0.30, 3: 0.65, 4: 0.05}
    second = {5: 0.51, 6: 0.49}
    table = np.full((7, 7), 1 / 7)
    for latest, row in ((1, first), (3, second)):
        table[latest] = [row.get(token, 1e-9) for token in range(7)]

    def step(tokens, position, cache):
        return tf.gather(tf.math.log(tf.constant(table, tf.float32)), tokens), cache

    rows = decode(step, (), 1, max_length=6, sampler=Beam(2, length_penalty=0.0), **IDS)
    assert rows.numpy().tolist() == [[EOS, PAD, PAD, PAD, PAD, PAD]]


def test_stops_early():
    calls = tf.Variable(0)

    def step(tokens, position, cache):
        calls.assign_add(1)
        return 30.0 * tf.one_hot(tokens + 1, 40), cache

    rows = decode(step, (), 2, bos_id=1, eos_id=4, pad_id=0, max_length=30, sampler=Beam(3)).numpy()
    assert rows[:, :4].tolist() == [[2, 3, 4, 0]] * 2 and (rows[:, 4:] == PAD).all()
    assert calls.numpy() < 10


def test_repetition_penalty_reaches_the_beam():
    def step(tokens, position, cache):
        return tf.tile(tf.constant([[-9.0, -9.0, -9.0, 1.0, 2.0, 3.0]]), (tf.shape(tokens)[0], 1)), cache

    keywords = dict(max_length=3, **IDS)
    rows = decode(step, (), 1, sampler=Beam(1, repetition_penalty=100.0), **keywords)
    assert rows.numpy().tolist() == [[5, 4, 3]]
    wide = decode(step, (), 1, sampler=Beam(3, repetition_penalty=100.0), **keywords).numpy()[0]
    assert len(set(wide)) == 3


def test_pad_must_be_a_token_of_the_vocabulary():
    with pytest.raises(ValueError, match="pad_id=7"):
        decode(lambda t, i, c: (tf.one_hot(t, 5), c), (), 1, max_length=3, sampler="beam", bos_id=1, eos_id=2, pad_id=7)
