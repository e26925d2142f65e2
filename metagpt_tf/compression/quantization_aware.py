"""Training that expects rounding: of weights for files that adapt, of activations too for integer arithmetic."""

import contextlib
import os
from typing import Any

import tensorflow as tf

from metagpt_tf.compression.activation_ranges import ActivationRanges, straight_through
from metagpt_tf.compression.copies import compiled_like, copy_of
from metagpt_tf.compression.recovery import recover
from metagpt_tf.export.weight_quantization import is_rounded, rounded
from metagpt_tf.layers.projection import projection_arithmetic
from metagpt_tf.meta import MetaLearner
from metagpt_tf.meta.outer import TaskResult
from metagpt_tf.tasks import pooled_examples


def train_for_quantization(
    subject: Any,
    data: tf.data.Dataset,
    bits: int = 8,
    steps: int | None = None,
    per_channel: bool = True,
    optimizer: Any = None,
    backup: str | os.PathLike | None = None,
    verbose: Any = 0,
    activations: bool | None = None,
) -> Any:
    """Train with rounded weights, and return a copy whose weights are what a file of so many bits stores.

    Quantization-aware training: what is computed with are `q(w)`, the nearest weights that integers can hold, and the
    gradient passes the rounding unchanged (straight-through), with values as in tfmot's `LastValueQuantizer`. The tasks
    of a learner *start* at rounded weights; their steps stay float, as in a file that adapts. Of a model the matrices
    of projections are rounded, embeddings are not. With `activations` every projection also reads and returns rounded
    values, in both loops of a learner, for a file of integer arithmetic (`"int8"`), in ranges that tfmot's
    `AllValuesQuantizer` finds in the first batches. A pruned model loses those of its weights that round to zero.

    Args:
        subject: a compiled `MetaLearner`, or a built and compiled model of `layers.Projection`; it stays as it is.
        data: what its `fit` takes.
        bits: of weights, 8 or 4; activations have 8.
        steps: training steps; `None` for one pass through finite data.
        per_channel: one scale for each channel of the last axis, or for each matrix.
        optimizer: for this training; `None` for a fresh one like the subject's.
        backup: directory that makes the training resumable.
        verbose: as in `fit`.
        activations: whether to round activations; `None`: of a model yes, of a learner no.

    Returns:
        A copy. Export a learner with `"weight_int8"` or `"weight_int4"`, what has rounded activations with `"int8"`.

    Raises:
        ValueError: other bits, endless data without steps, a model without projections, or one whose activations are
            to stay.
        RuntimeError: nothing was rounded, since `tf.distribute` runs replicas in other threads.

    Reference: Jacob et al., 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference".
    """
    is_learner = isinstance(subject, MetaLearner)
    _check(bits, is_learner, activations)
    copied = copy_of(subject, optimizer)
    model, aware, examples = copied, copied, data
    if is_learner:
        model, examples = copied.model, pooled_examples(data)
        aware = compiled_like(_RoundingLearner(copied, bits, per_channel), subject, copied.optimizer)
    ranges = None
    if activations or not is_learner:
        ranges = ActivationRanges(model, examples, bits, per_channel, weights=not is_learner)
    with projection_arithmetic(ranges) if ranges else contextlib.nullcontext():
        recover(aware, data, steps, (), backup, verbose)
    if ranges:
        ranges.check_used()
    chosen = [v for v in model.trainable_variables if is_learner or (ranges and v.path in ranges.ranges)]
    for variable in chosen:
        variable.assign(rounded(variable.numpy(), bits, per_channel))
    return copied if is_learner else compiled_like(copied, subject, optimizer)  # a new graph, which rounds nothing


def _check(bits: int, is_learner: bool, activations: bool | None) -> None:
    if bits not in (8, 4):
        raise ValueError(f"Weights become integers of 8 or 4 bits, received bits={bits!r}.")
    if activations is False and not is_learner:
        raise ValueError("A model trains for integer arithmetic, which rounds activations; received activations=False.")


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
