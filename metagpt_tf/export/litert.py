"""LiteRT export: one file that generates and keeps learning on a device."""

import os
import tempfile
from pathlib import Path
from typing import Any

import flatbuffers
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from metagpt_tf.export.signatures import Exported, traced
from metagpt_tf.files import written_aside
from metagpt_tf.layers import shared_weight_layout
from metagpt_tf.meta import MetaLearner

FILE_IDENTIFIER = b"TFL3"


def export_litert(
    learner: MetaLearner,
    path: str | os.PathLike,
    k_shot: int = 8,
    batch_size: int = 1,
    target: tf.TensorSpec | None = None,
) -> Path:
    """Write one `.tflite` file with the signatures `adapt` and `generate`, builtin operations only.

    `adapt(support_x, support_y) -> state` runs the learner's inner steps inside the file; `generate(source, state) ->
    output` (greedy ids) uses the state; for a model that generates no text it is `predict(x, state) -> output`.
    Shapes are static: K, batch and lengths are fixed here. Each weight is stored once.

    Args:
        learner: a compiled `MetaLearner`; its algorithm's scope decides what the state is.
        path: file to write, by custom ending in `.tflite`.
        k_shot: K, examples in a support set.
        batch_size: prompts generated at once.
        target: as in `export_saved_model`.

    Returns:
        The path.

    Raises:
        TypeError: not a `MetaLearner`.
        ValueError: sizes below 1, or an operation that has no builtin form (named in the message).
        OSError: the path cannot be written; nothing half-written is left.
    """
    if not isinstance(learner, MetaLearner):
        raise TypeError(f"export_litert takes a MetaLearner (the file must adapt), received {type(learner).__name__}.")
    if k_shot < 1 or batch_size < 1:
        raise ValueError(f"k_shot and batch_size must be >= 1, received {k_shot} and {batch_size}.")
    content = convert(Exported(learner), k_shot, batch_size, target)
    final = Path(path)
    with written_aside(final) as aside:
        aside.write_bytes(content)
    return final


def convert(exported: Exported, k_shot: int, batch_size: int, target: tf.TensorSpec | None = None) -> bytes:
    """The LiteRT file's content."""
    signatures = litert_signatures(exported, k_shot, batch_size, target)
    # The converter freezes plain variables tracked by a module; the ones of a Keras model would stay variables and
    # fail.
    module = tf.Module()
    module.exported_variables = exported.variables()
    for name, function in signatures.items():
        setattr(module, name, function)
    with tempfile.TemporaryDirectory() as folder:
        with shared_weight_layout():
            tf.saved_model.save(module, folder, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            return without_ballast(converter.convert())
        except Exception as error:  # the converter's own exception type is private
            raise ValueError(
                f"This model does not convert to LiteRT with builtin operations: {_first_line(error)}"
            ) from error


def litert_signatures(exported: Exported, k_shot: int, batch_size: int, target: tf.TensorSpec | None) -> dict[str, Any]:
    """`adapt` and `generate` (or `predict`) with static shapes."""
    state = tf.TensorSpec((exported.layout.size,), tf.float32, name="state")
    support_x, support_y = exported.input_spec(k_shot, "support_x"), exported.target_spec(k_shot, "support_y", target)
    functions = {
        "adapt": traced(
            lambda support_x, support_y: {"state": exported.adapt(support_x, support_y)}, support_x, support_y
        )
    }
    if exported.is_generator:
        functions["generate"] = traced(
            lambda source, state: {"output": exported.generate(source, state)},
            exported.input_spec(batch_size, "source"),
            state,
        )
    else:
        functions["predict"] = traced(
            lambda x, state: {"output": exported.predict(x, state)}, exported.input_spec(batch_size, "x"), state
        )
    return functions


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


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0][:400] if lines else type(error).__name__
