"""Quantization: files of small integers that adapt, and integer files that answer."""

import os
from pathlib import Path
from typing import Any

import tensorflow as tf

from metagpt_tf.export import export_litert
from metagpt_tf.export.integer import INTEGER, export_integer
from metagpt_tf.export.litert import QUANTIZATIONS
from metagpt_tf.meta import MetaLearner
from metagpt_tf.registry import closest


def quantize(
    subject: Any,
    path: str | os.PathLike,
    quantization: str = "weight_int8",
    episodes: tf.data.Dataset | None = None,
    k_shot: int = 8,
    **options: Any,
) -> Path:
    """Write a LiteRT file of fewer bits.

    A file that adapts keeps its arithmetic in float32 and stores its weights in fewer bits, because gradients do not
    survive int8. A file of integer arithmetic (`"int8"`, `"int16x8"`) only answers.

    Args:
        subject: a compiled `MetaLearner`; for integer arithmetic also a built model.
        path: file to write.
        quantization: of a file that adapts, see `export_litert`; `"int8"`: activations and weights; `"int16x8"`:
            activations of 16 bits.
        episodes: for integer arithmetic: tasks whose examples show the ranges of activations.
        k_shot: K of a file that adapts.
        **options: of `export_litert` or `export_integer`.

    Returns:
        The path.

    Raises:
        TypeError, ValueError: an unknown quantization, no episodes where they are needed, what the exports refuse.

    Example:

    >>> from metagpt_tf.models import MetaGPT
    >>> learner = MetaLearner(MetaGPT(source_length=8, target_length=8, dim=16, num_heads=2, num_layers=1), "maml")
    >>> learner.compile("adam")
    >>> quantize(learner, "small.tflite", "weight_int4", k_shot=4)  # doctest: +SKIP
    """
    if quantization in QUANTIZATIONS:
        return export_litert(subject, path, k_shot, quantization=quantization, **options)
    if quantization not in INTEGER:
        known = (*QUANTIZATIONS, *INTEGER)
        raise ValueError(f"Unknown quantization {quantization!r}. {closest(quantization, known)}")
    if episodes is None:
        raise ValueError(f"{quantization!r} needs episodes: their examples show which values activations take.")
    model = subject.model if isinstance(subject, MetaLearner) else subject
    return export_integer(model, path, episodes, quantization, **options)
