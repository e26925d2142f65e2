"""Any keras.Model: nested inputs, models not built yet, models without a `training` argument."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.tasks import Episode

from .toys import compiled, largest_difference, numbers, one_batch, waves, weights_of


def named_inputs() -> keras.Model:
    """A functional model of two inputs, called with a dict."""
    inputs = {"x": keras.Input((1,), name="x"), "offset": keras.Input((1,), name="offset")}
    both = keras.layers.Concatenate()([inputs["x"], inputs["offset"]])
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Dense(5, "tanh")(both)))


def listed_inputs() -> keras.Model:
    """A functional model of two inputs, called with a pair."""
    inputs = [keras.Input((1,)), keras.Input((1,))]
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Concatenate()(inputs)))


@pytest.mark.parametrize("form", ["vectorized", "sequential"])
@pytest.mark.parametrize(
    ("model", "pack"),
    [
        (named_inputs, lambda x: {"x": x, "offset": x + 1}),
        (listed_inputs, lambda x: (x, x + 1)),
    ],
)
def test_nested_inputs(model: Any, pack: Any, form: str) -> None:
    episode = numbers(next(iter(waves())))
    nested = Episode(pack(episode.support_x), episode.support_y, pack(episode.query_x), episode.query_y)
    learner = compiled(model(), MAML(1, 0.01), task_parallelism=form, metrics=["mae"])
    before = weights_of(learner.model)
    learner.fit(one_batch(nested), verbose=0, validation_data=one_batch(nested))
    assert largest_difference(before, weights_of(learner.model)) > 1e-4
    support = (pack(episode.support_x[0]), episode.support_y[0])
    state = learner.adapt(support)
    prediction = learner.adapted(state)(pack(episode.query_x[0]))
    assert prediction.shape == (5, 1)
    after = learner.adapted(state).loss(learner.task_loss, *support)
    assert after < learner.adapted(learner.layout.initial_state()).loss(learner.task_loss, *support)


def unbuilt() -> keras.Sequential:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)])


class Plain(keras.Model):
    """A subclassed model that is not built, and whose `call` knows no `training`."""

    def __init__(self) -> None:
        super().__init__()
        self.body = keras.layers.Dense(4, "tanh")
        self.noise = keras.layers.Dropout(0.5)
        self.out = keras.layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.out(self.noise(self.body(x)))


@pytest.mark.parametrize("model", [unbuilt, Plain])
@pytest.mark.parametrize("first", ["fit", "adapt", "evaluate"])
def test_a_model_is_built_by_what_comes_first(model: Any, first: str) -> None:
    learner = compiled(model(), MAML(1, 0.01))
    episode = numbers(next(iter(waves())))
    support = (episode.support_x[0], episode.support_y[0])
    with pytest.raises(ValueError, match="is not built yet.*give it an Input"):
        _ = learner.layout
    if first == "adapt":
        assert learner.adapt(support).shape == (4 + 4 + 4 + 1,)
    else:
        getattr(learner, first)(waves(), verbose=0)
    before = weights_of(learner.model)
    learner.fit(waves(), verbose=0)
    assert largest_difference(before, weights_of(learner.model)) > 1e-4
    assert learner.adapted(learner.adapt(support))(support[0]).shape == (4, 1)


def test_dropout_reaches_a_model_whose_call_takes_no_training() -> None:
    learner = compiled(Plain(), MAML(1, 0.01), keras.optimizers.SGD(0.0))
    history = learner.fit(one_batch(numbers(next(iter(waves())))), epochs=3, verbose=0).history
    assert len(set(history["loss"])) == 3


def test_a_model_built_by_fit_can_be_saved(tmp_path: Path) -> None:
    learner = compiled(unbuilt(), MAML(1, 0.01), keras.optimizers.Adam(0.01))
    learner.fit(waves(), verbose=0)
    learner.save(tmp_path / "learner.keras")
    again = keras.saving.load_model(tmp_path / "learner.keras")
    for one in (learner, again):
        one.fit(waves(seed=1), verbose=0)
    assert largest_difference(weights_of(learner), weights_of(again)) < 1e-6


def test_the_models_own_loss_is_the_default() -> None:
    model = unbuilt()
    model.compile("sgd", "mae")
    learner = MetaLearner(model)
    learner.compile("adam")
    assert float(learner.task_loss(np.ones((2, 1)), np.zeros((2, 1)))) == 1.0
    x, y = np.ones((3, 1), "float32"), np.array([[0.0], [3.0], [0.0]], "float32")
    learner.adapt((x, y))
    model.fit(x, y, verbose=0)  # the wrapped model stays a model of its own


def test_the_learner_predicts_as_its_model() -> None:
    learner = compiled(unbuilt(), MAML(1, 0.01))
    x = np.linspace(-1, 1, 7, dtype="float32")[:, None]
    learner.fit(waves(), verbose=0)
    np.testing.assert_allclose(learner.predict(x, verbose=0), learner.model(x), rtol=1e-5, atol=1e-6)


def test_numpy_lists_and_other_types_adapt_alike() -> None:
    learner = compiled(unbuilt(), MAML(2, 0.05))
    x, y = np.linspace(-1, 1, 4)[:, None], np.linspace(0, 1, 4)[:, None]
    wide = learner.adapt((x, y))  # float64
    narrow = learner.adapt((tf.constant(x, tf.float32), tf.constant(y, tf.float32)))
    listed = learner.adapt([x.astype("float32"), y.astype("float32")])
    np.testing.assert_allclose(wide, narrow, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(listed, narrow, rtol=1e-6)


def test_one_graph_serves_every_state_and_every_number_of_examples() -> None:
    """Adapting task after task must not trace again and again."""
    traces = []

    class Counting(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            traces.append(x.shape)
            return x

    learner = compiled(keras.Sequential([keras.Input((1,)), Counting(), keras.layers.Dense(1)]), MAML(1, 0.01))
    random = np.random.default_rng(0)

    def adapt_and_predict(examples: int) -> None:
        x = random.normal(size=(examples, 1)).astype("float32")
        learner.adapted(learner.adapt((x, 2 * x)))(x)

    for examples in (3, 4, 5):
        adapt_and_predict(examples)
    seen = len(traces)
    for examples in (3, 4, 5, 6, 7):
        adapt_and_predict(examples)
    assert len(traces) == seen
