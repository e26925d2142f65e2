"""LiteRT files of integer arithmetic: they answer and do not adapt."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.export.ballast import without_ballast
from metagpt_tf.export.litert import integer_converter
from metagpt_tf.export.signatures import Exported, traced
from metagpt_tf.files import written_aside

INTEGER = ("int8", "int16x8")


def export_integer(
    model: Any, path: str | os.PathLike, episodes: tf.data.Dataset, quantization: str = "int8", batch_size: int = 1
) -> Path:
    """Write a LiteRT file whose products are of integers, with one signature.

    `score(source, target) -> logits` of a text model (teacher forcing), `predict(x) -> output` of any other. Ranges of
    activations come from the examples of episodes. What has a loop in its graph, generating and adapting, cannot be
    calibrated: TensorFlow 2.21's converter ends the process there, so neither is in the file.

    Args:
        model: a built model.
        path: file to write.
        episodes: a finite dataset; the examples of each support set are run once.
        quantization: `"int8"`, or `"int16x8"` (activations of 16 bits).
        batch_size: rows of a call.

    Returns:
        The path.

    Raises:
        ValueError: not built, an unknown quantization, no examples, or a model that does not convert.
    """
    if quantization not in INTEGER:
        raise ValueError(f"quantization must be one of {', '.join(INTEGER)}, received {quantization!r}.")
    exported = Exported(model)
    name, function, specs = _signature(exported, batch_size)
    rows = _rows(episodes, exported.is_generator)
    module = tf.Module()
    module.exported_variables = exported.variables()
    setattr(module, name, function)

    def examples() -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        for first in range(0, len(rows[0]) - batch_size + 1, batch_size):
            yield name, {spec.name: part[first : first + batch_size] for spec, part in zip(specs, rows, strict=True)}

    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={name: function})
        converter = integer_converter(folder, name, examples, quantization)
        try:
            with warnings.catch_warnings():  # it calibrates with an interpreter that says it will be removed
                warnings.filterwarnings("ignore", r"\s*Warning: tf.lite.Interpreter is deprecated")
                content = without_ballast(converter.convert())
        except Exception as error:  # the converter's own exception type is private
            raise ValueError(f"This model does not convert to {quantization}: {str(error)[:400]}") from error
    final = Path(path)
    with written_aside(final) as aside:
        aside.write_bytes(content)
    return final


def _signature(exported: Exported, rows: int) -> tuple[str, Any, list[tf.TensorSpec]]:
    model = exported.model
    if exported.is_generator:
        specs = [exported.input_spec(rows, "source"), exported.target_spec(rows, "target")]
        score = lambda source, target: {"logits": model(model.training_inputs(source, target), training=False)}  # noqa: E731
        return "score", traced(score, *specs), specs
    specs = [exported.input_spec(rows, "x")]
    return "predict", traced(lambda x: {"output": exported.predict(x)}, *specs), specs


def _rows(episodes: tf.data.Dataset, with_targets: bool) -> list[np.ndarray]:
    """The support examples of all episodes: inputs, and targets where the model reads them."""
    batches = [[np.asarray(part) for part in tuple(batch)[: 2 if with_targets else 1]] for batch in episodes]
    if not batches:
        raise ValueError("Integer arithmetic needs examples to see the ranges of activations; received no episodes.")
    return [
        np.concatenate([part.reshape(-1, *part.shape[2:]) for part in parts]) for parts in zip(*batches, strict=True)
    ]
