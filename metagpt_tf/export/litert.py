"""LiteRT export: one file that generates and keeps learning on a device."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.export.about import about_file
from metagpt_tf.export.ballast import operators, with_about, without_ballast
from metagpt_tf.export.device_signatures import DeviceShapes, device_signatures
from metagpt_tf.export.signatures import Exported
from metagpt_tf.export.weight_quantization import quantized_weights, rounded
from metagpt_tf.files import written_aside
from metagpt_tf.layers import shared_weight_layout
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import Drawing, ImageAutoencoder
from metagpt_tf.registry import closest

# What the converter is told, and what is done to its file; see `export_litert`.
QUANTIZATIONS: dict[str, dict[str, Any]] = {
    "float32": {},
    "float16": {"types": [tf.float16]},
    "dynamic_int8": {"types": [], "fast_answers": True},
    "weight_int8": {"bits": 8},
    "weight_int8_per_tensor": {"bits": 8, "per_channel": False},
    "weight_int4": {"bits": 4},
}


def as_stored(weight: np.ndarray, quantization: str) -> np.ndarray:
    """A weight as a file of this quantization has it where a task begins.

    Args:
        weight: of the model.
        quantization: see `export_litert`; the converter's `"dynamic_int8"` leaves what a task adapts as it is.
    """
    how = QUANTIZATIONS[quantization]
    if "bits" in how:
        return rounded(weight, **how)
    return weight.astype("float16").astype("float32") if tf.float16 in how.get("types", ()) else weight


def first_state(learner: MetaLearner, quantization: str) -> np.ndarray:
    """The state `(P,)` that a file of this quantization begins with: its weights as they are stored."""
    layout = learner.layout
    stored = [tf.constant(as_stored(v.numpy(), quantization)) for v in layout.variables]
    return np.asarray(layout.pack(stored))


def export_litert(
    learner: MetaLearner,
    path: str | os.PathLike,
    k_shot: int = 8,
    batch_size: int = 1,
    target: tf.TensorSpec | None = None,
    quantization: str = "float32",
    with_loss: bool = False,
    extras: Sequence[str] = (),
    autoencoder: ImageAutoencoder | None = None,
    source_length: int | None = None,
    target_length: int | None = None,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Write one `.tflite` file with the signatures `adapt` and `generate`, builtin operations only.

    `adapt(support_x, support_y) -> state` runs the learner's inner steps inside the file; `generate(source, state) ->
    output` (greedy ids) uses the state; for a model that generates no text it is `predict(x, state) -> output`.
    Shapes are static: K, batch and lengths are fixed here. Each weight is stored once. The file says in its metadata
    what it is, and holds its own checksum (`seal.read_about`).

    Args:
        learner: a compiled `MetaLearner`; its algorithm's scope decides what the state is.
        path: file to write, by custom ending in `.tflite`.
        k_shot: K, examples in a support set.
        batch_size: B, prompts generated at once.
        target: as in `export_saved_model`.
        quantization: how weights are stored. `"float32"`; `"float16"`; `"dynamic_int8"`, what the converter makes:
            products with int8 constants (answers have a copy of their own, which is twice as fast), while weights that
            a task adapts stay float; `"weight_int8"`, `"weight_int4"`: integers whatever reads them, made float32 when
            the file is loaded, one scale for each channel; `"weight_int8_per_tensor"`: one scale for each matrix. A
            state stays float32 in all of them.
        with_loss: add the signature `loss(x, y, state) -> loss`, of K examples, to measure a state where it is used.
        extras: further signatures. `"sample"`: `sample(source, state, noise, temperature, top_k, top_p) -> output`
            with Gumbel noise `(B, T, V)` that the caller draws; `"score"`: the loss of each of K examples; `"stream"`:
            `start` and `step`, a token at a time; `"draw"`: `draw(output) -> image, whole` and `encode(image) ->
            target`, of a model that draws. `docs/deployment.md` has their tensors.
        autoencoder: whose codes the model writes, for `"draw"`.
        source_length, target_length: of this file, shorter than the model's own.
        about: what else the metadata is to say (`name`, `licence`, `limits`); plain values.

    Returns:
        The path.

    Raises:
        TypeError: not a `MetaLearner`.
        ValueError: sizes below 1, an unknown quantization or extra, or an operation that has no builtin form.
        OSError: the path cannot be written; nothing half-written is left.
    """
    _check(learner, quantization)
    names = (*extras, *(["loss"] if with_loss and "loss" not in extras else []))
    stored = lambda weight: as_stored(weight, quantization)  # noqa: E731
    exported = Exported(learner, "float32", stored, source_length, target_length)
    drawing = None if autoencoder is None else Drawing(autoencoder, exported.model)
    shapes = DeviceShapes(k_shot, batch_size, target, names, drawing)
    shapes.check(exported.is_generator)
    with written_aside(Path(path)) as aside:
        aside.write_bytes(convert(exported, shapes, quantization, about or {}))
    return Path(path)


def _check(learner: Any, quantization: str) -> None:
    if not isinstance(learner, MetaLearner):
        raise TypeError(f"export_litert takes a MetaLearner (the file must adapt), received {type(learner).__name__}.")
    if quantization not in QUANTIZATIONS:
        raise ValueError(f"Unknown quantization {quantization!r}. {closest(quantization, QUANTIZATIONS)}")


def convert(exported: Exported, shapes: DeviceShapes, quantization: str, about: Mapping[str, Any]) -> bytes:
    """The LiteRT file's content."""
    how = QUANTIZATIONS[quantization]
    signatures = functions = device_signatures(exported, shapes)
    # The converter freezes plain variables tracked by a module; the ones of a Keras model would stay variables and
    # fail.
    module = tf.Module()
    drawn = [] if shapes.drawing is None else [v.value for v in shapes.drawing.autoencoder.variables]
    module.exported_variables = [*exported.variables(), *drawn]
    for name, function in signatures.items():
        setattr(module, name, function)
    if how.get("fast_answers") or _all_in_state(exported):  # traced here, not in the layout that shares weights
        answers = {name: f.get_concrete_function() for name, f in signatures.items() if name != "adapt"}
        signatures = {**signatures, **answers}
    with tempfile.TemporaryDirectory() as folder:
        with shared_weight_layout():
            tf.saved_model.save(module, folder, signatures=signatures)
        content = _converted(folder, signatures, how)
    if "bits" in how:
        weights = [v.numpy() for v in exported.model.variables if v.dtype == "float32"]
        content = quantized_weights(content, weights, **how)
    return with_about(content, {**about_file(exported, shapes, quantization, functions), **about})


def _all_in_state(exported: Exported) -> bool:
    """Whether nearly all weights come with the state, so that answers and `adapt` have none to share."""
    return exported.layout.size > 0.9 * exported.model.count_params()


def _converted(folder: str, signatures: Mapping[str, Any], how: dict[str, Any]) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if "types" in how:
        converter.optimizations, converter.target_spec.supported_types = [tf.lite.Optimize.DEFAULT], how["types"]
    try:
        content = without_ballast(converter.convert())
    except Exception as error:  # the converter's own exception type is private
        raise ValueError(
            f"This model does not convert to LiteRT with builtin operations: {_first_line(error)}"
        ) from error
    if strange := [name for name in operators(content) if name.startswith("CUSTOM")]:
        raise ValueError(f"The converter left operations that are not builtin: {', '.join(strange)}.")
    return content


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0][:400] if lines else type(error).__name__


def integer_converter(folder: str, name: str, examples: Any, quantization: str) -> Any:
    """A converter of one signature of a SavedModel to integer arithmetic; `examples` yields `(name, inputs)`."""
    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[name])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = examples
    if quantization == "int16x8":
        wide = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [wide, tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter
