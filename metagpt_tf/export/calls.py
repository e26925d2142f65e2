"""A first request to a served model, ready to paste: for curl and for Python with `requests` alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow.core.framework.types_pb2 import DT_STRING as STRING

from metagpt_tf.export.readers.base import definitions
from metagpt_tf.export.serving_kit import REST_PORT

EXAMPLES = {
    "text": "Once upon a time",
    "prompt": "Once upon a time",
    "source": "read this",
    "target": "write that",
    "support_source": "read this",
    "support_target": "write that",
}
SHORT = 4096  # bytes of a request that a shell is given in one argument


def first_calls(directory: Path, name: str = "model", port: int = REST_PORT) -> dict[str, str]:
    """`call.sh` and `call.py`: an answer and, where the model adapts, a state and an answer with it.

    Args:
        directory: of a version, as `export_saved_model` returns it.
        name: that the model is served by.
        port: of REST.

    Raises:
        FileNotFoundError: no SavedModel is there.
    """
    known = definitions(directory)
    adapt = "adapt_text" if "adapt_text" in known else "adapt"
    adapted = next((n for n in ("generate_adapted", "classify_adapted", "predict_adapted") if n in known), None)
    url = f"http://localhost:{port}/v1/models/{name}:predict"
    curl = [_curl(url, "serving_default", known)]
    python = [_PYTHON.format(url=url), f"print({_python('serving_default', known)})"]
    if adapted:
        curl.append(_curl(url, adapt, known))
        python.append(f"state = {_python(adapt, known)}  # keep it: the server forgets")
        python.append(f"print({_python(adapted, known)})")
    return {"call.sh": "\n".join(["#!/bin/sh", *curl, ""]), "call.py": "\n".join([*python, ""])}


_PYTHON = '''"""Ask, teach, ask again."""

import requests

URL = "{url}"


def call(signature, **inputs):
    answer = requests.post(URL, json={{"signature_name": signature, "inputs": inputs}}, timeout=60)
    answer.raise_for_status()
    return answer.json()["outputs"]

'''


def _python(signature: str, known: Any) -> str:
    specs = known[signature].inputs
    given = ", ".join(f"{key}={'state' if key == 'state' else _example(key, specs[key])}" for key in sorted(specs))
    return f'call("{signature}", {given})'


def _curl(url: str, signature: str, known: Any) -> str:
    specs = known[signature].inputs
    if any(_size(spec) > SHORT // 4 for spec in specs.values()):
        return f"# {signature} reads numbers of shape {', '.join(map(str, map(_shape, specs.values())))}: see call.py"
    inputs = {key: _value(key, specs[key]) for key in sorted(specs)}
    return f"curl {url} -d '{json.dumps({'signature_name': signature, 'inputs': inputs})}'"


def _example(name: str, spec: Any) -> str:
    """One row of an input as Python writes it, zeros by their counts: an image of them would fill pages."""
    if spec.dtype == STRING:
        return repr(_value(name, spec))
    text = "0"
    for size in reversed(_shape(spec)):
        text = f"[{text}]" + (f" * {size}" if size > 1 else "")
    return text


def _value(name: str, spec: Any) -> list[Any]:
    if spec.dtype == STRING:
        return [EXAMPLES.get(name, "text")]
    return np.zeros(_shape(spec), int).tolist()


def _shape(spec: Any) -> list[int]:
    return [max(int(axis.size), 1) for axis in spec.tensor_shape.dim]


def _size(spec: Any) -> int:
    return int(np.prod(_shape(spec)))
