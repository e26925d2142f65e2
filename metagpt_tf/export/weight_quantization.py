"""Weights of a LiteRT file as small integers, whatever operation reads them.

TensorFlow's converter stores a weight as int8 only where a product reads it. A weight that a task adapts is read by a
loop's first value instead, and stays float. Here every large constant becomes integers behind a `DEQUANTIZE`, which the
runtime computes once when it loads the file: products run in float32 as before.
"""

import hashlib
import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from metagpt_tf.export.ballast import drop_unread_buffers, packed

SMALLEST = 512
TYPES = {8: schema.TensorType.INT8, 4: schema.TensorType.INT4}


def quantized_weights(content: bytes, weights: Iterable[np.ndarray], bits: int = 8, per_channel: bool = True) -> bytes:
    """A LiteRT file with `w ≈ s q`, q integers of `bits` bits, in place of each large float32 matrix.

    `s = max |w| / (2^(bits - 1) - 1)`, for each channel of the last axis or for the tensor; q is w / s rounded to the
    nearest, so a zero stays zero.

    Args:
        content: of the file.
        weights: values of the model's variables. Of the constants that are not among them, those of zeros and one other
            value (an empty cache, a mask) become integers without any error; others (positions) stay.
        bits: 8 or 4.
        per_channel: one scale for each channel of the last axis; `False` for one scale of the tensor, which keeps equal
            weights equal (clusters).

    Raises:
        ValueError: another number of bits.
    """
    if bits not in TYPES:
        raise ValueError(f"Weights become integers of 8 or 4 bits, received bits={bits!r}.")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    large = [w for w in weights if is_rounded(w)]
    writer = _Writer(model, large, bits, per_channel)
    for subgraph in model.subgraphs:
        constants = [i for i, tensor in enumerate(subgraph.tensors) if writer.takes(tensor)]
        for index in constants:
            writer.replace(subgraph, index)
    drop_unread_buffers(model)
    writer.warn_of_missing(large)
    return packed(model)


class _Writer:
    """Replaces constants; tensors that shared a buffer share its integers."""

    def __init__(self, model: schema.ModelT, weights: list[np.ndarray], bits: int, per_channel: bool) -> None:
        self.model, self.bits, self.per_channel = model, bits, per_channel
        # The converter keeps a matrix as it is, or with its last axis first.
        self._turned = {_key(turned(w)): True for w in weights} | {_key(w): False for w in weights}
        self._done: dict[tuple[int, int], tuple[int, np.ndarray]] = {}
        self._found: set[bytes] = set()
        self._opcodes: dict[int, int] = {}

    def takes(self, tensor: schema.TensorT) -> bool:
        """Whether a tensor is one of the weights, or a large constant of zeros and one other value."""
        data = self.model.buffers[tensor.buffer].data
        if tensor.type != schema.TensorType.FLOAT32 or data is None or len(data) < 4 * SMALLEST:
            return False
        return self._key_of(tensor) in self._turned or two_values(self._floats(tensor)) is not None

    def replace(self, subgraph: schema.SubGraphT, index: int) -> None:
        """Constant `index` becomes the output of a `DEQUANTIZE`, or a `FILL`, at the head of its subgraph."""
        tensor = subgraph.tensors[index]
        if not self._floats(tensor).any():
            self._fill_with_zeros(subgraph, index)
            return
        buffer, scales = self._integers(tensor)
        stored = schema.TensorT()
        stored.shape, stored.type, stored.buffer = tensor.shape, TYPES[self.bits], buffer
        stored.quantization = schema.QuantizationParametersT()
        stored.quantization.scale = scales
        stored.quantization.zeroPoint = np.zeros(len(scales), np.int64)
        last = len(tensor.shape) - 1
        first = len(scales) == 1 or self._turned[self._key_of(tensor)]
        stored.quantization.quantizedDimension = 0 if first else last
        subgraph.tensors.append(stored)
        operator = schema.OperatorT()
        operator.opcodeIndex = self._opcode(schema.BuiltinOperator.DEQUANTIZE, self._version())
        operator.inputs, operator.outputs = [len(subgraph.tensors) - 1], [index]
        subgraph.operators.insert(0, operator)
        tensor.buffer = 0

    def warn_of_missing(self, weights: list[np.ndarray]) -> None:
        """Say which weights the converter has changed, so that they stay float32."""
        missing = [w.shape for w in weights if not {_key(w), _key(turned(w))} & self._found]
        if missing:
            warnings.warn(
                f"{len(missing)} of {len(weights)} large weights are not in the file as the model has them, and "
                f"stay float32: those of shapes {missing[:5]}.",
                stacklevel=3,
            )

    def _floats(self, tensor: schema.TensorT) -> np.ndarray:
        return np.frombuffer(bytes(self.model.buffers[tensor.buffer].data), "<f4")

    def _key_of(self, tensor: schema.TensorT) -> bytes:
        return _key(self._floats(tensor))

    def _integers(self, tensor: schema.TensorT) -> tuple[int, np.ndarray]:
        """Buffer and scales of a constant."""
        name = self._key_of(tensor)
        if name not in self._turned:
            return self._kept((tensor.buffer, 0), lambda: two_values(self._floats(tensor)))
        self._found.add(name)
        first = self._turned[name]
        channels = int(tensor.shape[0 if first else -1]) if self.per_channel else 1

        def parts() -> tuple[np.ndarray, np.ndarray]:
            values = self._floats(tensor)
            columns = values.reshape(channels, -1).T if first else values.reshape(-1, channels)
            integers, scales = to_integers(columns, self.bits)
            return (integers.T if first else integers).ravel(), scales

        return self._kept((tensor.buffer, channels), parts)

    def _kept(self, key: tuple[int, int], parts: Callable[[], Any]) -> tuple[int, np.ndarray]:
        if key not in self._done:
            flat, scales = parts()
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(stored_bytes(flat, self.bits), np.uint8)
            self.model.buffers.append(buffer)
            self._done[key] = (len(self.model.buffers) - 1, scales)
        return self._done[key]

    def _fill_with_zeros(self, subgraph: schema.SubGraphT, index: int) -> None:
        """A constant of zeros is its shape and one zero."""
        tensor = subgraph.tensors[index]
        operator = schema.OperatorT()
        operator.opcodeIndex = self._opcode(schema.BuiltinOperator.FILL, 1)
        operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.FillOptions, schema.FillOptionsT()
        operator.inputs = [
            self._small_constant(subgraph, np.asarray(tensor.shape, "int32"), schema.TensorType.INT32),
            self._small_constant(subgraph, np.float32(0), schema.TensorType.FLOAT32),
        ]
        operator.outputs = [index]
        subgraph.operators.insert(0, operator)
        tensor.buffer = 0

    def _small_constant(self, subgraph: schema.SubGraphT, value: np.ndarray | np.float32, kind: int) -> int:
        buffer, tensor = schema.BufferT(), schema.TensorT()
        buffer.data = np.frombuffer(value.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor.shape, tensor.type, tensor.buffer = list(np.shape(value)), kind, len(self.model.buffers) - 1
        tensor.hasRank = True
        subgraph.tensors.append(tensor)
        return len(subgraph.tensors) - 1

    def _version(self) -> int:
        return 6 if self.bits == 4 else 5 if self.per_channel else 2

    def _opcode(self, operator: int, version: int) -> int:
        if operator not in self._opcodes:
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = operator
            code.version = version
            self.model.operatorCodes.append(code)
            self._opcodes[operator] = len(self.model.operatorCodes) - 1
        return self._opcodes[operator]


def two_values(values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Integers and scale that hold a constant of zeros and one other value exactly (an empty cache, a mask)."""
    other = values[np.argmax(np.abs(values))]
    if not np.isfinite(other) or not ((values == 0) | (values == other)).all():
        return None
    scale = np.array([abs(other) or 1.0], "float32")
    return np.sign(values).astype(np.int8), scale


def turned(weight: np.ndarray) -> np.ndarray:
    """A weight with its last axis, that of its channels, first."""
    return np.moveaxis(weight, -1, 0)


def is_rounded(weight: Any) -> bool:
    """Whether a weight is large enough to become integers: a vector or a small matrix is not worth its scales."""
    return len(weight.shape) >= 2 and math.prod(weight.shape) >= SMALLEST


def rounded(weight: np.ndarray, bits: int = 8, per_channel: bool = True) -> np.ndarray:
    """A weight as a file with integers has it."""
    if not is_rounded(weight):
        return weight
    columns = weight.reshape(-1, weight.shape[-1] if per_channel else 1)
    integers, scales = to_integers(columns, bits)
    return (integers * scales).reshape(weight.shape).astype("float32")


def to_integers(values: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric integers `(n, C)` int8 of columns `(n, C)`, and their scales `(C,)` float32."""
    largest = 2 ** (bits - 1) - 1
    scales = np.abs(values).max(axis=0).astype("float32") / largest
    scales = np.where(scales > 0, scales, 1.0).astype("float32")
    return np.clip(np.round(values / scales), -largest, largest).astype(np.int8), scales


def stored_bytes(integers: np.ndarray, bits: int) -> bytes:
    """Integers as a file holds them: of 4 bits two in a byte, the first in the lower half."""
    if bits == 8:
        return integers.tobytes()
    padded = np.append(integers, np.zeros(len(integers) % 2, np.int8)).astype(np.uint8) & 15
    return (padded[0::2] | (padded[1::2] << 4)).astype(np.uint8).tobytes()


def _key(weight: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(weight, "<f4").tobytes()).digest()
