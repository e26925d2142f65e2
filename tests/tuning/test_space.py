"""A space is plain data, and builders do with it what it says."""

import keras
import numpy as np
import pytest

from metagpt_tf.meta import MAML, MetaLearner, MetaSGD
from metagpt_tf.models import MetaGPT
from metagpt_tf.tuning import Space
from metagpt_tf.tuning.building import OPTIMIZERS, SCHEDULES, Base, outer_optimizer


def test_a_space_is_data():
    space = Space.of(scope=["all"], rate={"low": 1, "high": 3, "step": 2}, dropout=[0, 0.1])
    assert Space.from_json(space.to_json()) == space and space.axes["dropout"] == [0.0, 0.1]
    with pytest.raises(ValueError, match="Expected JSON"):
        Space.from_json("[1]")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_clips(name):
    made = outer_optimizer({"optimizer": name, "learning_rate": 0.5}, 10)
    assert type(made) is OPTIMIZERS[name] and float(made.learning_rate) == 0.5 and made.clipnorm == 1.0


def test_schedules():
    rates = {}
    for name in SCHEDULES:
        made = outer_optimizer({"schedule": name, "learning_rate": 1.0}, 100)
        schedule = made._learning_rate
        rates[name] = [float(schedule(t)) if callable(schedule) else float(schedule) for t in (0, 5, 100)]
    assert rates["constant"] == [1.0, 1.0, 1.0]
    assert rates["exponential"] == pytest.approx([1.0, 0.01**0.05, 0.01])
    assert rates["cosine"][2] == pytest.approx(0.0, abs=1e-6) and rates["cosine"][0] == 1.0
    assert rates["warmup"][:2] == pytest.approx([0.0, 0.5])


@pytest.fixture(scope="module")
def base():
    model = MetaGPT(source_length=8, target_length=8, dim=8, num_heads=2, num_layers=1, hidden_dim=16)
    learner = MetaLearner(model, MAML(2, 0.1, scope="low_rank", learn_rate="per_tensor"))
    learner.compile("adam")
    learner.algorithm.log_rate.assign_add(learner.algorithm.log_rate * 0.0 + 1.0)
    return Base.of(learner)


def test_weights_and_learned_rates_stay_where_nothing_changes_them(base):
    made = base({"learning_rate": 0.1, "dropout": 0.1}, 10)
    assert made.model.dropout == 0.1
    for new, old in zip(made.trainable_variables, base.learner.trainable_variables, strict=True):
        np.testing.assert_array_equal(new.numpy(), old.numpy())
    scaled = base({"rate_multiplier": 2.0}, 10)
    ratio = np.exp(scaled.algorithm.log_rate.numpy() - base.learner.algorithm.log_rate.numpy())
    np.testing.assert_allclose(ratio, 2.0, rtol=1e-5)


def test_a_chosen_inner_loop_begins_anew(base):
    made = base({"inner_learning_rate": 0.3, "inner_steps": 1}, 10)
    assert (made.algorithm.inner_steps, made.algorithm.learn_rate) == (1, "per_tensor")
    np.testing.assert_allclose(np.exp(made.algorithm.log_rate.numpy()), 0.3, rtol=1e-5)
    assert isinstance(base({"algorithm": "meta_sgd"}, 10).algorithm, MetaSGD)
    assert base({"algorithm": "anil"}, 10).algorithm.scope == "head"


def test_another_shape_begins_with_fresh_weights(base):
    made = base({"num_layers": 2, "dim": 16}, 10)
    assert (made.model.num_layers, made.model.hidden_dim, made.algorithm.scope) == (2, 64, "low_rank")


def test_a_preset_and_a_size():
    assert Base.of("code_nano").trained
    made = Base.of("nano", source_length=8, target_length=8)
    assert not made.trained and made.learner.model.source_length == 8
    with pytest.raises(ValueError, match="Did you mean 'code_nano'"):
        Base.of("code_nan")
    with pytest.raises(ValueError, match="not compiled"):
        Base.of(MetaLearner(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])))


def test_widths_that_heads_do_not_divide_are_refused(base):
    with pytest.raises(ValueError, match="dim=12 with num_heads=8"):
        base.check(Space.of(dim=[16, 12], num_heads=[4, 8]))
    with pytest.raises(ValueError, match="dim=10 with num_heads=4"):  # within a range, not at its ends
        base.check(Space.of(dim={"low": 8, "high": 16, "step": 2}, num_heads=[4]))


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({"dropout": [0.1, 1.5]}, "dropout=1.5, which cannot be"),
        ({"num_layers": [1, 0]}, "num_layers=0, which cannot be"),
        ({"inner_steps": {"low": 1.0, "high": 2.5}}, "inner_steps=.*, which cannot be"),
        ({"algorithm": ["maml", "reptile"], "rate_multiplier": [0.5]}, "algorithm='reptile', which cannot be"),
    ],
)
def test_what_cannot_be_made_is_refused_before_any_trial(base, axes, words):
    with pytest.raises(ValueError, match=words):
        base.check(Space.of(**axes))
