"""Fewer bits: files that adapt, and files of integer arithmetic."""

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from metagpt_tf.compression import quantize
from metagpt_tf.export import LiteRTRunner
from metagpt_tf.tasks import Sinusoid

from .conftest import LENGTH, K


def test_a_file_that_adapts(text_learner, tmp_path):
    sizes = [
        quantize(text_learner, tmp_path / f"{name}.tflite", name, k_shot=K).stat().st_size
        for name in ("float32", "weight_int4")
    ]
    assert sizes[1] < 0.8 * sizes[0]
    x = np.full((K, LENGTH), 100, "int32")
    state = LiteRTRunner(tmp_path / "weight_int4.tflite").adapt(x, x)
    assert np.isfinite(state).all() and not np.array_equal(state, text_learner.layout.initial_state())


@pytest.fixture(scope="module")
def integer_file(text_learner, training, tmp_path_factory):
    return quantize(text_learner, tmp_path_factory.mktemp("integer") / "int8.tflite", "int8", training)


def products(path):
    """Types of what matrix products read."""
    interpreter = Interpreter(str(path))
    types = {d["index"]: np.dtype(d["dtype"]).name for d in interpreter.get_tensor_details()}
    names = ("BATCH_MATMUL", "FULLY_CONNECTED")
    return [[types[i] for i in op["inputs"][:2]] for op in interpreter._get_ops_details() if op["op_name"] in names]


def test_products_of_integers(integer_file, text_learner):
    found = products(integer_file)
    assert len(found) > 10 and all(pair == ["int8", "int8"] for pair in found)
    ids = np.array([[100, 101, 102, 2, *([0] * (LENGTH - 4))]], "int32")
    runner = Interpreter(str(integer_file)).get_signature_runner("score")
    logits = runner(source=ids, target=ids)["logits"]
    model = text_learner.model
    expected = model(model.training_inputs(tf.constant(ids), tf.constant(ids))).numpy()
    assert np.corrcoef(logits.ravel(), expected.ravel())[0, 1] > 0.95


def test_a_model_that_generates_nothing(regression, tmp_path):
    episodes = Sinusoid().as_dataset(4, 10, 10, num_batches=4)
    path = quantize(regression.model, tmp_path / "int8.tflite", "int8", episodes)
    x = np.array([[1.5]], "float32")
    found = Interpreter(str(path)).get_signature_runner("predict")(x=x)["output"]
    np.testing.assert_allclose(found, regression.model(x), atol=0.1)
    assert all(pair == ["int8", "int8"] for pair in products(path))


def test_unknown(text_learner, tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'weight_int8'"):
        quantize(text_learner, tmp_path / "m.tflite", "weight_int88")


def test_integers_need_examples(text_learner, training, tmp_path):
    with pytest.raises(ValueError, match="needs episodes"):
        quantize(text_learner, tmp_path / "m.tflite", "int8")
    with pytest.raises(ValueError, match="received no episodes"):
        quantize(text_learner, tmp_path / "m.tflite", "int8", training.take(0))
