"""Warm-up requests that TF Serving replays when it loads a version, so that the first client does not wait for tracing.

The record is TF Serving's `PredictionLog`. Its few fields are declared here, because the package that ships the full
protocol (`tensorflow-serving-api`) would otherwise be needed by everybody who exports; a test compares the two byte
for byte.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tensorflow.core.framework import tensor_pb2

WARMUP_FILE = "tf_serving_warmup_requests"
_PACKAGE = "metagpt_tf.serving"
_FIELD = descriptor_pb2.FieldDescriptorProto


def write_warmup(directory: Path, signatures: dict[str, Any], state: np.ndarray | None = None) -> Path:
    """Write `assets.extra/tf_serving_warmup_requests` with one request for each signature."""
    folder = directory / "assets.extra"
    folder.mkdir(parents=True)
    path = folder / WARMUP_FILE
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in sample_requests(signatures, state).items():
            writer.write(prediction_log(signature, inputs))
    return path


def sample_requests(signatures: dict[str, Any], state: np.ndarray | None = None) -> dict[str, dict[str, np.ndarray]]:
    """Smallest valid inputs of each signature: one row of a text or of zeros.

    Args:
        signatures: name to a function with a fixed signature.
        state: of a learner, for the signatures that read one.
    """

    def example(spec: tf.TensorSpec) -> np.ndarray:
        if spec.name == "state":
            return np.asarray(state)
        shape = [size or 1 for size in spec.shape]
        return np.full(shape, b"warm up") if spec.dtype == tf.string else np.zeros(shape, spec.dtype.as_numpy_dtype)

    return {
        name: {spec.name: example(spec) for spec in function.input_signature} for name, function in signatures.items()
    }


def prediction_log(signature: str, inputs: dict[str, np.ndarray]) -> bytes:
    """A serialised `PredictionLog` that holds one predict request."""
    log = _messages()["PredictionLog"]()
    request = log.predict_log.request
    request.model_spec.name = "default"
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return log.SerializeToString(deterministic=True)


@cache
def _messages() -> dict[str, Any]:
    pool = descriptor_pool.Default()
    pool.Add(_declaration()) if not _declared(pool) else None
    names = ("PredictionLog", "PredictLog", "PredictRequest", "ModelSpec")
    return {n: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{n}")) for n in names}


def _declared(pool: descriptor_pool.DescriptorPool) -> bool:
    try:
        pool.FindFileByName("metagpt_tf/serving.proto")
    except KeyError:
        return False
    return True


def _declaration() -> descriptor_pb2.FileDescriptorProto:
    # Field numbers are TF Serving's (apis/model.proto, predict.proto, prediction_log.proto); names of messages do not
    # travel.
    file = descriptor_pb2.FileDescriptorProto(name="metagpt_tf/serving.proto", package=_PACKAGE, syntax="proto3")
    file.dependency.append(tensor_pb2.DESCRIPTOR.name)
    _message(file, "ModelSpec", ("name", 1, _FIELD.TYPE_STRING, ""), ("signature_name", 3, _FIELD.TYPE_STRING, ""))
    request = _message(file, "PredictRequest", ("model_spec", 1, _FIELD.TYPE_MESSAGE, "ModelSpec"))
    entry = request.nested_type.add(name="InputsEntry")
    entry.options.map_entry = True
    _field(entry, "key", 1, _FIELD.TYPE_STRING, "")
    _field(entry, "value", 2, _FIELD.TYPE_MESSAGE, ".tensorflow.TensorProto")
    inputs = _field(request, "inputs", 2, _FIELD.TYPE_MESSAGE, "PredictRequest.InputsEntry")
    inputs.label = _FIELD.LABEL_REPEATED
    _message(file, "PredictLog", ("request", 1, _FIELD.TYPE_MESSAGE, "PredictRequest"))
    _message(file, "PredictionLog", ("predict_log", 6, _FIELD.TYPE_MESSAGE, "PredictLog"))
    return file


def _message(file: Any, name: str, *fields: tuple[str, int, int, str]) -> Any:
    message = file.message_type.add(name=name)
    for field in fields:
        _field(message, *field)
    return message


def _field(message: Any, name: str, number: int, kind: int, type_name: str) -> Any:
    field = message.field.add(name=name, number=number, type=kind, label=_FIELD.LABEL_OPTIONAL)
    if type_name:
        field.type_name = type_name if type_name.startswith(".") else f".{_PACKAGE}.{type_name}"
    return field
