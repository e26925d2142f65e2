import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.fast_weights import scope_variables
from metagpt_tf.layers import InitialState
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.tasks import Episode

from .arrays import noise, randomise, values

X = noise(2, 5, 3)
LAYERS = {
    "gru": lambda: keras.layers.GRU(4),
    "lstm": lambda: keras.layers.LSTM(4, return_sequences=True, unroll=True),
    "simple": lambda: keras.layers.SimpleRNN(4, go_backwards=True),
    "stacked": lambda: keras.layers.RNN([keras.layers.GRUCell(3), keras.layers.LSTMCell(4)]),
}


@pytest.fixture(params=LAYERS)
def wrapped(request: pytest.FixtureRequest) -> InitialState:
    return InitialState(LAYERS[request.param](), name="start")


def test_zero_is_the_layer_as_it_was(wrapped: InitialState):
    np.testing.assert_array_equal(values(wrapped(X)), values(wrapped.layer(X)))
    randomise(wrapped)
    assert np.abs(values(wrapped(X)) - values(wrapped.layer(X))).max() > 1e-3


def test_equals_the_formula():
    layer = InitialState(keras.layers.SimpleRNN(4))
    layer(X)
    randomise(layer)
    h, kernel, recurrent, bias = layer.get_weights()
    assert h.shape == (4,)
    for x in np.moveaxis(X, 1, 0):
        h = np.tanh(x @ kernel + h @ recurrent + bias)
    np.testing.assert_allclose(values(layer(X)), h, atol=1e-6)


def test_one_vector_for_each_state(wrapped: InitialState):
    wrapped(X)
    shapes = [v.shape for v in wrapped.trainable_variables if v.name.startswith("initial_state_")]
    assert shapes == [(size,) for size in keras.tree.flatten(wrapped.layer.state_size)]


def test_a_mask_holds_the_state_back():
    layer = InitialState(keras.layers.GRU(4))
    layer(X)
    randomise(layer)
    mask = np.array([[False] * 2 + [True] * 3, [True] * 3 + [False] * 2])
    masked = values(layer(X, mask=mask))
    np.testing.assert_allclose(masked[0], values(layer(X[:1, 2:]))[0], atol=1e-6)
    np.testing.assert_allclose(masked[1], values(layer(X[1:, :3]))[0], atol=1e-6)


def test_config_round_trip(wrapped: InitialState):
    config = wrapped.get_config()
    twin = InitialState.from_config(json.loads(json.dumps(config)))
    assert (twin.name, twin.get_config()) == ("start", config)
    wrapped(X)
    assert values(twin(X)).shape == wrapped.compute_output_shape(X.shape)
    twin.set_weights(randomise(wrapped).get_weights())
    np.testing.assert_array_equal(values(twin(X)), values(wrapped(X)))


def test_keras_file_round_trip(wrapped: InitialState, tmp_path: Path):
    inputs = keras.Input(X.shape[1:])
    model = keras.Model(inputs, wrapped(inputs))
    randomise(wrapped)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(values(loaded(X)), values(model(X)), atol=1e-6)


def test_bad_layers():
    with pytest.raises(TypeError, match=r"InitialState wraps a keras.layers.RNN .* received Dense"):
        InitialState(keras.layers.Dense(3))
    with pytest.raises(ValueError, match="is stateful, .* Make it with stateful=False"):
        InitialState(keras.layers.GRU(3, stateful=True))
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match=r"picks no variable .* Wrap a recurrent layer, e.g. .*InitialState"):
        scope_variables(model, "initial_state")


def signs(tasks: int = 16, batches: int = 60, seed: int = 0) -> tf.data.Dataset:
    """A task is a sign: `y_t = ± x_t`, and no input tells which."""
    rng = np.random.default_rng(seed)

    def batch() -> Episode:
        sign = rng.choice([-1.0, 1.0], (tasks, 1, 1, 1))
        support, query = rng.uniform(-1, 1, (2, tasks, 8, 2, 1))
        return Episode(*(part.astype("float32") for part in (support, sign * support, query, sign * query)))

    parts = [np.stack(field) for field in zip(*(batch() for _ in range(batches)), strict=True)]
    return tf.data.Dataset.from_tensor_slices(Episode(*parts))


def test_only_the_state_adapts_and_the_loss_falls():
    rnn = InitialState(keras.layers.GRU(8, return_sequences=True, unroll=True))
    model = keras.Sequential([keras.Input((2, 1)), rnn, keras.layers.Dense(1)])
    learner = MetaLearner(model, MAML(1, 1.0, scope="initial_state", learn_rate=True))
    learner.compile(keras.optimizers.Adam(3e-2), "mse")
    learner.fit(signs(), epochs=2, verbose=0)
    scores = learner.evaluate(signs(batches=5, seed=1), verbose=0, return_dict=True)
    assert scores["pre_loss"] > 0.28  # 1/3 for the output 0: unadapted, the sign cannot be known
    assert scores["loss"] < 0.3 * scores["pre_loss"]

    before = model.get_weights()
    episode = next(iter(signs(batches=1, seed=2)))
    state = learner.adapt((episode.support_x[0], episode.support_y[0]))
    assert state.shape == (8,) and state.scope == "initial_state"
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert np.abs(state - rnn.first[0].numpy()).max() > 0.1
    guess = learner.adapted(state)(episode.query_x[0])
    assert np.mean((guess - episode.query_y[0]) ** 2) < 0.15
