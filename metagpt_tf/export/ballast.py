"""What nobody reads of a LiteRT file, taken out."""

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

FILE_IDENTIFIER = b"TFL3"


def without_ballast(content: bytes) -> bytes:
    """Drop what nobody reads of each inner tensor: its name, and its empty quantization. Signatures keep their names.

    In a small file that is half of what is there beside the weights.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for tensor in (tensor for subgraph in model.subgraphs for tensor in subgraph.tensors):
        tensor.name = None
        if tensor.quantization is not None and tensor.quantization.scale is None:
            tensor.quantization = None
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())
