"""Quantization: files of small integers that adapt, integer files that answer, and training that expects them."""

import os
from pathlib import Path
from typing import Any

import tensorflow as tf

from metagpt_tf.compression.copies import compiled_like, copy_of
from metagpt_tf.compression.recovery import recover
from metagpt_tf.export import export_litert
from metagpt_tf.export.integer import INTEGER, export_integer
from metagpt_tf.export.litert import QUANTIZATIONS
from metagpt_tf.export.weight_quantization import is_rounded, rounded
from metagpt_tf.meta import MetaLearner
from metagpt_tf.meta.outer import TaskResult
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


def train_for_quantization(
    learner: MetaLearner,
    episodes: tf.data.Dataset,
    bits: int = 8,
    steps: int | None = None,
    per_channel: bool = True,
    optimizer: Any = None,
    backup: str | os.PathLike | None = None,
    verbose: Any = 0,
) -> MetaLearner:
    """Meta-train with rounded weights, and return a copy whose weights are what a file of so many bits stores.

    Quantization-aware training: each task starts at `q(θ)`, the nearest weights that integers can hold, and the
    gradient passes the rounding unchanged (straight-through), as in tfmot's `LastValueQuantizer`. The steps of a task
    stay float, as they are in the file. A pruned learner loses those of its weights that round to zero.

    Args:
        learner: compiled; it stays as it is.
        episodes: training tasks.
        bits: 8 or 4.
        steps: training steps; `None` for one pass through finite data.
        per_channel: one scale for each channel of the last axis, or for each matrix.
        optimizer: for this training; `None` for a fresh one like the learner's.
        backup: directory that makes the training resumable.
        verbose: as in `fit`.

    Returns:
        A `MetaLearner`; export it with `"weight_int8"` or `"weight_int4"`.

    Raises:
        ValueError: other bits, endless data without steps.

    Reference: Jacob et al., 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference".
    """
    if bits not in (8, 4):
        raise ValueError(f"Weights become integers of 8 or 4 bits, received bits={bits!r}.")
    copied = copy_of(learner, optimizer)
    aware = _RoundingLearner(copied, bits, per_channel)
    compiled_like(aware, learner, copied.optimizer)
    recover(aware, episodes, steps, (), backup, verbose)
    for variable in copied.model.trainable_variables:
        variable.assign(rounded(variable.numpy(), bits, per_channel))
    return copied


class _RoundingLearner(MetaLearner):
    """A learner whose tasks begin at rounded weights."""

    def __init__(self, learner: MetaLearner, bits: int, per_channel: bool) -> None:
        options = (learner.task_parallelism, learner.rematerialize, learner.keep_zeros)
        super().__init__(learner.model, learner.algorithm, *options)
        self.bits, self.per_channel = bits, per_channel

    def _run_task(self, weights: list[Any], episode: Any, training: bool) -> TaskResult:
        own = weights[self._trainable_count :]  # the algorithm's: rates are not rounded
        weights = [self._rounded(weight) for weight in weights[: self._trainable_count]]
        return super()._run_task([*weights, *own], episode, training)

    def _rounded(self, weight: tf.Tensor) -> tf.Tensor:
        return straight_through(weight, self.bits, self.per_channel) if is_rounded(weight) else weight


def straight_through(weight: tf.Tensor, bits: int, per_channel: bool = True) -> tf.Tensor:
    """The value of `rounded(weight)`, with the gradient of `weight`."""
    axes = list(range(len(weight.shape) - 1)) if per_channel else None
    largest = tf.stop_gradient(tf.reduce_max(tf.abs(weight), axis=axes))
    largest = tf.where(largest > 0, largest, tf.ones_like(largest))
    steps = float(2 ** (bits - 1) - 1)
    value = tf.round(weight * (steps / largest)) * (largest / steps)
    return weight + tf.stop_gradient(value - weight)
