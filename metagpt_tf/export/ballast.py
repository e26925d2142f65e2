"""What nobody reads of a LiteRT file, taken out, and what is in it twice, written once."""

import json
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from metagpt_tf.export.seal import NAME, described, sealed

FILE_IDENTIFIER = b"TFL3"
CALLS = ("condSubgraphIndex", "bodySubgraphIndex", "thenSubgraphIndex", "elseSubgraphIndex", "initSubgraphIndex")


class SharingBuilder(flatbuffers.Builder):
    """Writes each vector of numbers once: shapes, operands and scales that are equal share their place."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> Any:
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]


def packed(model: Any) -> bytes:
    """The bytes of a file's model, with the digest of what they are now."""
    builder = SharingBuilder(1024)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return sealed(bytes(builder.Output()))


def without_ballast(content: bytes) -> bytes:
    """Drop what nobody reads of each inner tensor: its name, its empty quantization and the empty buffer of its own.

    Signatures keep their names. In a small file that is more than half of what is there beside the weights.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for tensor in all_tensors(model):
        tensor.name = None
        if tensor.quantization is not None and tensor.quantization.scale is None:
            tensor.quantization = None
    drop_unread_buffers(model)
    return packed(model)


def with_about(content: bytes, about: dict[str, Any]) -> bytes:
    """The file with what is to be said of it in its metadata, see `seal`."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    metadata, buffer = schema.MetadataT(), schema.BufferT()
    buffer.data = np.frombuffer(described(about), np.uint8)
    model.buffers.append(buffer)
    metadata.name, metadata.buffer = NAME, len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), metadata]
    return packed(model)


def operators(content: bytes) -> list[str]:
    """Names of the operations in a file, in alphabetical order; what is not builtin as `CUSTOM:name`."""
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    codes = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0)).operatorCodes
    known = [(names[max(code.builtinCode, code.deprecatedBuiltinCode)], code.customCode) for code in codes]
    return sorted(f"CUSTOM:{custom.decode()}" if custom else name for name, custom in known)


def all_tensors(model: Any) -> list[Any]:
    """The tensors of every subgraph."""
    return [tensor for subgraph in model.subgraphs for tensor in subgraph.tensors]


def drop_unread_buffers(model: Any) -> None:
    """Keep what tensors and metadata read, and one empty buffer, the first, which by the format stands for no data."""
    read = {tensor.buffer for tensor in all_tensors(model)} | {m.buffer for m in model.metadata or []}
    kept = [0, *(i for i, buffer in enumerate(model.buffers) if i and i in read and buffer.data is not None)]
    places = {old: new for new, old in enumerate(kept)}
    model.buffers = [model.buffers[i] for i in kept]
    for tensor in all_tensors(model):
        tensor.buffer = places.get(tensor.buffer, 0)
    for metadata in model.metadata or []:
        metadata.buffer = places.get(metadata.buffer, 0)


def without_signature(content: bytes, name: str) -> bytes:
    """The file without a signature, its graph and what only that graph reads, as if it had never been asked for.

    Args:
        content: of the file.
        name: of the signature; another one must stay.

    Raises:
        ValueError: no such signature.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    names = [signature.signatureKey.decode() for signature in model.signatureDefs]
    if name not in names:
        raise ValueError(f"The file has no signature {name!r}, but {', '.join(names)}.")
    model.signatureDefs = [s for s, key in zip(model.signatureDefs, names, strict=True) if key != name]
    needed = _reached(model, {signature.subgraphIndex for signature in model.signatureDefs})
    for index, subgraph in enumerate(model.subgraphs):
        if index not in needed:  # an empty one in its place: the others keep their numbers
            subgraph.tensors, subgraph.operators, subgraph.inputs, subgraph.outputs = [], [], [], []
    for metadata in model.metadata or []:
        if metadata.name in (NAME, NAME.encode()):
            _forget(model.buffers[metadata.buffer], name)
    drop_unread_buffers(model)
    return packed(model)


def _forget(buffer: Any, name: str) -> None:
    """Take a signature out of what the file says of itself."""
    about = json.loads(bytes(buffer.data))
    del about["signatures"][name], about["outputs"][name]
    buffer.data = np.frombuffer(described({k: v for k, v in about.items() if k not in (NAME, "sha256")}), np.uint8)


def _reached(model: Any, subgraphs: set[int]) -> set[int]:
    """These subgraphs and those that their loops and branches run."""
    found: set[int] = set()
    waiting = list(subgraphs)
    while waiting:
        index = waiting.pop()
        if index not in found:
            found.add(index)
            options = [operator.builtinOptions for operator in model.subgraphs[index].operators]
            waiting += [getattr(o, call) for o in options for call in CALLS if hasattr(o, call)]
    return found
