"""The adaptation curve reads what adapting step by step gives; the best rate is the one with the lowest end."""

import numpy as np
import pytest

from metagpt_tf.meta import CAVIA, MAML, AdaptationCurve, MetaLearner, MetaSGD, best_rate

from .toys import compiled, largest_difference, mlp, numbers, waves, weights_of


@pytest.mark.parametrize("algorithm", [MAML(2, 0.02), CAVIA(1, 0.1), MetaSGD(1, 0.02), MAML(1, 0.02, learn_rate=True)])
def test_the_curve_is_what_adapt_and_predict_give(algorithm: MAML | CAVIA | MetaSGD) -> None:
    learner = compiled(mlp(), algorithm)
    steps = (0, 1, 3)
    found = AdaptationCurve(learner, steps)(waves(batches=2), rate_multiplier=0.5)
    expected = []
    for episode in map(numbers, waves(batches=2)):
        for support_x, support_y, query_x, query_y in zip(*episode, strict=True):
            states = [learner.adapt((support_x, support_y), steps=n, rate_multiplier=0.5) for n in steps]
            expected.append([learner.adapted(s).loss(learner.task_loss, query_x, query_y) for s in states])
    assert found.shape == (6, 3) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_the_curve_begins_at_pre_loss_and_passes_loss() -> None:
    learner = compiled(mlp(), MAML(2, 0.02))
    before = weights_of(learner)
    curve = AdaptationCurve(learner, (0, 2))(waves())
    scores = learner.evaluate(waves(), verbose=0, return_dict=True)
    assert curve.mean(axis=0) == pytest.approx([scores["pre_loss"], scores["loss"]], rel=1e-5)
    assert largest_difference(before, weights_of(learner)) == 0


def test_a_curve_follows_new_weights() -> None:
    learner = compiled(mlp(), MAML(1, 0.02))
    curve = AdaptationCurve(learner, (1,))
    before = curve(waves())
    learner.fit(waves(), verbose=0)
    assert np.abs(curve(waves()) - before).max() > 1e-3
    assert curve(waves()).mean() == pytest.approx(
        learner.evaluate(waves(), verbose=0, return_dict=True)["loss"], rel=1e-5
    )


def fitted() -> MetaLearner:
    return compiled(mlp(), MAML(1, 0.02))


def test_best_rate_finds_the_lowest_end() -> None:
    curve = AdaptationCurve(fitted(), (0, 3))
    multipliers = (1e-3, 0.1, 1.0, 3.0)
    best, finals = best_rate(curve, waves(8, 10, 10), multipliers)
    expected = [curve(waves(8, 10, 10), m)[:, -1].mean() for m in multipliers]
    np.testing.assert_allclose(finals, expected, rtol=1e-6)
    assert best == multipliers[int(np.argmin(expected))] and best in (1.0, 3.0)


def test_a_rate_that_blows_up_is_never_the_best() -> None:
    best, finals = best_rate(AdaptationCurve(fitted(), (12,)), waves(), (1e7, 1.0))
    assert best == 1.0
    assert finals[0] == np.inf and np.isfinite(finals[1])
