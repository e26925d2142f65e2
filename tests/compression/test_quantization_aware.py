"""Training that expects rounding: tfmot's values, every derivative, and files of integers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from metagpt_tf.compression import quantize, train_for_quantization
from metagpt_tf.compression._tfmot import AllValuesQuantizer, LastValueQuantizer
from metagpt_tf.compression.activation_ranges import ActivationRanges, rounded_activations, straight_through
from metagpt_tf.export.weight_quantization import rounded
from metagpt_tf.layers import Projection
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.tasks import Sinusoid


def test_the_rounding_and_its_gradient():
    weight = tf.random.stateless_normal([32, 20], [0, 1])
    with tf.GradientTape() as tape:
        tape.watch(weight)
        value = straight_through(weight, 4)
        loss = tf.reduce_sum(value**2)
    np.testing.assert_allclose(value, rounded(weight.numpy(), 4), atol=1e-6)
    np.testing.assert_allclose(tape.gradient(loss, weight), 2 * value, atol=1e-5)


def test_training_that_expects_four_bits_loses_less(regression):
    held_out = Sinusoid().split("meta_test").as_dataset(10, 10, 10, num_batches=10)
    aware = train_for_quantization(regression, Sinusoid().as_dataset(10, 10, 10, seed=5), bits=4, steps=150)
    after = MetaLearner(keras.models.clone_model(regression.model), MAML(1, 0.01))
    after.model.set_weights([rounded(w, 4) for w in regression.model.get_weights()])
    after.compile("adam", "mse")
    losses = [learner.evaluate(held_out, verbose=0, return_dict=True)["loss"] for learner in (aware, after)]
    assert losses[0] < losses[1]
    for variable in aware.model.trainable_variables:
        np.testing.assert_allclose(variable.numpy(), rounded(variable.numpy(), 4), atol=1e-6)
    assert type(aware) is MetaLearner and len(np.unique(aware.model.layers[1].kernel.numpy()[:, 0])) <= 15


@pytest.mark.parametrize(("low", "high"), [(-1.3, 2.1), (0.0, 5.0), (-0.2, 0.0), (-4.0, 4.0)])
def test_activations_have_the_values_of_tfmot(low, high):
    x = tf.random.stateless_uniform([500], [0, 1], 1.5 * low - 0.1, 1.5 * high + 0.1)
    quantizer = AllValuesQuantizer(8, per_axis=False, symmetric=False, narrow_range=False)
    expected = quantizer(x, False, {"min_var": tf.constant(low), "max_var": tf.constant(high)})
    found = rounded_activations(x, low, high)
    step = (high - low) / 255
    assert (np.abs(found - expected) < 1e-5).mean() > 0.99  # a value midway between two points may go either way
    np.testing.assert_allclose(found, expected, atol=1.01 * step)


def test_weights_have_the_values_of_tfmot():
    weight = tf.random.stateless_normal([32, 20], [0, 1])
    quantizer = LastValueQuantizer(8, per_axis=True, symmetric=True, narrow_range=True)
    ends = {name: tf.Variable(tf.zeros([20])) for name in ("min_var", "max_var")}
    np.testing.assert_allclose(straight_through(weight, 8), quantizer(weight, True, ends), atol=1e-5)


def test_gradient_of_rounded_activations():
    x = tf.constant([-2.0, -0.5, 0.3, 0.9, 3.0])
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            loss = tf.reduce_sum(rounded_activations(x, -1.0, 1.0) ** 2)
        first = inner.gradient(loss, x)
    np.testing.assert_allclose(first, 2 * rounded_activations(x, -1.0, 1.0) * [0.0, 1.0, 1.0, 1.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(outer.gradient(first, x), [0.0, 2.0, 2.0, 2.0, 0.0], atol=1e-6)


@pytest.fixture(scope="module")
def wave():
    """A model of projections that has learned a sine, its data, and its error."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((1,)), Projection(24), keras.layers.Activation("tanh"), Projection(24)]
    model = keras.Sequential([*layers, keras.layers.Activation("tanh"), Projection(1)])
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, 1500)), "mse")
    x = np.linspace(-5, 5, 512, dtype="float32")[:, None]
    data = tf.data.Dataset.from_tensor_slices((x, np.sin(x))).shuffle(512, seed=0).batch(64)
    model.fit(data.repeat(), epochs=1, steps_per_epoch=1500, shuffle=False, verbose=0)
    assert model.evaluate(x, np.sin(x), verbose=0) < 5e-3
    return model, data, x


def error_of_file(path, x):
    predict = Interpreter(str(path)).get_signature_runner("predict")
    return float(np.mean([(predict(x=row[None])["output"] - np.sin(row)) ** 2 for row in x[::4]]))


def as_episodes(data):
    return data.map(lambda x, y: (x[None, :32], y[None, :32], x[None, 32:], y[None, 32:]))


def test_an_integer_file_of_four_bits(wave, tmp_path):
    """Its products are of integers and it still knows the sine, whose variance is 0.5.

    Whether training that expects the rounding gives the better file is measured in benchmarks/quantization_aware.py.
    """
    model, data, x = wave
    before = model.get_weights()
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, 600))
    aware = train_for_quantization(model, data, bits=4, steps=600, optimizer=optimizer)
    path = quantize(aware, tmp_path / "aware.tflite", "int8", as_episodes(data))
    assert error_of_file(path, x) < 0.02
    interpreter = Interpreter(str(path))
    details = {d["index"]: d for d in interpreter.get_tensor_details()}
    products = [op["inputs"][:2] for op in interpreter._get_ops_details() if op["op_name"] == "FULLY_CONNECTED"]
    assert len(products) == 3
    assert all(np.dtype(details[i]["dtype"]).name == "int8" for operands in products for i in operands)
    scales = sorted(len(details[weight]["quantization_parameters"]["scales"]) for _, weight in products)
    assert scales == [1, 24, 24]
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_what_comes_back_rounds_nothing(wave):
    model, data, x = wave
    aware = train_for_quantization(model, data, steps=2)
    plain = keras.models.clone_model(model)
    plain.set_weights(aware.get_weights())
    plain.compile(keras.optimizers.Adam(1e-2), "mse")
    y = np.sin(x)
    assert aware.train_on_batch(x, y) == pytest.approx(plain.train_on_batch(x, y), rel=1e-5)


def test_ranges(wave):
    model, data, x = wave
    ranges = ActivationRanges(model, data).ranges
    assert len(ranges) == 3
    read, returned = ranges[model.layers[0].kernel.path]
    assert read == pytest.approx((float(x.min()), float(x.max())))
    assert returned[0] < -1 and returned[1] > 1  # before tanh
    assert all(-1 <= low <= 0 <= high <= 1 for (low, high), _ in list(ranges.values())[1:])


def test_a_learner_with_rounded_activations(monkeypatch):
    """Both loops compute with them, and it learns to adapt."""
    calls = []
    real = ActivationRanges.__call__
    monkeypatch.setattr(
        ActivationRanges, "__call__", lambda self, layer, x: calls.append(layer) or real(self, layer, x)
    )
    keras.utils.set_random_seed(0)
    layers = [keras.Input((1,)), Projection(24), keras.layers.Activation("tanh"), Projection(24)]
    model = keras.Sequential([*layers, keras.layers.Activation("tanh"), Projection(1)])
    learner = MetaLearner(model, MAML(1, 0.05))
    learner.compile(keras.optimizers.Adam(5e-3), "mse")
    episodes, held_out = (
        tasks.as_dataset(10, 10, 10, seed=seed, num_batches=20)
        for tasks, seed in ((Sinusoid(), 5), (Sinusoid().split("meta_test"), 6))
    )
    aware = train_for_quantization(learner, episodes, steps=200, activations=True)
    figures = [one.evaluate(held_out, verbose=0, return_dict=True) for one in (aware, learner)]
    assert len(calls) >= 3 * 3  # three projections, of the start, an inner step and the query set
    assert figures[0]["loss"] < 0.8 * figures[1]["loss"] and figures[0]["loss"] < 0.9 * figures[0]["pre_loss"]


def test_what_is_refused(wave, regression):
    model, data, _ = wave
    with pytest.raises(ValueError, match="received bits=3"):
        train_for_quantization(regression, Sinusoid().as_dataset(2, 5, 5, num_batches=1), bits=3)
    with pytest.raises(ValueError, match="use them in place of Dense"):
        train_for_quantization(regression, Sinusoid().as_dataset(2, 5, 5, num_batches=1), activations=True)
    with pytest.raises(ValueError, match="activations=False"):
        train_for_quantization(model, data, activations=False)
