"""One task of the outer loop: start, inner loop, query set, and what the learner wants to know of it."""

from typing import Any, NamedTuple

import tensorflow as tf

from metagpt_tf.meta.algorithm import Algorithm, Weights
from metagpt_tf.meta.episodes import Fields
from metagpt_tf.meta.task import TaskModel


class TaskResult(NamedTuple):
    """What one task hands back: scalars float32, predictions `(Q, …)` or `()` when no metric asks for them.

    Only `objective` can be differentiated.
    """

    objective: Any
    loss: Any
    pre_loss: Any
    support_loss: Any
    prediction: Any
    pre_prediction: Any
    non_trainable: Any


def run_task(task: TaskModel, algorithm: Algorithm, episode: Fields, with_predictions: bool) -> TaskResult:
    """Adapt on the support set and judge on the query set, before and after.

    Args:
        task: the model inside this task.
        algorithm: how it starts, steps and is judged.
        episode: support `(K, …)` and query `(Q, …)` of one task.
        with_predictions: hand back the query predictions.
    """
    start = algorithm.start(task.layout.select(task.trainable))
    pre_loss, before = task.evaluate(start, episode.query_x, episode.query_y)
    fast, support_loss = algorithm.adapt(start, task.loss_on(episode.support_x, episode.support_y))
    after: list[Any] = []

    def query_loss(weights: Weights) -> tf.Tensor:
        loss, prediction = task.evaluate(weights, episode.query_x, episode.query_y)
        after.append(prediction)
        return loss

    objective, loss = algorithm.objective(start, fast, query_loss)
    stop = tf.stop_gradient
    return TaskResult(
        objective,
        stop(loss),
        stop(pre_loss),
        stop(support_loss),
        tf.nest.map_structure(stop, after[-1]) if with_predictions else (),
        tf.nest.map_structure(stop, before) if with_predictions else (),
        task.moved(),
    )
