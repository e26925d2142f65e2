"""TF Serving's gRPC API, with its own messages: Predict, GetModelMetadata and GetModelStatus."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from metagpt_tf.serving.predicting import INVALID, Predictor, RequestError


def grpc_server(predictor: Predictor, address: str, largest_bytes: int, workers: int = 32) -> tuple[grpc.Server, int]:
    """A server that listens when it is started, and its port."""
    options = [(f"grpc.max_{way}_message_length", largest_bytes) for way in ("receive", "send")]
    options.append(("grpc.so_reuseport", 0))  # else two servers would share a port, and answer by chance
    server = grpc.server(ThreadPoolExecutor(workers, "grpc"), options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Prediction(predictor), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(predictor), server)
    return server, server.add_insecure_port(address)


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        loaded = _loaded(self.predictor, request.model_spec, context)
        signature = request.model_spec.signature_name
        try:
            inputs = _arrays(loaded, signature, request.inputs)
            outputs = self.predictor.predict(loaded, signature, inputs)
        except RequestError as error:
            context.abort(grpc.StatusCode[error.code], str(error))
        wanted = list(request.output_filter) or list(outputs)
        if not set(wanted) <= set(outputs):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Outputs are {sorted(outputs)}, asked for {wanted}.")
        response = predict_pb2.PredictResponse()
        _fill(response.model_spec, self.predictor.name, loaded.version, signature or "serving_default")
        for name in wanted:
            response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
        return response

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        loaded = _loaded(self.predictor, request.model_spec, context)
        if list(request.metadata_field) != ["signature_def"]:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "metadata_field must be 'signature_def'.")
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, function in loaded.signatures.items():
            definition = signatures.signature_def[name]
            definition.method_name = "tensorflow/serving/predict"
            for key, spec in function.structured_input_signature[1].items():
                _describe(definition.inputs[key], spec)
            for key, spec in function.structured_outputs.items():
                _describe(definition.outputs[key], spec)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        _fill(response.model_spec, self.predictor.name, loaded.version)
        response.metadata["signature_def"].Pack(signatures)
        return response


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        loaded = _loaded(self.predictor, request.model_spec, context)
        response = get_model_status_pb2.GetModelStatusResponse()
        status = response.model_version_status.add(version=loaded.version)
        status.state = get_model_status_pb2.ModelVersionStatus.AVAILABLE
        return response


def _arrays(loaded: Any, signature: str, protos: Any) -> dict[str, Any]:
    """The inputs as arrays; of exactly the type that the signature takes, as TF Serving has it."""
    function = loaded.signatures.get(signature or "serving_default")
    specs = function.structured_input_signature[1] if function else {}
    for name, proto in protos.items():
        if name in specs and proto.dtype != specs[name].dtype.as_datatype_enum:
            given = tf.as_dtype(proto.dtype).name if proto.dtype else "no type"
            raise RequestError(INVALID, f"{signature}: {name} must be {specs[name].dtype.name}, received {given}.")
    try:
        return {name: tf.make_ndarray(proto) for name, proto in protos.items()}
    except (TypeError, ValueError) as error:
        raise RequestError(INVALID, f"An input is no tensor: {error}") from error


def _loaded(predictor: Predictor, spec: Any, context: grpc.ServicerContext) -> Any:
    if spec.WhichOneof("version_choice") == "version_label":
        context.abort(grpc.StatusCode.NOT_FOUND, f"There are no labels here, such as {spec.version_label!r}.")
    try:
        return predictor.loaded(spec.name, spec.version.value if spec.HasField("version") else None)
    except RequestError as error:
        context.abort(grpc.StatusCode[error.code], str(error))


def _fill(spec: Any, name: str, version: int, signature: str = "") -> None:
    spec.name, spec.signature_name = name, signature
    spec.version.value = version


def _describe(info: meta_graph_pb2.TensorInfo, spec: Any) -> None:
    info.name, info.dtype = spec.name, spec.dtype.as_datatype_enum
    info.tensor_shape.CopyFrom(spec.shape.as_proto())
