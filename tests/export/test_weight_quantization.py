"""Weights of a file as integers: exact arithmetic, smaller files, the same answers within what rounding allows."""

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from metagpt_tf.export import export_litert, parity_report
from metagpt_tf.export.ballast import operators
from metagpt_tf.export.runner import LiteRTRunner
from metagpt_tf.export.weight_quantization import quantized_weights, rounded, stored_bytes, to_integers, two_values
from metagpt_tf.meta import MAML, MetaLearner

from .conftest import K, small_learner, support


@pytest.fixture(scope="module", params=["all", "low_rank"])
def exported(request, tmp_path_factory):
    learner = small_learner(request.param, dim=64, hidden_dim=256)
    path = export_litert(learner, tmp_path_factory.mktemp("litert") / "float.tflite", k_shot=K)
    return learner, path


def values(learner):
    return [v.numpy() for v in learner.model.trainable_variables]


def test_integers_are_the_nearest():
    values = np.array([[0.5, 0.0], [-1.0, 0.0], [0.25, 0.0], [0.0, 0.0]], "float32")
    integers, scales = to_integers(values, 8)
    np.testing.assert_array_equal(integers[:, 0], [64, -127, 32, 0])
    np.testing.assert_array_equal(integers[:, 1], 0)
    assert np.abs(integers * scales - values).max() <= 0.5 * scales.max()
    assert to_integers(values, 4)[0].min() == -7


def test_two_in_a_byte():
    packed = np.frombuffer(stored_bytes(np.array([1, -1, 7, -7, 3], np.int8), 4), np.uint8)
    np.testing.assert_array_equal(packed, [0xF1, 0x97, 0x03])


@pytest.mark.parametrize("bits, largest_share, tolerance", [(8, 0.55, 0.02), (4, 0.45, 0.2)])
@pytest.mark.parametrize("per_channel", [True, False])
def test_smaller_and_nearly_the_same(exported, tmp_path, bits, largest_share, tolerance, per_channel):
    learner, path = exported
    small = tmp_path / "small.tflite"
    small.write_bytes(quantized_weights(path.read_bytes(), values(learner), bits, per_channel))
    assert small.stat().st_size < largest_share * path.stat().st_size
    x, y = support(learner.model)
    expected = LiteRTRunner(path).adapt(x, y)
    for delegates in (True, False):
        found = LiteRTRunner(small, delegates=delegates).adapt(x, y)
        assert np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)) < tolerance


def test_the_file_computes_with_the_rounded_weights(exported, tmp_path):
    """What is measured in Keras with rounded weights is what the file does."""
    learner, path = exported
    before = learner.get_weights()
    x, y = support(learner.model)
    small = tmp_path / "small.tflite"
    small.write_bytes(quantized_weights(path.read_bytes(), values(learner)))
    for variable in learner.model.trainable_variables:
        variable.assign(rounded(variable.numpy()))
    try:
        difference = np.abs(LiteRTRunner(small, delegates=False).adapt(x, y) - learner.adapt((x, y)))
        assert (difference > 2e-5).mean() < 0.002  # a hidden unit at the edge of its ReLU may fall to either side
    finally:
        learner.set_weights(before)


def test_types_in_the_file(exported, tmp_path):
    learner, path = exported
    small = tmp_path / "small.tflite"
    small.write_bytes(quantized_weights(path.read_bytes(), values(learner)))
    details = Interpreter(str(small)).get_tensor_details()
    assert sum(int(np.prod(d["shape"])) for d in details if d["dtype"] == np.int8) > 10_000


def test_zeros_and_one_other_value_are_exact():
    for other in (1.0, -1e9, 0.1, 0.0):
        values = np.where(np.arange(600) % 3 == 0, 0.0, other).astype("<f4")
        integers, scale = two_values(values)
        np.testing.assert_array_equal(integers * scale, values)
        assert set(integers) <= {-1, 0, 1}
    assert two_values(np.arange(3, dtype="<f4")) is None
    assert two_values(np.array([0.0, np.inf], "<f4")) is None


def test_a_constant_of_zeros_is_not_stored(exported):
    """The empty caches of generation: their shape and a zero, filled when the file runs."""
    learner, path = exported
    content = quantized_weights(path.read_bytes(), values(learner))
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    fills = [c for c in model.operatorCodes if c.builtinCode == schema.BuiltinOperator.FILL]
    assert len(fills) == 1
    constants = [b.data for b in model.buffers if b.data is not None and len(b.data) >= 2048 and not np.any(b.data)]
    assert not constants


def test_other_bits():
    with pytest.raises(ValueError, match="8 or 4 bits, received bits=2"):
        quantized_weights(b"", [], bits=2)


@pytest.mark.parametrize("quantization", ["float16", "dynamic_int8", "weight_int4"])
def test_by_name(tmp_path, quantization):
    learner = small_learner("low_rank", dim=64, hidden_dim=256)
    names = ("float32", quantization)
    files = [export_litert(learner, tmp_path / f"{name}.tflite", k_shot=K, quantization=name) for name in names]
    assert files[1].stat().st_size < 0.75 * files[0].stat().st_size
    # Answers of the converter's int8 have the layout that its kernels are fast with, others share one with `adapt`.
    assert ("FULLY_CONNECTED" in operators(files[1].read_bytes())) == (quantization == "dynamic_int8")
    report = parity_report(learner, litert=files[1], support=support(learner.model), litert_by=("litert",))
    assert report.rows[0].signature == "adapt" and report.rows[0].difference < 0.05


def test_an_unknown_name(tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'weight_int8'"):
        export_litert(small_learner("low_rank"), tmp_path / "m.tflite", k_shot=K, quantization="weigth_int8")


def test_a_dense_layer_that_no_task_adapts(tmp_path):
    """The converter turns its kernel; each channel keeps its own scale."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((32,)), keras.layers.Dense(40, "tanh"), keras.layers.Dense(2, name="head")]
    learner = MetaLearner(keras.Sequential(layers), MAML(2, 0.1, scope="head"))
    learner.compile("adam", "mse")
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(K, 32)).astype("float32"), draw.normal(size=(K, 2)).astype("float32")
    path = export_litert(learner, tmp_path / "m.tflite", k_shot=K, quantization="weight_int4")
    kernel = learner.model.layers[0].kernel
    kernel.assign(rounded(kernel.numpy(), 4))
    np.testing.assert_allclose(LiteRTRunner(path).adapt(x, y), learner.adapt((x, y)), atol=1e-4)


def test_a_weight_that_is_not_found_is_named(exported):
    _, path = exported
    with pytest.warns(UserWarning, match=r"1 of 1 large weights .*\(30, 40\)"):
        quantized_weights(path.read_bytes(), [np.ones((30, 40), "float32")])
