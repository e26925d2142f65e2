"""TF Serving's REST API: status, metadata and predict, in row and in column form."""

import base64
import json
import re
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tensorflow.core.framework import types_pb2

from metagpt_tf.serving.batching import Arrays
from metagpt_tf.serving.predicting import INTERNAL, INVALID, NOT_FOUND, TOO_LATE, Predictor, RequestError

STATUS = {INVALID: 400, NOT_FOUND: 404, TOO_LATE: 504, INTERNAL: 500}
PATH = re.compile(r"(?P<name>[^/:]+)(/versions/(?P<version>\d{1,18}))?(?P<verb>/metadata|:\w+)?")


def rest_app(predictor: Predictor, largest_bytes: int) -> Starlette:
    """The application; requests of more bytes are refused before they are read whole."""

    async def models(request: Request) -> Response:
        found = PATH.fullmatch(request.path_params["rest"])
        if not found:
            return _error(404, f"Not found: {request.url.path}")
        version = int(found["version"]) if found["version"] else None
        try:
            loaded = predictor.loaded(found["name"], version)
            if request.method == "GET" and found["verb"] not in (None, "/metadata"):
                return _error(404, f"GET answers the status and /metadata, not {found['verb']}.")
            if request.method == "GET":
                return JSONResponse(_metadata(predictor, loaded) if found["verb"] else _status(loaded.version))
            if found["verb"] != ":predict":
                return _error(404, f"This server answers :predict, not {found['verb'] or 'nothing'}.")
            body = await _body(request, largest_bytes)
            if body is None:
                return _error(413, f"A request may have {largest_bytes:,} bytes. Send fewer rows at once.")
            answer = await run_in_threadpool(_predict, predictor, loaded, body)
            return Response(json.dumps(answer), media_type="application/json")  # NaN is written so, as TF Serving does
        except RequestError as error:
            return _error(STATUS[error.code], str(error))
        except ClientDisconnect:
            return _error(400, "The request broke off.")

    return Starlette(routes=[Route("/v1/models/{rest:path}", models, methods=["GET", "POST"])])


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status)


async def _body(request: Request, largest: int) -> bytes | None:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > largest:
            return None
        parts.append(part)
    return b"".join(parts)


def _predict(predictor: Predictor, loaded: Any, body: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(INVALID, f"The request is not JSON: {error}") from error
    if not isinstance(asked, dict) or ("instances" in asked) == ("inputs" in asked):
        raise RequestError(INVALID, "A request is an object with either 'instances' (rows) or 'inputs' (columns).")
    signature = asked.get("signature_name", "")
    if not isinstance(signature, str):
        raise RequestError(INVALID, f"signature_name must be a string, received {signature!r}.")
    by_rows = "instances" in asked
    names = _input_names(loaded, signature)
    inputs = _columns(asked["instances"], names) if by_rows else _named(asked["inputs"], names)
    try:
        inputs = {name: _decoded(values) for name, values in inputs.items()}
    except RecursionError as error:
        raise RequestError(INVALID, "The request is nested too deeply.") from error
    outputs = predictor.predict(loaded, signature, inputs)
    return {"predictions": _rows(outputs, len(asked["instances"]))} if by_rows else {"outputs": _columns_out(outputs)}


def _input_names(loaded: Any, signature: str) -> list[str]:
    function = loaded.signatures.get(signature or "serving_default")
    return list(function.structured_input_signature[1]) if function else []


def _named(inputs: Any, names: list[str]) -> dict[str, Any]:
    """Column form: an object of inputs, or the one input's value."""
    return inputs if isinstance(inputs, dict) and "b64" not in inputs else dict.fromkeys(names[:1], inputs)


def _columns(rows: Any, names: list[str]) -> dict[str, Any]:
    """Row form: a list of objects with the same keys, or of the one input's values."""
    if not isinstance(rows, list) or not rows:
        raise RequestError(INVALID, "'instances' must be a list of one row at least.")
    if not all(isinstance(row, dict) and "b64" not in row for row in rows):
        return dict.fromkeys(names[:1], rows)
    if any(set(row) != set(rows[0]) for row in rows):
        raise RequestError(INVALID, "Every row of 'instances' must have the same keys.")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _decoded(value: Any) -> Any:
    """Nested lists with `{"b64": …}` in the place of bytes."""
    if isinstance(value, list):
        return [_decoded(part) for part in value]
    if isinstance(value, dict):
        if set(value) != {"b64"} or not isinstance(value["b64"], str):
            raise RequestError(INVALID, f"Bytes are written {{'b64': '…'}}, received the keys {sorted(value)}.")
        try:
            return base64.b64decode(value["b64"], validate=True)
        except ValueError as error:
            raise RequestError(INVALID, f"These are no base64 bytes: {error}") from error
    return value


def _plain(name: str, values: np.ndarray) -> Any:
    """Nested lists; bytes of an output whose name says so in base64."""
    if values.dtype != object:
        return values.tolist()
    if name.endswith("_bytes"):
        written = lambda raw: {"b64": base64.b64encode(raw).decode()}  # noqa: E731
    else:
        written = lambda raw: raw.decode("utf-8", "replace")  # noqa: E731
    return np.vectorize(written, otypes=[object])(values).tolist()


def _columns_out(outputs: Arrays) -> Any:
    plain = {name: _plain(name, values) for name, values in outputs.items()}
    return next(iter(plain.values())) if len(plain) == 1 else plain


def _rows(outputs: Arrays, count: int) -> list[Any]:
    if any(values.shape[:1] != (count,) for values in outputs.values()):
        raise RequestError(INVALID, "The answer has no row for each instance. Ask in column form, with 'inputs'.")
    plain = {name: _plain(name, values) for name, values in outputs.items()}
    if len(plain) == 1:
        return list(next(iter(plain.values())))
    return [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]


def _status(version: int) -> dict[str, Any]:
    status = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": str(version), "state": "AVAILABLE", "status": status}]}


def _metadata(predictor: Predictor, loaded: Any) -> dict[str, Any]:
    signatures = {
        name: {
            "inputs": {key: _info(spec) for key, spec in function.structured_input_signature[1].items()},
            "outputs": {key: _info(spec) for key, spec in function.structured_outputs.items()},
            "method_name": "tensorflow/serving/predict",
        }
        for name, function in loaded.signatures.items()
    }
    spec = {"name": predictor.name, "signature_name": "", "version": str(loaded.version)}
    return {"model_spec": spec, "metadata": {"signature_def": {"signature_def": signatures}}}


def _info(spec: Any) -> dict[str, Any]:
    unknown = spec.shape.rank is None
    sizes = [] if unknown else [{"size": str(-1 if size is None else size), "name": ""} for size in spec.shape]
    kind = types_pb2.DataType.Name(spec.dtype.as_datatype_enum)
    return {"dtype": kind, "tensor_shape": {"dim": sizes, "unknown_rank": unknown}, "name": spec.name}
