"""One task of the outer loop: start, inner loop, query set, and what the learner wants to know of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from metagpt_tf.kept_zeros import is_prunable
from metagpt_tf.meta.algorithm import Algorithm
from metagpt_tf.meta.episodes import Fields
from metagpt_tf.meta.inner import Weights
from metagpt_tf.meta.task import TaskModel


class TaskResult(NamedTuple):
    """What one task hands back: scalars float32, predictions `(Q, …)` or `()` when no metric asks for them.

    `inner_losses (n + 1,)` are the support loss before each step, and the query loss after the last; `logs` the
    algorithm's own figures with their weights. Only `objective` can be differentiated.
    """

    objective: Any
    loss: Any
    pre_loss: Any
    support_loss: Any
    inner_losses: Any
    logs: Any
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
    support_loss = task.loss_on(episode.support_x, episode.support_y)
    start = algorithm.start(task.layout.select(task.trainable), support_loss)
    pre_loss, before = task.evaluate(start, episode.query_x, episode.query_y)
    run = algorithm.adapt(start, support_loss)
    after: list[Any] = []

    def query_loss(weights: Weights) -> tf.Tensor:
        loss, prediction = task.evaluate(weights, episode.query_x, episode.query_y)
        after.append(prediction)
        return loss

    objective, loss = algorithm.objective(run, support_loss, query_loss)
    stop = tf.stop_gradient
    return TaskResult(
        objective,
        stop(loss),
        stop(pre_loss),
        stop(run.support_loss),
        stop(tf.stack([*run.losses, loss])),
        tf.nest.map_structure(stop, algorithm.task_logs(run, support_loss, loss)),
        tf.nest.map_structure(stop, after[-1]) if with_predictions else (),
        tf.nest.map_structure(stop, before) if with_predictions else (),
        task.moved(),
    )


def in_order(algorithm: Algorithm, gradients_of: Callable[[], Any]) -> Any:
    """`gradients_of()`, traced in the order of this outer step; in both where first order gives way to second.

    Args:
        algorithm: says which order is due.
        gradients_of: traces the gradients; called once for each order.
    """
    now = algorithm.first_order_now()
    if now is None:
        return gradients_of()

    def of_order(first: bool) -> Any:
        with algorithm.order(first):
            return gradients_of()

    return tf.cond(now, lambda: of_order(True), lambda: of_order(False))


def outer_step(learner: Any, gradients: Weights) -> None:
    """Give mean gradients over tasks to the algorithm, and what it makes of them to the optimizer.

    Args:
        learner: an `AdaptingModel` with an optimizer.
        gradients: one for each of `learner.trainable_variables`.
    """
    algorithm, layout = learner.algorithm, learner.layout
    changed = list(gradients)
    for index, gradient in zip(layout.indices, algorithm.outer_gradients(layout.select(gradients)), strict=True):
        changed[index] = gradient
    pruned = [v for v in learner.model.trainable_variables if learner.keep_zeros and is_prunable(v)]
    kept = [tf.not_equal(v.value, tf.zeros([], v.dtype)) for v in pruned]
    learner.optimizer.apply(changed, learner.trainable_variables)
    for variable, mask in zip(pruned, kept, strict=True):  # whatever the optimizer remembers of them
        variable.assign(tf.where(mask, variable.value, tf.zeros([], variable.dtype)))
    algorithm.end_outer_step()


def check_inner_losses(losses: tf.Tensor) -> tf.Operation | None:
    """Stop where a task has diverged, and name it: averaged with the others it would be lost.

    Args:
        losses: `(M, n + 1)`, each task's support loss before each of n steps, then its query loss.

    Returns:
        In a graph the check itself: what must not happen without it has to depend on it.

    Raises:
        tf.errors.InvalidArgumentError: when the graph runs and one of them is not finite.
    """
    finite = tf.math.is_finite(losses)
    first = tf.argmax(tf.reshape(tf.cast(~finite, tf.int32), [-1]), output_type=tf.int32)
    steps = tf.shape(losses)[1]
    return tf.debugging.Assert(
        tf.reduce_all(finite),
        [
            "The loss of a task is not finite. Task of the meta-batch, counted from 0:",
            first // steps,
            "inner steps taken before it (the last entry is the query set's):",
            first % steps,
            "losses of all tasks:",
            losses,
            "Use a smaller inner_learning_rate or a smaller outer rate, clip (clipnorm), or look at that task's data.",
        ],
        summarize=64,
    )
