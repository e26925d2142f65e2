"""The adaptation curve: loss on held-out data after 0, 1, 2, … steps, the figure that tells whether meta-learning pays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.meta.episodes import as_episode
from metagpt_tf.meta.learner import MetaLearner
from metagpt_tf.meta.task import TaskModel


class AdaptationCurve:
    """Query loss of each task after each number of inner steps, with inner rates that can be scaled between calls.

    A large *gain* says nothing: a ruined start gains much. Compare levels after adaptation, against a model trained plainly
    for the same cost and tuned as carefully.

    Args:
        learner: a compiled learner.
        steps: the numbers of steps at which to read the loss, rising, e.g. `(0, 1, 3, 5)`.

    Example:

    >>> curve = AdaptationCurve(learner, steps=(0, 1, 5))  # doctest: +SKIP
    >>> curve(episodes, rate_multiplier=0.5).mean(axis=0)  # doctest: +SKIP
    """

    def __init__(self, learner: MetaLearner, steps: Sequence[int] = (0, 1, 3, 5)) -> None:
        if list(steps) != sorted(set(steps)) or min(steps) < 0:
            raise ValueError(f"steps must be rising numbers >= 0, received {tuple(steps)}.")
        self.learner = learner
        self.steps = tuple(steps)
        self._function = tf.function(self._batch, autograph=False, reduce_retracing=True)

    def __call__(self, episodes: tf.data.Dataset, rate_multiplier: float = 1.0) -> np.ndarray:
        """Query losses `(tasks, len(steps))` over all meta-batches of a finite dataset."""
        multiplier = tf.constant(rate_multiplier, tf.float32)
        rows = [self._function(as_episode(batch), multiplier).numpy() for batch in episodes]
        if not rows:
            raise ValueError("The dataset of episodes is empty.")
        return np.concatenate(rows)

    def _batch(self, episodes: Any, multiplier: tf.Tensor) -> tf.Tensor:
        return tf.vectorized_map(lambda task: self._task(as_episode(task), multiplier), episodes)

    def _task(self, episode: Any, multiplier: tf.Tensor) -> tf.Tensor:
        learner = self.learner
        trainable = [tf.convert_to_tensor(v.value) for v in learner.model.trainable_variables]
        task = TaskModel(learner.model, learner.task_loss, learner.layout, trainable)
        support = task.loss_on(episode.support_x, episode.support_y)
        query = task.loss_on(episode.query_x, episode.query_y)
        fast = learner.algorithm.start(learner.layout.select(trainable))
        losses, done = [], 0
        for step in self.steps:
            fast, _ = learner.algorithm.adapt(fast, support, step - done, multiplier)
            losses.append(query(fast))
            done = step
        return tf.stack(losses)


def best_rate(
    curve: AdaptationCurve, episodes: tf.data.Dataset, multipliers: Sequence[float]
) -> tuple[float, np.ndarray]:
    """The multiplier with the lowest mean loss after the last step, and the mean loss of each (not finite counts as worst)."""
    finals = np.array([np.mean(curve(episodes, m)[:, -1]) for m in multipliers])
    finals = np.where(np.isfinite(finals), finals, np.inf)
    return float(multipliers[int(np.argmin(finals))]), finals
