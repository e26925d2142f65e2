"""Meta-gradients on quadratics equal what one writes down by hand."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.meta import FOMAML, MAML, MetaLearner, MetaSGD, Reptile
from metagpt_tf.tasks import Episode

from .closed_form import first_order_gradient, inner_loop, maml_gradient, rates_gradient, reptile_moves, tasks_of
from .gradients import flat, learner_of, linear, meta_gradient, one_batch

START = np.array([0.7, -0.4, 0.3])  # two slopes and the bias
RATE = 0.15


@pytest.fixture
def episode() -> Episode:
    """Four regression tasks of two features, K = 5, Q = 7."""
    random = np.random.default_rng(0)
    slopes = random.normal(size=(4, 2, 1))
    support, query = random.normal(size=(4, 5, 2)), random.normal(size=(4, 7, 2))
    parts = (support, support @ slopes + 0.5, query, query @ slopes + 0.5)
    return Episode(*(part.astype("float32") for part in parts))


def learner_at(start: np.ndarray, algorithm: object, **options: object) -> MetaLearner:
    learner = learner_of(linear(features=2), algorithm, **options)
    learner.model.set_weights([start[:2, None], start[2:]])
    return learner


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize(("first_order", "formula"), [(False, maml_gradient), (True, first_order_gradient)])
def test_meta_gradient_of_linear_regression(
    episode: Episode, steps: int, first_order: bool, formula: Callable[..., np.ndarray]
) -> None:
    found = meta_gradient(learner_at(START, MAML(steps, RATE, first_order=first_order)), episode)
    np.testing.assert_allclose(flat(found), formula(episode, START, RATE, steps), rtol=1e-5, atol=1e-6)


def test_first_order_differs_from_second(episode: Episode) -> None:
    """Otherwise the test above would prove nothing; and FOMAML is MAML(first_order=True)."""
    exact, cheap = maml_gradient(episode, START, RATE, 2), first_order_gradient(episode, START, RATE, 2)
    assert np.abs(exact - cheap).max() > 0.1 * np.abs(exact).max()
    found = meta_gradient(learner_at(START, FOMAML(2, RATE)), episode)
    np.testing.assert_allclose(flat(found), cheap, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 3, 6])
def test_meta_gradient_of_a_general_quadratic(steps: int) -> None:
    """L(w) = ½ (w - c)ᵀ A (w - c): φ_n - c_s = (I - αA_s)ⁿ (w - c_s), meta-gradient ((I - αA_s)ⁿ)ᵀ A_q (φ_n - c_q)."""
    random = np.random.default_rng(1)
    roots = random.normal(size=(2, 4, 4))
    hessians = roots @ np.swapaxes(roots, 1, 2) / 4
    centres, w, rate = random.normal(size=(2, 4)), random.normal(size=4), 0.125  # exact in float32
    power = np.linalg.matrix_power(np.eye(4) - rate * hessians[0], steps)
    end = centres[0] + power @ (w - centres[0])
    expected = power.T @ hessians[1] @ (end - centres[1])

    def loss(task: int) -> Callable[[list[tf.Tensor]], tf.Tensor]:
        return lambda ws: (
            0.5 * tf.tensordot(ws[0] - centres[task], tf.linalg.matvec(hessians[task], ws[0] - centres[task]), 1)
        )

    start = [tf.constant(w)]
    algorithm = MAML(steps, rate)
    with tf.GradientTape() as tape:
        tape.watch(start)
        run = algorithm.adapt(start, loss(0))
        objective, _ = algorithm.objective(run, loss(0), loss(1))
    np.testing.assert_allclose(run.fast[0].numpy(), end, rtol=1e-10)
    np.testing.assert_allclose(tape.gradient(objective, start)[0].numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("steps", [1, 3])
def test_meta_sgd_rates_get_the_closed_form_gradient(episode: Episode, steps: int) -> None:
    rates = np.array([0.05, 0.2, 0.1])
    learner = learner_at(START, MetaSGD(steps, 0.1))
    learner.algorithm.set_weights([rates[:2, None], rates[2:]])
    found = meta_gradient(learner, episode)
    in_w, in_rates = rates_gradient(episode, START, rates, steps)
    np.testing.assert_allclose(flat(found[:2]), in_w, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(flat(found[2:]), in_rates, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_learned_rate_gets_the_closed_form_gradient(episode: Episode, steps: int) -> None:
    """dL/d log α = α · Σ over weights of dL/da at a = α."""
    found = meta_gradient(learner_at(START, MAML(steps, RATE, learn_rate=True)), episode)
    in_w, in_rates = rates_gradient(episode, START, np.full(3, RATE), steps)
    np.testing.assert_allclose(flat(found[:2]), in_w, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[2], RATE * in_rates.sum(), rtol=1e-5, atol=1e-6)


def test_reptile_with_sgd_is_nichols_formula(episode: Episode) -> None:
    """θ + ε · mean(φ_n - θ), with plain SGD(ε) as the outer optimizer."""
    learner = learner_at(START, Reptile(4, RATE), optimizer=keras.optimizers.SGD(0.3))
    learner.fit(one_batch(episode), verbose=0)
    expected = START + 0.3 * reptile_moves(episode, START, RATE, 4)
    np.testing.assert_allclose(flat(learner.model.get_weights()), expected, rtol=1e-5, atol=1e-6)


def test_one_step_reptile_is_parallel_to_joint_sgd(episode: Episode) -> None:
    found = flat(meta_gradient(learner_at(START, Reptile(1, RATE)), episode))
    joint = np.mean([support.gradient(START) for support, _ in tasks_of(episode)], axis=0)
    assert abs(found @ joint / np.linalg.norm(found) / np.linalg.norm(joint) - 1) < 1e-6
    several = reptile_moves(episode, START, RATE, 5)
    assert several @ joint / np.linalg.norm(several) / np.linalg.norm(joint) > -1 + 1e-3  # not parallel any more


def test_adapt_walks_the_closed_form_path(episode: Episode) -> None:
    """`adapt`, with other numbers of steps and a scaled rate, follows the same inner loop."""
    learner = learner_at(START, MAML(2, RATE))
    support = (episode.support_x[0], episode.support_y[0])
    task = tasks_of(episode)[0][0]
    for steps, multiplier in ((None, 1.0), (0, 1.0), (5, 1.0), (3, 0.5)):
        expected = inner_loop(task, START, multiplier * RATE, 2 if steps is None else steps)[-1]
        found = learner.adapt(support, steps=steps, rate_multiplier=multiplier)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
