"""What a LiteRT file's metadata says of the learner in it: enough to use the file without this package."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from metagpt_tf.export.device_signatures import DeviceShapes
from metagpt_tf.export.signatures import Exported
from metagpt_tf.export.state_mark import mark_of
from metagpt_tf.meta import MetaLearner

LICENCE = "Not stated: ask whoever gave you the file."
LIMITS = "Not stated. Shapes are fixed: K, batch and lengths are those of the signatures."


def about_file(
    exported: Exported, shapes: DeviceShapes, quantization: str, signatures: Mapping[str, Any]
) -> dict[str, Any]:
    """Plain values: the model's hash, its tokenizer, the state's size and scope, every signature's tensors."""
    learner = exported.learner
    if learner is None:
        raise ValueError("A LiteRT file that adapts is made of a MetaLearner.")
    return {
        "name": exported.model.name,
        "model": hash_of(learner),
        "mark": mark_of(learner),
        "scope": learner.layout.scope,
        "keep_zeros": learner.keep_zeros,
        "state_size": learner.layout.size,
        "k_shot": shapes.k_shot,
        "batch_size": shapes.batch_size,
        "quantization": quantization,
        "tokenizer": tokenizer_of(exported),
        "image": image_of(shapes),
        "signatures": {name: inputs_of(function) for name, function in signatures.items()},
        "outputs": {name: outputs_of(function) for name, function in signatures.items()},
        "licence": LICENCE,
        "limits": LIMITS,
    }


def hash_of(learner: MetaLearner) -> str:
    """SHA-256 of the learner's weights and scope, in hexadecimal."""
    digest = hashlib.sha256(learner.layout.scope.encode())
    for weight in learner.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def tokenizer_of(exported: Exported) -> dict[str, Any] | None:
    """How texts become ids: 0 PAD, 1 BOS, 2 EOS, 3 … 258 the bytes, then what each merge makes of two ids."""
    if not exported.is_generator:
        return None
    tokenizer = exported.model.tokenizer
    ids = {name: getattr(tokenizer, name) for name in ("pad_id", "bos_id", "eos_id", "vocabulary_size")}
    return {"class": type(tokenizer).__name__, **ids, **tokenizer.get_config()}


def image_of(shapes: DeviceShapes) -> dict[str, Any] | None:
    """How ids become an image, where the model draws."""
    if shapes.drawing is None:
        return None
    autoencoder = shapes.drawing.autoencoder
    return {
        "shape": list(autoencoder.image_shape),
        "codes": list(autoencoder.code_shape),
        "num_codes": autoencoder.num_codes,
        "first_id": shapes.drawing.first,
    }


def inputs_of(function: Any) -> dict[str, list[Any]]:
    """Name of each input, its type and its shape."""
    return {spec.name: [spec.dtype.name, list(spec.shape)] for spec in function.input_signature}


def outputs_of(function: Any) -> dict[str, list[Any]]:
    """Name of each output, its type and its shape."""
    found = function.get_concrete_function().structured_outputs
    return {name: [spec.dtype.name, list(spec.shape)] for name, spec in found.items()}
