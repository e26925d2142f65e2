"""Distillation: a small model learns from a large one; a small learner from a large one that has adapted.

Axes: Q query, V classes or vocabulary.
"""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from metagpt_tf.compression.copies import copy_of
from metagpt_tf.compression.recovery import recover
from metagpt_tf.meta import MetaLearner
from metagpt_tf.meta.episodes import as_episode
from metagpt_tf.meta.outer import TaskResult, run_task
from metagpt_tf.meta.rematerialize import recomputed_steps
from metagpt_tf.meta.task import TaskModel
from metagpt_tf.models import MetaGPT


def distill(
    teacher: Any,
    student: Any,
    data: tf.data.Dataset,
    steps: int | None = None,
    temperature: float = 2.0,
    weight: float = 0.5,
    losses: Any = None,
    optimizer: Any = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    backup: str | os.PathLike | None = None,
    verbose: Any = 0,
    plain_steps: int = 0,
    feature_weight: float = 0.0,
) -> Any:
    """A copy of the student that has learned from the teacher.

    Of two learners: `(1 − w) L_query + w T² KL(softmax(t / T) ‖ softmax(s / T))`, with t the query logits of the
    teacher *adapted to the task* and s those of the student after its own inner steps, so that it learns to adapt as
    the teacher does. With `feature_weight` f the encoders of two `MetaGPT` are compared as well: `+ f · mean (e_s −
    e_t)²` over the tokens that are read. Of two models: `keras.distillation.Distiller`.

    Args:
        teacher: a compiled `MetaLearner`, or a built model; it stays as it is.
        student: likewise, of as many outputs; compiled. It stays as it is.
        data: episodes for learners, batches `(x, y)` for models.
        steps: training steps; `None` for one pass through finite data.
        temperature: T, above 0.
        weight: w in [0, 1], share of the teacher's word.
        losses: for models, `keras.distillation` losses in place of `LogitsDistillation(temperature)`, such as
            `FeatureDistillation`; for learners `None`.
        optimizer: for this training; `None` for a fresh one like the student's.
        callbacks: more callbacks of `fit`.
        backup: directory that makes the training resumable.
        verbose: as in `fit`.
        plain_steps: of a student that is a learner: steps of plain training without a teacher that come first.
        feature_weight: f, for learners round a `MetaGPT` of one `dim` (`shrink` keeps it).

    Returns:
        The trained copy of the student, a model or a learner as the student is.

    Raises:
        TypeError: a learner and a model.
        ValueError: temperature or weights out of range, losses for learners, features of models that have none or of
            different sizes, not compiled.

    Reference: Hinton, Vinyals & Dean, 2015, "Distilling the Knowledge in a Neural Network".
    """
    _check(teacher, student, temperature, weight, losses)
    _check_features(teacher, student, feature_weight)
    options = {"steps": steps, "callbacks": callbacks, "backup": backup, "verbose": verbose}
    copied = copy_of(student, optimizer)
    if not isinstance(student, MetaLearner):
        if plain_steps:
            raise ValueError(f"plain_steps are for learners: all steps of a model are plain, received {plain_steps}.")
        losses = losses or keras.distillation.LogitsDistillation(temperature=temperature)
        _distill_model(teacher, copied, data, losses, weight, options)
        return copied
    recover(_pupil(teacher, copied, temperature, weight, feature_weight), data, plain_steps=plain_steps, **options)
    return copied


def _pupil(
    teacher: MetaLearner, student: MetaLearner, temperature: float, weight: float, feature_weight: float
) -> "DistillingLearner":
    """A learner that trains the student's own weights with its own optimizer."""
    pupil = DistillingLearner(
        student.model,
        teacher,
        student.algorithm,
        temperature,
        weight,
        feature_weight,
        task_parallelism=student.task_parallelism,
        rematerialize=student.rematerialize,
        keep_zeros=student.keep_zeros,
    )
    pupil.compile(student.optimizer, student.task_loss)
    return pupil


def _check(teacher: Any, student: Any, temperature: float, weight: float, losses: Any) -> None:
    if isinstance(teacher, MetaLearner) != isinstance(student, MetaLearner):
        names = " and ".join(type(part).__name__ for part in (teacher, student))
        raise TypeError(f"Teacher and student must both be a MetaLearner, or both a model; received {names}.")
    if not temperature > 0 or not 0 <= weight <= 1:
        raise ValueError(f"Expected temperature > 0 and weight in [0, 1], received {temperature!r} and {weight!r}.")
    if losses is not None and isinstance(student, MetaLearner):
        raise ValueError("losses are for two models; two learners compare their logits.")


def _check_features(teacher: Any, student: Any, feature_weight: float) -> None:
    if not feature_weight >= 0:
        raise ValueError(f"Expected feature_weight >= 0, received {feature_weight!r}.")
    models: list[Any] = [getattr(part, "model", None) for part in (teacher, student)]
    if feature_weight and not all(isinstance(model, MetaGPT) for model in models):
        raise ValueError(
            f"feature_weight={feature_weight} compares the encoders of two learners round a MetaGPT; received "
            f"{type(models[0]).__name__} and {type(models[1]).__name__}. Of functional models: "
            "losses=keras.distillation.FeatureDistillation(...)."
        )
    if feature_weight and models[0].dim != models[1].dim:
        raise ValueError(
            f"Features are compared number by number: the teacher has dim={models[0].dim}, the student "
            f"dim={models[1].dim}. Make the student with shrink(teacher, ...), which keeps dim."
        )


def _distill_model(teacher: Any, student: Any, data: Any, losses: Any, weight: float, options: dict[str, Any]) -> None:
    frozen = type(teacher).from_config(teacher.get_config())  # the Distiller freezes its teacher for good
    frozen.set_weights(teacher.get_weights())
    distiller = keras.distillation.Distiller(frozen, student, losses, student_loss_weight=1.0 - weight)
    if hasattr(student, "training_inputs"):
        data = data.map(lambda x, y: (student.training_inputs(x, y), y))
    distiller.compile(student.optimizer, loss=student.loss)
    recover(distiller, data, **options)


class DistillingLearner(MetaLearner):
    """A learner whose query loss also asks how a teacher, adapted to the same task, would answer; see `distill`.

    Args:
        model: the student's.
        teacher: a compiled `MetaLearner`; its outputs are logits over as many classes.
        algorithm: the student's.
        temperature: T.
        weight: w, share of the teacher's word.
        feature_weight: f, of the difference of the encoders.
        **kwargs: as in `MetaLearner`.
    """

    teacher: MetaLearner

    def __init__(
        self,
        model: keras.Model,
        teacher: MetaLearner,
        algorithm: Any,
        temperature: float = 2.0,
        weight: float = 0.5,
        feature_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, algorithm, **kwargs)
        object.__setattr__(self, "teacher", teacher)  # past Keras, which would take the teacher's weights for ours
        self.temperature, self.weight, self.feature_weight = temperature, weight, feature_weight

    def _run_task(self, weights: list[Any], episode: Any, training: bool) -> TaskResult:
        if not training:
            return super()._run_task(weights, episode, training)
        fields = as_episode(episode)
        logits, features = adapted_answers(self.teacher, fields, bool(self.feature_weight))
        shares = (self.temperature, self.weight, self.feature_weight)
        lesson = Lesson(fields.query_x, logits, features, *shares)
        own = weights[: self._trainable_count]
        task = TaughtTask(lesson, self.model, self.task_loss, self.layout, own, training)
        recomputed = recomputed_steps(self.algorithm, self.rematerialize)
        with self._algorithm_scope(weights), recomputed:
            return run_task(task, self.algorithm, fields, bool(self._learner_metrics.given))


class Lesson(NamedTuple):
    """What a teacher says of a query set, and how much that counts."""

    query_x: Any
    logits: tf.Tensor
    features: tf.Tensor | None
    temperature: float
    weight: float
    feature_weight: float


class TaughtTask(TaskModel):
    """A task whose query loss is partly the teacher's."""

    def __init__(self, lesson: Lesson, *task: Any) -> None:
        super().__init__(*task)
        self._lesson = lesson

    def evaluate(self, fast: Any, x: Any, y: Any) -> tuple[tf.Tensor, Any]:
        loss, outputs = super().evaluate(fast, x, y)
        lesson = self._lesson
        if tf.nest.flatten(x)[0] is not tf.nest.flatten(lesson.query_x)[0]:  # the support set: no teacher there
            return loss, outputs
        padding = getattr(self.loss, "pad_id", None)
        mask = None if padding is None else tf.not_equal(y, padding)
        soft = soft_loss(lesson.logits, outputs, lesson.temperature, mask)
        loss = (1.0 - lesson.weight) * loss + lesson.weight * soft
        if lesson.features is not None:
            loss += lesson.feature_weight * _feature_loss(lesson.features, *encoded(self, fast, x))
        return loss, outputs


def adapted_answers(teacher: MetaLearner, episode: Any, with_features: bool = False) -> tuple[tf.Tensor, Any]:
    """What the teacher answers to the query set `(Q, …, V)` once it has adapted to the support set.

    And, if asked for, what its encoder makes of it `(Q, S, D)`, else `None`.
    """
    task, run = teacher.in_task(episode.support_x, episode.support_y, teacher.algorithm.adapt)
    logits = tf.stop_gradient(task.evaluate(run.fast, episode.query_x, episode.query_y)[1])
    return logits, tf.stop_gradient(encoded(task, run.fast, episode.query_x)[0]) if with_features else None


def encoded(task: TaskModel, fast: Any, x: Any) -> tuple[tf.Tensor, Any]:
    """What the encoder of a task's model makes of texts `(Q, S)`, with fast weights, and which tokens count."""
    model: Any = task.model
    keep = tf.not_equal(x, model.tokenizer.pad_id)
    with task.scope(fast):
        features = model.encode(x, training=task.training)[0]
    return features, keep if model.context is None else model.context.extend_keep(keep)


def _feature_loss(teacher: tf.Tensor, student: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """`mean (student − teacher)²` over the tokens that count."""
    squares = tf.reduce_mean(tf.cast(student - teacher, tf.float32) ** 2, axis=-1)
    counts = tf.cast(mask, tf.float32)
    return tf.reduce_sum(squares * counts) / tf.maximum(tf.reduce_sum(counts), 1.0)


def soft_loss(teacher: tf.Tensor, student: tf.Tensor, temperature: float, mask: Any = None) -> tf.Tensor:
    """`T² · mean KL(softmax(t / T) ‖ softmax(s / T))` over all positions `()` float32.

    Args:
        teacher, student: logits `(…, V)`.
        temperature: T.
        mask: `(…)`, positions that count; `None` for all.

    Raises:
        ValueError: logits of different shapes, or a single one, of which every share is 1.
    """
    if teacher.shape != student.shape or student.shape[-1] == 1:
        raise ValueError(
            f"Teacher and student must answer with as many logits, two at least; received shapes {teacher.shape} and "
            f"{student.shape}."
        )
    teacher, student = (tf.cast(logits, tf.float32) / temperature for logits in (teacher, student))
    shares = tf.nn.softmax(teacher)
    divergence = tf.reduce_sum(shares * (tf.nn.log_softmax(teacher) - tf.nn.log_softmax(student)), axis=-1)
    if mask is not None:
        counts = tf.cast(mask, tf.float32)
        return temperature**2 * tf.reduce_sum(divergence * counts) / tf.maximum(tf.reduce_sum(counts), 1.0)
    return temperature**2 * tf.reduce_mean(divergence)
