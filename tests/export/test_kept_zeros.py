"""Pruned weights stay zero in files: what `adapt` returns holds the others only."""

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from metagpt_tf.export import LiteRTRunner, export_litert, export_saved_model
from metagpt_tf.kept_zeros import is_prunable, sparsity
from metagpt_tf.meta import MAML, MetaLearner

from .conftest import K, small_model, support


def zeros_of(learner, state):
    weights = learner.layout.unpack(tf.constant(np.asarray(state)))
    pairs = zip(learner.layout.variables, weights, strict=True)
    return [(w.numpy() == 0).mean() for variable, w in pairs if is_prunable(variable)]


def test_in_a_litert_file(pruned, tmp_path):
    x, y = support(pruned.model)
    path = export_litert(pruned, tmp_path / "m.tflite", k_shot=K)
    expected = pruned.adapt((x, y))
    assert len(expected) < 0.3 * pruned.model.count_params()
    for delegates in (True, False):
        state = LiteRTRunner(path, delegates=delegates).adapt(x, y)
        np.testing.assert_allclose(state, expected, atol=1e-5)
    assert min(zeros_of(pruned, state)) > 0.79 and sparsity(pruned.model) > 0.79
    runner, loaded = LiteRTRunner(path), tf.saved_model.load(str(export_saved_model(pruned, tmp_path / "saved")))
    again = loaded.signatures["generate_adapted_ids"](source=tf.constant(x[:1]), state=tf.constant(state))["output"]
    np.testing.assert_array_equal(runner.generate(x[:1], state), again)


@pytest.mark.parametrize("quantization", ["float32", "weight_int8"])
def test_a_file_holds_no_places(pruned, tmp_path, quantization):
    """It finds them in the weights, however these are stored."""
    path = export_litert(pruned, tmp_path / "m.tflite", k_shot=K, quantization=quantization)
    file = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    whole = [t for g in file.subgraphs for t in g.tensors if t.type == schema.TensorType.INT32]
    stored = [0 if file.buffers[t.buffer].data is None else len(file.buffers[t.buffer].data) for t in whole]
    scales = [len(t.quantization.scale) for g in file.subgraphs for t in g.tensors if t.quantization is not None]
    assert max(scales, default=0) <= 259  # a scale for each channel, not for each weight
    fewest = min(int((v.numpy() != 0).sum()) for v in pruned.layout.variables if is_prunable(v))
    assert max(stored) < 4 * fewest
    x, y = support(pruned.model)
    state = LiteRTRunner(path).adapt(x, y)
    np.testing.assert_allclose(state, pruned.adapt((x, y)), atol=1e-5 if quantization == "float32" else 0.05)


@pytest.mark.parametrize("quantization", ["weight_int8", "weight_int8_per_tensor"])
def test_a_kept_weight_that_rounds_to_zero(quantization, tmp_path):
    """What is stored has more zeros than were pruned: the places of such a matrix are in the file."""
    learner = MetaLearner(small_model(dim=64, hidden_dim=256), MAML(2, 0.3), keep_zeros=True)
    for variable in learner.model.trainable_variables:
        if is_prunable(variable):
            values = variable.numpy()
            values.ravel()[::3] = 0.0
            values.ravel()[1::3] *= 1e-4
            variable.assign(values)
    learner.compile("adam")
    x, y = support(learner.model)
    path = export_litert(learner, tmp_path / "m.tflite", k_shot=K, quantization=quantization)
    state = LiteRTRunner(path).adapt(x, y)
    assert state.shape == (learner.layout.size,) and np.isfinite(state).all()
    loaded = tf.saved_model.load(str(export_saved_model(learner, tmp_path / "saved", storage="weight_int8")))
    found = loaded.signatures["adapt"](support_x=tf.constant(x), support_y=tf.constant(y))["state"]
    assert found.shape == state.shape and np.isfinite(found).all()


def test_in_a_saved_model(pruned, tmp_path):
    x, y = support(pruned.model)
    loaded = tf.saved_model.load(str(export_saved_model(pruned, tmp_path)))
    state = loaded.signatures["adapt"](support_x=tf.constant(x), support_y=tf.constant(y))["state"].numpy()
    np.testing.assert_allclose(state, pruned.adapt((x, y)), atol=1e-5)
    ids = loaded.signatures["generate_adapted_ids"](source=tf.constant(x), state=tf.constant(state))["output"]
    texts = [pruned.model.tokenizer.decode(row) for row in x]
    again = pruned.model.generate(texts, state=pruned.adapt((x, y)))
    assert [pruned.model.tokenizer.decode(row) for row in ids.numpy()] == again
