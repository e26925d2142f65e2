"""A task's own support set says how it is learned."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.meta import ALFA, MAML, MetaLearner
from metagpt_tf.tasks import Sinusoid
from metagpt_tf.tuning import TaskTuner


def linear(rate=1e-3, algorithm=None):
    keras.utils.set_random_seed(0)
    learner = MetaLearner(
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="head")]), algorithm or MAML(1, rate)
    )
    learner.compile("sgd", "mse")
    return learner


def support(seed=0, count=6, noise=0.0):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(count, 2)).astype("float32")
    return x, (x @ [[3.0], [-2.0]] + noise * draw.normal(size=(count, 1))).astype("float32")


def test_the_loss_is_that_of_the_example_left_out():
    learner = linear(0.1)
    tuner = TaskTuner(learner, (), (1.0,), max_steps=1)
    x, y = support(count=4)
    expected = []
    for i in range(4):
        kept = [j for j in range(4) if j != i]
        state = learner.adapt((x[kept], y[kept]))
        expected.append(learner.adapted(state).loss(learner.task_loss, x[[i]], y[[i]]))
    choice = tuner.choose((x, y))
    assert choice.default_loss == pytest.approx(np.mean(expected), rel=1e-4)


def test_too_small_a_rate_is_raised_and_pays():
    learner = linear()
    tuner = TaskTuner(learner, (), (30.0, 300.0), max_steps=5)
    choice = tuner.choose(support())
    assert choice.rate_multiplier > 1 and choice.steps == 5 and choice.loss < choice.default_loss
    x, y = support(seed=1)
    before, after = (
        learner.adapted(s).loss(learner.task_loss, x, y) for s in (learner.adapt(support()), tuner.adapt(support()))
    )
    assert after < before


def test_a_difference_within_its_error_keeps_the_default():
    learner = linear(0.05)
    x = np.zeros((4, 2), "float32")
    y = np.array([[1.0], [-1.0], [1.0], [-1.0]], "float32")  # nothing to be learned
    assert TaskTuner(learner, (), (2.0,), max_steps=3).choose((x, y)).option == "default"
    bold = TaskTuner(learner, (), (2.0,), max_steps=3, cautious=False).choose((x, y))
    assert bold.loss <= bold.default_loss


def test_a_default_that_diverges_is_not_kept():
    learner = linear(1e30)
    choice = TaskTuner(learner, (), (1e-30,), max_steps=3).choose(support())
    assert np.isfinite(choice.loss) and not np.isfinite(choice.default_loss)


def test_a_pruned_learner_keeps_its_zeros_in_every_option():
    pruned = MetaLearner(linear().model, MAML(1, 0.1), keep_zeros=True)
    pruned.compile("sgd", "mse")
    tuner = TaskTuner(pruned, (), (1.0,), options={"alfa": ALFA(1, 0.1)})
    assert all(one.keep_zeros for one in tuner.learners.values())


def test_scopes_and_adaptive_rates_are_options():
    layers = [keras.Input((1,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(1, name="head")]
    model = keras.Sequential(layers)
    learner = MetaLearner(model, MAML(1, 1e-3))
    learner.compile("sgd", "mse")
    adaptive = MetaLearner(model, ALFA(1, 0.1))
    adaptive.compile("sgd", "mse")
    tuner = TaskTuner(learner, ("head",), options={"alfa": adaptive, "adam": MAML(1, 0.1, inner_optimizer="adam")})
    assert list(tuner.learners) == ["default", "head", "alfa", "adam"]
    x = np.linspace(-1, 1, 6, dtype="float32")[:, None]
    choice = tuner.choose((x, 3 * x))
    assert choice.option in ("head", "alfa", "adam") and tuner.adapt((x, 3 * x), choice).scope in ("all", "head")
    assert TaskTuner(learner).learners.keys() == {"default", "norm_bias"}  # what the model has


def test_the_gain_is_measured_on_queries():
    learner = linear()
    x, y = zip(*(support(seed) for seed in range(4)), strict=True)
    episodes = tf.data.Dataset.from_tensors((np.stack(x[:2]), np.stack(y[:2]), np.stack(x[2:]), np.stack(y[2:])))
    tuner = TaskTuner(learner, (), (100.0,), max_steps=3)
    gain = tuner.measure(episodes)
    state = learner.adapt((x[0], y[0]))
    assert gain.default[0] == pytest.approx(learner.adapted(state).loss(learner.task_loss, x[2], y[2]), rel=1e-4)
    assert gain.gain.shape == (2,) and (gain.gain >= 0).all() and gain.gain.any() and len(gain.choices) == 2
    # options x multipliers x steps x folds of 5 of 6 examples
    assert tuner.evaluations(6) == 1 * 2 * 3 * 6 * 5 / 6


def test_bad_input():
    learner = linear()
    with pytest.raises(ValueError, match="Did you mean 'head'"):
        TaskTuner(learner, ("hed",))
    with pytest.raises(ValueError, match="multipliers above 0"):
        TaskTuner(learner, (), (0.0,))
    with pytest.raises(ValueError, match="another model"):
        TaskTuner(learner, (), options={"other": linear()})
    with pytest.raises(ValueError, match="at least two examples"):
        TaskTuner(learner, ()).choose(support(count=1))
    with pytest.raises(ValueError, match="not compiled"):
        TaskTuner(MetaLearner(learner.model, "maml"))
    with pytest.raises(ValueError, match="empty"):
        TaskTuner(learner, ()).measure(Sinusoid().as_dataset(1, 2, 2, num_batches=1).take(0))
