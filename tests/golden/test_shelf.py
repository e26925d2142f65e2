"""MAML++, iMAML, ALFA and the moving average of Reptile against what one writes down by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.meta import ALFA, FOMAML, IMAML, MAML, MAMLPlusPlus, MetaLearner, Reptile
from metagpt_tf.tasks import Episode, Sinusoid

from .gradients import flat, learner_of, linear, meta_gradient, one_batch


@pytest.fixture
def episode() -> Episode:
    return Episode(*next(iter(Sinusoid().as_dataset(3, k_shot=6, n_query=6, num_batches=1, seed=4))))


def mlp() -> keras.Model:
    keras.utils.set_random_seed(3)
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(5, "tanh"), keras.layers.Dense(1, name="head")])


def gradient_of(algorithm: MAML, episode: Episode, outer_steps: int = 0) -> np.ndarray:
    """Meta-gradient in the model's weights, after so many outer steps."""
    learner = learner_of(mlp(), algorithm)
    if outer_steps:
        learner.algorithm.outer_steps.assign(outer_steps)
    return flat(meta_gradient(learner, episode)[: len(learner.model.trainable_variables)])


# ---------------------------------------------------------------- MAML++


@pytest.mark.parametrize(
    ("outer_steps", "start", "shares"),
    [
        (0, False, (0, 1 / 3, 1 / 3, 1 / 3)),
        (5, False, (0, 1 / 6, 1 / 6, 2 / 3)),
        (99, False, (0, 0, 0, 1)),
        (0, True, (1 / 4, 1 / 4, 1 / 4, 1 / 4)),
        (99, True, (1 / 4, 0, 0, 3 / 4)),
    ],
)
def test_the_multi_step_loss_is_the_weighted_sum_of_its_steps(episode, outer_steps, start, shares) -> None:
    found = gradient_of(MAML(3, 0.05, multi_step_loss=10, include_start=start), episode, outer_steps)
    single = [gradient_of(MAML(n, 0.05), episode) for n in range(4)]
    np.testing.assert_allclose(found, sum(s * g for s, g in zip(shares, single, strict=True)), rtol=1e-4, atol=1e-5)


def test_the_order_changes_after_its_steps(episode: Episode) -> None:
    annealed = MAML(2, 0.1, first_order_steps=2)
    learner = learner_of(mlp(), annealed)
    first, second = (gradient_of(kind(2, 0.1), episode) for kind in (FOMAML, MAML))
    assert np.abs(first - second).max() > 1e-2
    for expected in (first, first, second, second):  # each reading is an outer step
        np.testing.assert_allclose(flat(meta_gradient(learner, episode)), expected, rtol=1e-4, atol=1e-5)


def test_outer_steps_are_counted_and_saved(episode: Episode, tmp_path) -> None:
    learner = learner_of(mlp(), MAMLPlusPlus(2, 0.01))
    learner.fit(one_batch(episode), epochs=3, verbose=0)
    learner.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert int(again.algorithm.outer_steps) == int(learner.algorithm.outer_steps) == 3
    assert again.algorithm.log_rate.shape == (2, 4)


@pytest.mark.parametrize("learn_rate", [True, "per_step", "per_tensor", "per_tensor_per_step"])
def test_learned_rates_begin_as_one_rate(episode: Episode, learn_rate: bool | str) -> None:
    support = (episode.support_x[0], episode.support_y[0])
    for steps in (1, 2, 4):  # trained with 2
        found = learner_of(mlp(), MAML(2, 0.05, learn_rate=learn_rate)).adapt(support, steps=steps)
        np.testing.assert_allclose(found, learner_of(mlp(), MAML(2, 0.05)).adapt(support, steps=steps), rtol=1e-5)


def test_each_step_and_tensor_has_its_rate(episode: Episode) -> None:
    learner = learner_of(mlp(), MAML(2, 0.05, learn_rate="per_tensor_per_step"))
    rates = np.array([[0.1, 0.0, 0.0, 0.2], [0.0, 0.3, 0.0, 0.0]])
    learner.algorithm.log_rate.assign(np.log(rates + 1e-30))
    support = (episode.support_x[0], episode.support_y[0])
    before = learner.layout.unpack(learner.adapt(support, steps=0))
    moved = [
        [float(np.abs(a - b).max()) > 1e-6 for a, b in zip(learner.layout.unpack(state), before, strict=True)]
        for state in (learner.adapt(support, steps=1), learner.adapt(support, steps=2))
    ]
    assert moved == [[True, False, False, True], [True, True, False, True]]


# ---------------------------------------------------------------- implicit MAML


def test_imaml_equals_the_closed_form_on_a_quadratic() -> None:
    """φ* = (A + λI)⁻¹ (A c + λθ), meta-gradient (I + A/λ)⁻¹ A_q (φ* - c_q); conjugate gradient is exact after 4."""
    random = np.random.default_rng(1)
    roots = random.normal(size=(2, 4, 4))
    (support, query), centres = roots @ np.swapaxes(roots, 1, 2) / 4, random.normal(size=(2, 4))
    w, pull = random.normal(size=4), 1.5
    end = np.linalg.solve(support + pull * np.eye(4), support @ centres[0] + pull * w)
    expected = np.linalg.solve(np.eye(4) + support / pull, query @ (end - centres[1]))

    def loss(hessian, centre):
        return lambda ws: 0.5 * tf.tensordot(ws[0] - centre, tf.linalg.matvec(hessian, ws[0] - centre), 1)

    algorithm, start = IMAML(200, 0.125, regularization=pull, cg_steps=6), [tf.constant(w)]
    with tf.GradientTape() as tape:
        tape.watch(start)
        run = algorithm.adapt(start, loss(support, centres[0]))
        objective, _ = algorithm.objective(run, loss(support, centres[0]), loss(query, centres[1]))
    np.testing.assert_allclose(run.fast[0], end, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(objective, start)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scope", ["all", "head"])
def test_imaml_at_the_minimum_equals_maml_through_many_steps(episode: Episode, scope: str) -> None:
    """The same regularised inner problem, differentiated through 40 steps: what the implicit theorem saves."""

    class Unrolled(MAML):
        def step(self, carry, support_loss, rate_multiplier=1.0):
            anchor = carry.slots or carry.weights

            def pulled(ws):
                return support_loss(ws) + tf.add_n(
                    [tf.reduce_sum((w - a) ** 2) for w, a in zip(ws, anchor, strict=True)]
                )

            after, loss = super().step(carry._replace(slots=()), pulled, rate_multiplier)
            return after._replace(slots=anchor), loss

    exact = gradient_of(Unrolled(40, 0.1, scope=scope), episode)
    found = gradient_of(IMAML(40, 0.1, scope=scope, regularization=2.0, cg_steps=8), episode)
    np.testing.assert_allclose(found, exact, rtol=2e-2, atol=2e-3)
    assert np.abs(exact[:10]).max() > 1e-2  # the body's part, outside of scope "head"


# ---------------------------------------------------------------- ALFA, Reptile


def test_alfa_begins_as_maml_and_learns_its_network(episode: Episode) -> None:
    support = (episode.support_x[0], episode.support_y[0])
    learner = learner_of(mlp(), ALFA(3, 0.05), keras.optimizers.Adam(0.01))
    np.testing.assert_allclose(learner.adapt(support), learner_of(mlp(), MAML(3, 0.05)).adapt(support), rtol=1e-4)
    own = learner.algorithm.trainable_variables
    before = [w.numpy() for w in own]
    learner.fit(one_batch(episode), epochs=3, verbose=0)
    assert all(np.abs(w.numpy() - b).max() > 1e-5 for w, b in zip(own, before, strict=True))


def test_alfa_decays_weights_and_its_rates_differ_between_tasks(episode: Episode) -> None:
    algorithm = ALFA(1, 0.05)
    learner = learner_of(mlp(), algorithm)
    algorithm.step_decays.assign(np.full((1, 4), 0.5))
    algorithm.step_rates.assign(np.zeros((1, 4)))
    state = learner.adapt((episode.support_x[0], episode.support_y[0]))
    np.testing.assert_allclose(state, 0.5 * learner.layout.initial_state(), rtol=1e-6)
    algorithm.network[2][0].assign(np.ones((8, 8)))
    rates = [
        algorithm.generate(algorithm.begin([tf.ones(2)] * 4), [tf.fill([2], g)] * 4)[1][0].numpy() for g in (0.1, 3.0)
    ]
    assert abs(rates[0] - rates[1]) > 1e-3


def test_reptile_by_moving_average() -> None:
    """W ← aW + (1 − a)·mean ∇L_support(θ), θ ← θ − ηW, three times, in NumPy."""
    a, eta = 0.6, 0.1
    random = np.random.default_rng(0)
    x, y = random.normal(size=(4, 5, 2)).astype("float32"), random.normal(size=(4, 5, 1)).astype("float32")
    learner = MetaLearner(linear(), Reptile(3, 0.05, moving_average=a))
    learner.compile(keras.optimizers.SGD(eta), "mse")
    theta, average = np.concatenate([np.ravel(w) for w in learner.model.get_weights()]), np.zeros(3)
    design = np.concatenate([x, np.ones((4, 5, 1))], axis=2)
    for _ in range(3):
        residual = design @ theta[:, None] - y
        average = a * average + (1 - a) * (2 * np.swapaxes(design, 1, 2) @ residual / 5).mean(axis=0)[:, 0]
        theta = theta - eta * average
        learner.fit(one_batch(Episode(x, y, x, y)), verbose=0)
    np.testing.assert_allclose(np.concatenate([np.ravel(w) for w in learner.model.get_weights()]), theta, rtol=1e-4)


# ---------------------------------------------------------------- divergence


def test_a_diverging_task_is_named(episode: Episode) -> None:
    support_y = episode.support_y.numpy()
    support_y[1] *= 1e30
    learner = learner_of(mlp(), MAML(3, 0.1))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"(?s)not finite.*\[1\].*taken before it"):
        learner.fit(one_batch(episode._replace(support_y=support_y)), verbose=0)
    # It is found before a weight is written: the learner can go on without that task.
    assert all(np.isfinite(v.numpy()).all() for v in learner.trainable_variables)
