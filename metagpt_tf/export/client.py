"""Clients of a served model, over REST and gRPC: the same verbs, retries with back-off, deadlines, errors by kind.

They speak to TF Serving and to the development server alike. The server holds nothing: what a task taught comes back as
a state, which the client keeps and sends along.
"""

import abc
import base64
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import requests
import tensorflow as tf

from metagpt_tf.fast_weights import State

Arrays = dict[str, np.ndarray]
T = TypeVar("T")
SETTINGS: dict[str, Any] = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 0, "max_length": 2**31 - 1}


class ServingError(Exception):
    """A request that was not answered."""


class InvalidRequest(ServingError, ValueError):
    """The server refuses the request: wrong inputs or signature, a state of another model, too large, not allowed."""


class NotServed(ServingError, LookupError):
    """There is no such model or version."""


class DeadlineExceeded(ServingError, TimeoutError):
    """No answer in time."""


class Unavailable(ServingError, ConnectionError):
    """Nobody answers, or the server failed, after all retries."""


class Client(abc.ABC):
    """What both clients share: the verbs, and when to try again.

    Args:
        model: name that it is served by.
        version: to ask for; `None` for the newest.
        timeout: seconds that a call may take, all its tries together; over REST each try may wait that long for a
            connection and again for the next bytes of its answer.
        retries: further tries when nobody answers; a request that was refused is not sent again.
        backoff: seconds before the first further try; doubled each time, with up to as much again at random.
    """

    def __init__(
        self,
        model: str = "model",
        version: int | None = None,
        timeout: float = 30.0,
        retries: int = 3,
        backoff: float = 0.1,
    ) -> None:
        self.model, self.version = model, version
        self.timeout, self.retries, self.backoff = timeout, retries, backoff

    def call(self, signature: str, inputs: Mapping[str, Any]) -> Arrays:
        """Outputs of a signature by name.

        Raises:
            InvalidRequest, NotServed, DeadlineExceeded, Unavailable: see these.
        """
        return self._tried(lambda left: self._send(signature, inputs, left))

    def _tried(self, send: Callable[[float], T]) -> T:
        """What `send(seconds left)` returns, tried again while nobody answers."""
        end = time.monotonic() + self.timeout
        for attempt in range(self.retries + 1):
            try:
                return send(max(end - time.monotonic(), 1e-3))
            except Unavailable as error:
                pause = self.backoff * 2**attempt * (1 + random.random())
                if attempt == self.retries:
                    raise
                if time.monotonic() + pause >= end:
                    raise DeadlineExceeded(f"No answer within {self.timeout} s: {error}") from error
                time.sleep(pause)
        raise AssertionError("unreachable: the last try returns or raises")

    def answer(self, texts: Sequence[str]) -> list[str]:
        """Greedy answers of the model as it is."""
        return _texts(self.call("serving_default", {"text": list(texts)})["text"])

    def adapt(self, sources: Sequence[str], targets: Sequence[str]) -> State:
        """A state `(P,)` from K examples of texts."""
        inputs = {"support_source": list(sources), "support_target": list(targets)}
        return State.of(self.call("adapt_text", inputs)["state"], None)

    def generate(self, prompts: Sequence[str], state: Any = None, **settings: Any) -> list[str]:
        """Texts for texts, drawn as asked.

        Args:
            prompts: what to read.
            state: from `adapt`, or `None`.
            **settings: `temperature` (0 for greedy), `top_k`, `top_p`, `seed`, `max_length`: a value, or one a prompt.

        Raises:
            TypeError: another setting.
        """
        unknown = set(settings) - set(SETTINGS)
        if unknown:
            raise TypeError(f"Unknown settings {sorted(unknown)}; there are {', '.join(SETTINGS)}.")
        columns = {
            name: _column(settings.get(name, value), type(value), len(prompts)) for name, value in SETTINGS.items()
        }
        if state is None:
            return _texts(self.call("sample", {"text": list(prompts), **columns})["text"])
        given = {"prompt": list(prompts), "state": np.asarray(state, "float32"), **columns}
        return _texts(self.call("sample_adapted", given)["text"])

    def score(self, sources: Sequence[str], targets: Sequence[str], state: Any = None) -> np.ndarray:
        """Mean nats a token of each target `(B,)`."""
        inputs: dict[str, Any] = {"source": list(sources), "target": list(targets)}
        if state is None:
            return self.call("score", inputs)["loss"]
        return self.call("score_adapted", {**inputs, "state": np.asarray(state, "float32")})["loss"]

    @abc.abstractmethod
    def status(self) -> dict[int, str]:
        """Version to state, e.g. `{3: "AVAILABLE"}`."""

    @abc.abstractmethod
    def _send(self, signature: str, inputs: Mapping[str, Any], timeout: float) -> Arrays:
        """One try."""


class RestClient(Client):
    """A client of the REST API.

    Args:
        url: e.g. `"http://localhost:8501"`.
        *args, **kwargs: as in `Client`.

    Example:

    >>> client = RestClient("http://localhost:8501")  # doctest: +SKIP
    >>> state = client.adapt(["1 + 1", "2 + 1"], ["2", "3"])  # doctest: +SKIP
    >>> client.generate(["4 + 1"], state, temperature=0)  # doctest: +SKIP
    """

    def __init__(self, url: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._session = requests.Session()
        self._url = f"{url.rstrip('/')}/v1/models/{self.model}"
        if self.version is not None:
            self._url += f"/versions/{self.version}"
        self._outputs: dict[str, list[str]] = {}

    def status(self) -> dict[int, str]:
        found = self._tried(lambda left: self._json("GET", self._url, None, left))["model_version_status"]
        return {int(one["version"]): one["state"] for one in found}

    def rows(self, signature: str, instances: Sequence[Any]) -> list[Any]:
        """A call in row form: a list of objects of inputs in, a list of answers out."""
        body = {"signature_name": signature, "instances": list(instances)}
        return list(self._tried(lambda left: self._json("POST", f"{self._url}:predict", body, left))["predictions"])

    def _send(self, signature: str, inputs: Mapping[str, Any], timeout: float) -> Arrays:
        end = time.monotonic() + timeout
        body = {"signature_name": signature, "inputs": dict(inputs)}
        outputs = self._json("POST", f"{self._url}:predict", body, timeout)["outputs"]
        if isinstance(outputs, dict):
            return {name: _array(values) for name, values in outputs.items()}
        return {self._only_output(signature or "serving_default", max(end - time.monotonic(), 1e-3)): _array(outputs)}

    def _only_output(self, signature: str, timeout: float) -> str:
        """Name of the output of a signature that has one: the answer does not say it."""
        if signature not in self._outputs:
            found = self._json("GET", f"{self._url}/metadata", None, timeout)["metadata"]["signature_def"]
            definitions = found["signature_def"]
            self._outputs = {name: list(definition["outputs"]) for name, definition in definitions.items()}
        return self._outputs[signature][0]

    def _json(self, method: str, url: str, body: Any, timeout: float) -> Any:
        # By hand: NaN is written as it is, and the server says what is wrong with it.
        data = None if body is None else json.dumps(body, default=_encoded)
        kind = {"Content-Type": "application/json"}
        try:
            response = self._session.request(method, url, data=data, headers=kind, timeout=timeout)
            if response.ok:
                return response.json()
        except requests.Timeout as error:
            raise DeadlineExceeded(f"No answer of {url} within {timeout:.1f} s.") from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, ValueError) as error:
            raise Unavailable(f"Nobody answers at {url}, or not in JSON: {error}") from error
        raise _http_error(response)


def _http_error(response: requests.Response) -> ServingError:
    try:
        message = str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        message = response.text[:300]
    code = response.status_code
    refused: type[ServingError] = InvalidRequest if 400 <= code < 500 and code != 429 else Unavailable
    return {404: NotServed, 504: DeadlineExceeded}.get(code, refused)(f"{code}: {message}")


def _encoded(value: Any) -> Any:
    """What JSON has no form for: arrays as lists, bytes in base64."""
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"A {type(value).__name__} cannot be sent.")


class GrpcClient(Client):
    """A client of the gRPC API; needs the extra `serving`.

    Args:
        address: e.g. `"localhost:8500"`.
        *args, **kwargs: as in `Client`.

    Raises:
        ImportError: without the extra.
    """

    def __init__(self, address: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        try:
            import grpc
            from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
        except ImportError as error:
            raise ImportError(
                "GrpcClient needs grpcio and tensorflow-serving-api: pip install metagpt_tf[serving]"
            ) from error
        options = [(f"grpc.max_{way}_message_length", -1) for way in ("receive", "send")]
        # Our own retries come within a second: the channel must have tried to connect again by then.
        options += [(f"grpc.{when}_reconnect_backoff_ms", 100) for when in ("initial", "min")]
        options.append(("grpc.max_reconnect_backoff_ms", 1000))
        self._grpc = grpc
        self._channel = grpc.insecure_channel(address, options=options)
        self._predict = prediction_service_pb2_grpc.PredictionServiceStub(self._channel).Predict
        self._status = model_service_pb2_grpc.ModelServiceStub(self._channel).GetModelStatus

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def status(self) -> dict[int, str]:
        from tensorflow_serving.apis import get_model_status_pb2

        request = get_model_status_pb2.GetModelStatusRequest()
        self._ask_for(request.model_spec)
        states = get_model_status_pb2.ModelVersionStatus.State
        found = self._tried(lambda left: self._sent(self._status, request, left)).model_version_status
        return {one.version: states.Name(one.state) for one in found}

    def _send(self, signature: str, inputs: Mapping[str, Any], timeout: float) -> Arrays:
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        self._ask_for(request.model_spec)
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        response = self._sent(self._predict, request, timeout)
        return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}

    def _ask_for(self, spec: Any) -> None:
        spec.name = self.model
        if self.version is not None:
            spec.version.value = self.version

    def _sent(self, call: Any, request: Any, timeout: float) -> Any:
        codes = self._grpc.StatusCode
        kinds = {
            codes.INVALID_ARGUMENT: InvalidRequest,
            codes.FAILED_PRECONDITION: InvalidRequest,
            codes.OUT_OF_RANGE: InvalidRequest,
            codes.RESOURCE_EXHAUSTED: InvalidRequest,  # a message that is too large
            codes.PERMISSION_DENIED: InvalidRequest,
            codes.UNAUTHENTICATED: InvalidRequest,
            codes.UNIMPLEMENTED: InvalidRequest,
            codes.NOT_FOUND: NotServed,
            codes.DEADLINE_EXCEEDED: DeadlineExceeded,
        }
        try:
            return call(request, timeout=timeout)
        except self._grpc.RpcError as error:
            raise kinds.get(error.code(), Unavailable)(f"{error.code().name}: {error.details()}") from error


def _column(value: Any, kind: type, rows: int) -> np.ndarray:
    """One value, or one a row, as `(rows,)`."""
    return np.broadcast_to(np.asarray(value, "float32" if kind is float else "int32"), rows)


def _array(values: Any) -> np.ndarray:
    """An output; texts stay whole, where an array of fixed width would drop their last zeros."""
    array = np.asarray(values)
    return np.asarray(values, object) if array.dtype.kind == "U" else array


def _texts(values: np.ndarray) -> list[str]:
    return [text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text) for text in values.ravel()]
