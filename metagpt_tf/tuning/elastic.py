"""Training an elastic model once, so that every smaller one inside it adapts well, and taking those out."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from metagpt_tf.compression.distillation import Lesson, TaughtTask
from metagpt_tf.compression.importance import HEADS, LAYER, NEURONS, importance
from metagpt_tf.compression.structured import Parts, learner_round
from metagpt_tf.meta import MetaLearner
from metagpt_tf.meta.episodes import as_episode
from metagpt_tf.meta.outer import TaskResult, run_task
from metagpt_tf.meta.parallel import mean_gradients
from metagpt_tf.models import ElasticGPT, MetaGPT
from metagpt_tf.models.elastic import Sizes


@keras.saving.register_keras_serializable("metagpt_tf")
class ElasticLearner(MetaLearner):
    """Meta-trains an `ElasticGPT`: each outer step adapts the whole model, the smallest part and two drawn ones.

    The parts' query loss is shared between the labels and what the whole model answers to the same queries once it has
    adapted to the same task. `evaluate` and `adapt` run the part that is active.

    Args:
        model: an `ElasticGPT`.
        algorithm, task_parallelism, rematerialize, keep_zeros: as in `MetaLearner`.

    Raises:
        TypeError: another model.

    Example:

    >>> model = ElasticGPT(source_length=8, target_length=8, dim=8, num_heads=2, num_layers=1)
    >>> learner = ElasticLearner(model, "fomaml")
    >>> learner.compile("adam", metrics=[])
    """

    def __init__(self, model: keras.Model, *args: Any, **kwargs: Any) -> None:
        if not isinstance(model, ElasticGPT):
            raise TypeError(f"ElasticLearner trains an ElasticGPT, received {type(model).__name__}.")
        super().__init__(model, *args, **kwargs)

    def _meta_gradients(self, episodes: Any, weights: list[Any]) -> tuple[list[Any], TaskResult]:
        """Mean gradients over tasks and parts, and the results of the whole model."""
        model: Any = self.model
        parts = model.sandwich(self.optimizer.iterations, seed=1)
        # One graph for the whole model and one for all parts: each is the model several times over.
        gradients, results = tf.function(self._of_part, autograph=False)(parts[0], episodes, None, weights)
        logits = tf.stop_gradient(results.prediction)
        of_part = tf.function(self._of_part, autograph=False)
        for sizes in parts[1:]:
            more = of_part(sizes, episodes, logits, weights)[0]
            gradients = [g + m for g, m in zip(gradients, more, strict=True)]
        return [g / len(parts) for g in gradients], results

    def _of_part(self, sizes: Any, episodes: Any, logits: Any, weights: list[Any]) -> tuple[list[Any], TaskResult]:
        model: Any = self.model
        with keras.StatelessScope(state_mapping=[(model.active, sizes)]):
            return mean_gradients(
                self.task_parallelism,
                lambda pair: self._task_of_part(pair[0], pair[1] if logits is not None else None, weights),
                (tuple(episodes), tf.zeros([tf.shape(tf.nest.flatten(episodes)[0])[0]]) if logits is None else logits),
                weights,
                lambda loss: self.optimizer.scale_loss(loss) / tf.distribute.get_strategy().num_replicas_in_sync,
            )

    def _task_of_part(self, episode: Any, logits: Any, weights: list[Any]) -> TaskResult:
        fields, task = as_episode(episode), self._task(weights, True)
        if logits is not None:
            weight = self.model.weight
            lesson = Lesson(fields.query_x, logits, None, 1.0, weight, 0.0)
            own = weights[: self._trainable_count]
            task = TaughtTask(lesson, self.model, self.task_loss, self.layout, own, True)
        with self._algorithm_scope(weights):
            return run_task(task, self.algorithm, fields, True)


def elastic(
    learner: MetaLearner,
    episodes: tf.data.Dataset,
    choices: Mapping[str, Sequence[int]] | None = None,
    scoring_batches: int = 8,
    weight: float = 0.5,
) -> ElasticLearner:
    """An elastic learner that answers as a learner does, with its best heads and neurons first.

    Train it with `compression.recovery.recover(made, episodes, steps, plain_steps=…)`, or with `fit`.

    Args:
        learner: compiled, round a `MetaGPT`; it stays as it is.
        episodes: training tasks, on which heads and neurons are scored.
        choices: see `ElasticGPT`.
        scoring_batches: meta-batches to score on.
        weight: see `ElasticGPT`.

    Raises:
        TypeError: the learner's model is no `MetaGPT`.
        ValueError: sizes that the model does not have.
    """
    model = learner.model
    if type(model) is not MetaGPT:
        raise TypeError(f"An elastic model is made of a MetaGPT, received {type(model).__name__}.")
    config = {**model.get_config(), "choices": choices, "weight": weight}
    ElasticGPT.from_config(config)  # what cannot be is said before anything is scored
    scores = {**importance(learner, episodes.take(scoring_batches))}
    parts = Parts(model, scores, model.num_heads, model.hidden_dim, model.num_layers, by_score=True)
    made = parts.smaller_model(ElasticGPT, config)
    result: Any = learner_round(made, parts, learner, kind=ElasticLearner)
    return result


def part_of(learner: MetaLearner, sizes: Sizes) -> MetaLearner:
    """A part of an elastic learner as an ordinary one: a `MetaGPT` that is saved, exported and made a preset of.

    Args:
        learner: round an `ElasticGPT`.
        sizes: of the part.

    Returns:
        A compiled `MetaLearner` round a `MetaGPT`, which answers as the active part did.

    Raises:
        ValueError: a size that the model does not have.
    """
    model: Any = learner.model
    model._in_range(Sizes(*sizes)._asdict())
    parts = Parts(model, _first_ones(model), sizes[1], sizes[2], sizes[0])
    return learner_round(parts.smaller_model(MetaGPT, model.plain_config()), parts, learner)


def _first_ones(model: ElasticGPT) -> dict[str, Any]:
    """Scores by which the first heads, neurons and layers stay."""
    scores: dict[str, Any] = {}
    for variable in model.trainable_variables:
        for pattern, count in ((HEADS, model.num_heads), (NEURONS, model.hidden_dim)):
            if found := pattern.match(variable.path):
                scores[found.group(1)] = -np.arange(count)
        if found := LAYER.match(variable.path):
            scores[found.group(1)] = -int(found.group(1).rpartition("_")[2])
    return scores
