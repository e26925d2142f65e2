"""The warm-up file: one request for each signature, in TF Serving's own wire format."""

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.export.serving_signatures import saved_model_signatures
from metagpt_tf.export.signatures import Exported
from metagpt_tf.export.warmup import WARMUP_FILE, _messages, prediction_log, sample_requests


def test_every_signature_can_be_warmed_up(saved_model, learner):
    loaded = tf.saved_model.load(str(saved_model))
    requests = sample_requests(saved_model_signatures(Exported(learner)), learner.layout.initial_state())
    assert set(requests) == set(loaded.signatures)
    for signature, inputs in requests.items():
        loaded.signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})


def test_the_file_holds_the_requests(saved_model):
    path = saved_model / "assets.extra" / WARMUP_FILE
    logs = [_messages()["PredictionLog"].FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(path))]
    names = {log.predict_log.request.model_spec.signature_name for log in logs}
    assert names == set(tf.saved_model.load(str(saved_model)).signatures)
    adapt = next(log for log in logs if log.predict_log.request.model_spec.signature_name == "adapt")
    assert set(adapt.predict_log.request.inputs) == {"support_x", "support_y"}


def test_the_wire_format_is_tf_servings():
    apis = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2", reason="needs the extra 'serving'")
    inputs = {"x": np.ones((1, 2), "float32")}
    log = apis.PredictionLog()
    request = log.predict_log.request
    request.model_spec.name = "default"
    request.model_spec.signature_name = "serving_default"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(inputs["x"]))
    assert log.SerializeToString(deterministic=True) == prediction_log("serving_default", inputs)


def test_the_wire_format_byte_by_byte():
    """Fields 6 (predict_log), 1 (request), 1 (model_spec), 3 (signature_name), without the serving package."""
    content = prediction_log("s", {})
    # 0x32 = field 6, length-delimited; 0x0a = field 1; 0x1a = field 3
    spec = b"\x0a\x07default\x1a\x01s"
    request = b"\x0a" + bytes([len(spec)]) + spec
    predict = b"\x0a" + bytes([len(request)]) + request
    assert content == b"\x32" + bytes([len(predict)]) + predict
