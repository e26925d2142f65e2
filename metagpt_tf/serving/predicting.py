"""One request: which signature, are its inputs what the signature takes, and its answer; the same for REST and gRPC."""

import concurrent.futures
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.serving.batching import Arrays, Batcher
from metagpt_tf.serving.versions import Loaded, ModelVersions
from metagpt_tf.suggestions import closest

CHECK = re.compile(r"assertion failed: \[([^\[\]]+)\]\s*$", re.MULTILINE)  # of a tf.debugging.Assert with one text
# Of an input's kind, the kinds that may be given for it.
KINDS = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}
INVALID, NOT_FOUND, TOO_LATE, INTERNAL = "INVALID_ARGUMENT", "NOT_FOUND", "DEADLINE_EXCEEDED", "INTERNAL"


class RequestError(Exception):
    """What is wrong with a request, with a canonical code of gRPC.

    Attributes:
        code: `"INVALID_ARGUMENT"`, `"NOT_FOUND"`, `"DEADLINE_EXCEEDED"` or `"INTERNAL"`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Predictor:
    """Answers requests for one model by name.

    Args:
        name: of the model.
        versions: where its versions come from.
        timeout: seconds that an answer may take.
        batcher: joins requests whose inputs all have a row for each answer; `None` answers one by one.
    """

    def __init__(
        self, name: str, versions: ModelVersions, timeout: float = 30.0, batcher: Batcher | None = None
    ) -> None:
        self.name, self.versions, self.timeout, self.batcher = name, versions, timeout, batcher
        self._pool = concurrent.futures.ThreadPoolExecutor(8, "predict")

    def close(self) -> None:
        """Stop; running answers are finished."""
        self.versions.close()
        if self.batcher:
            self.batcher.close()
        self._pool.shutdown()

    def loaded(self, name: str, version: int | None = None) -> Loaded:
        """The version that is asked for.

        Raises:
            RequestError: another name, or a version that is not the newest.
        """
        current = self.versions.current
        if name != self.name or version not in (None, 0, current.version):
            asked = f"Specific({name}, {version})" if version else f"Latest({name})"
            raise RequestError(
                NOT_FOUND, f"Servable not found for request: {asked}. There is {self.name}, version {current.version}."
            )
        return current

    def predict(self, loaded: Loaded, signature: str, inputs: Mapping[str, Any]) -> Arrays:
        """Outputs by name.

        Args:
            loaded: of `loaded`.
            signature: its name; `""` for `serving_default`.
            inputs: arrays, or nested lists, by name.

        Raises:
            RequestError: no such signature, wrong inputs, what the graph refuses, or no answer in time.
        """
        signature = signature or "serving_default"
        function = loaded.signatures.get(signature)
        if function is None:
            hint = closest(signature, loaded.signatures)
            raise RequestError(INVALID, f"The model has no signature {signature!r}. {hint}")
        specs = function.structured_input_signature[1]
        arrays = _checked(signature, inputs, specs)

        def call(given: Arrays) -> Arrays:
            return {k: v.numpy() for k, v in function(**{k: tf.constant(v) for k, v in given.items()}).items()}

        together = self.batcher is not None and _by_rows(specs, function.structured_outputs, arrays)
        if self.batcher is not None and together:
            future = self.batcher.submit((loaded.version, signature, _widths(arrays)), call, arrays)
        else:
            future = self._pool.submit(call, arrays)
        return self._awaited(future)

    def _awaited(self, future: "concurrent.futures.Future[Arrays]") -> Arrays:
        try:
            return future.result(self.timeout)
        except concurrent.futures.TimeoutError as error:
            future.cancel()
            raise RequestError(TOO_LATE, f"No answer within {self.timeout} s.") from error
        except (tf.errors.InvalidArgumentError, ValueError, TypeError) as error:
            raise RequestError(INVALID, _reason(getattr(error, "message", str(error)))) from error
        except tf.errors.OpError as error:
            raise RequestError(INTERNAL, error.message) from error


def _reason(message: str) -> str:
    """What a check in the model says, without the graph's words round it; of other errors everything."""
    found = CHECK.search(message)
    return found.group(1) if found else message


def _checked(signature: str, inputs: Mapping[str, Any], specs: Mapping[str, tf.TensorSpec]) -> Arrays:
    if set(inputs) != set(specs):
        raise RequestError(
            INVALID, f"Signature {signature!r} takes the inputs {sorted(specs)}, received {sorted(inputs)}."
        )
    return {name: _array(f"{signature}: {name}", inputs[name], spec) for name, spec in specs.items()}


def _array(words: str, values: Any, spec: tf.TensorSpec) -> np.ndarray:
    expected = f"{words} must be {spec.dtype.name} of shape {spec.shape}"
    try:
        array = np.asarray(values, object if spec.dtype == tf.string else None)
        if spec.dtype == tf.string:
            kinds = {type(v) for v in array.ravel().tolist()}
            if not kinds <= {str, bytes}:
                raise TypeError(f"found {', '.join(sorted(kind.__name__ for kind in kinds))}")
        elif array.size and array.dtype.kind not in KINDS[np.dtype(spec.dtype.as_numpy_dtype).kind]:
            raise TypeError(f"found {array.dtype}")
        elif (
            spec.dtype.is_integer and array.size and not spec.dtype.min <= array.min() <= array.max() <= spec.dtype.max
        ):
            raise OverflowError("found a number outside of its range")
        else:
            array = array.astype(spec.dtype.as_numpy_dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(INVALID, f"{expected}; {error}.") from error
    if not spec.shape.is_compatible_with(array.shape):
        raise RequestError(INVALID, f"{expected}, received shape {array.shape}.")
    return array


def _by_rows(specs: Mapping[str, tf.TensorSpec], outputs: Mapping[str, Any], arrays: Arrays) -> bool:
    """Whether every input and output has a first axis of any length, one and the same in this request."""
    open_ended = all(s.shape.rank and s.shape[0] is None for s in (*specs.values(), *outputs.values()))
    return open_ended and len({len(array) for array in arrays.values()}) == 1 and len(next(iter(arrays.values()))) > 0


def _widths(arrays: Arrays) -> tuple[Any, ...]:
    return tuple(array.shape[1:] for array in arrays.values())
