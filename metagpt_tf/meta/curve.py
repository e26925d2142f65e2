"""The adaptation curve: held-out loss after 0, 1, 2, … steps, the figure that tells whether meta-learning pays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.meta.episodes import as_episode
from metagpt_tf.meta.learner import MetaLearner


class AdaptationCurve:
    """Query loss of each task after each number of inner steps, with inner rates that can be scaled between calls.

    `curve[t, i] = L_query(φ_{steps[i]})` of task t, with `φ_{n+1}` one inner step from `φ_n` on the support set.

    A large *gain* says nothing: a ruined start gains much. Compare levels after adaptation, against a model trained
    plainly for the same cost and tuned as carefully (`best_rate`).

    Args:
        learner: a compiled learner round a built model.
        steps: the numbers of steps at which to read the loss, rising, e.g. `(0, 1, 3, 5)`.

    Raises:
        ValueError: no steps, or steps that do not rise from 0 or more.

    Example:

    >>> import keras
    >>> from metagpt_tf.tasks import Sinusoid
    >>> learner = MetaLearner(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), "maml")
    >>> learner.compile("sgd", "mse")
    >>> curve = AdaptationCurve(learner, steps=(0, 1, 5))
    >>> curve(Sinusoid().as_dataset(4, k_shot=5, n_query=5, num_batches=2), rate_multiplier=0.5).shape
    (8, 3)
    """

    def __init__(self, learner: MetaLearner, steps: Sequence[int] = (0, 1, 3, 5)) -> None:
        if not steps or list(steps) != sorted(set(steps)) or min(steps) < 0:
            raise ValueError(f"steps must be rising numbers >= 0, e.g. (0, 1, 5), received {tuple(steps)}.")
        self.learner = learner
        self.steps = tuple(steps)
        self._function = tf.function(self._batch, autograph=False, reduce_retracing=True)

    def __call__(self, episodes: tf.data.Dataset, rate_multiplier: float = 1.0) -> np.ndarray:
        """Measure every task of a dataset.

        Args:
            episodes: a finite dataset of episodes with leading axes `(M, K, …)` and `(M, Q, …)`.
            rate_multiplier: factor on the inner rates.

        Returns:
            Query losses `(tasks, len(steps))` float32.

        Raises:
            ValueError: an endless or empty dataset, or elements that are no episodes.
        """
        if int(episodes.cardinality()) == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                "This dataset of episodes is endless: make it with as_dataset(..., num_batches=…), or take(n) of it."
            )
        multiplier = tf.constant(rate_multiplier, tf.float32)
        rows = [self._function(as_episode(batch), multiplier).numpy() for batch in episodes]
        if not rows:
            raise ValueError("The dataset of episodes is empty: give at least one meta-batch.")
        return np.concatenate(rows)

    def _batch(self, episodes: Any, multiplier: tf.Tensor) -> tf.Tensor:
        return tf.vectorized_map(lambda task: self._task(as_episode(task), multiplier), episodes)

    def _task(self, episode: Any, multiplier: tf.Tensor) -> tf.Tensor:
        loop = lambda start, loss: self.learner.algorithm.adapt(start, loss, self.steps[-1], multiplier)  # noqa: E731
        task, run = self.learner.in_task(episode.support_x, episode.support_y, loop)
        query = task.loss_on(episode.query_x, episode.query_y)
        return tf.stack([query(run.path[step]) for step in self.steps])


def best_rate(
    curve: AdaptationCurve, episodes: tf.data.Dataset, multipliers: Sequence[float]
) -> tuple[float, np.ndarray]:
    """Tune the inner rate: the multiplier with the lowest mean loss after the curve's last step.

    Use it on validation tasks, before measuring anything that is compared on test tasks.

    Args:
        curve: what measures; one graph serves all multipliers.
        episodes: a finite dataset of episodes.
        multipliers: factors on the inner rates to try.

    Returns:
        The best multiplier, and the mean loss of each `(len(multipliers),)`, `inf` where a task's loss is not finite.

    Raises:
        ValueError: no multipliers, or none that leaves every loss finite.

    Example:

    >>> import keras
    >>> from metagpt_tf.tasks import Sinusoid
    >>> learner = MetaLearner(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), "maml")
    >>> learner.compile("sgd", "mse")
    >>> episodes = Sinusoid().as_dataset(4, k_shot=5, n_query=5, num_batches=2)
    >>> best_rate(AdaptationCurve(learner, (5,)), episodes, (1.0, 1e6))[0]
    1.0
    """
    if len(multipliers) == 0:
        raise ValueError("best_rate needs at least one multiplier to try, e.g. (0.5, 1.0, 2.0).")
    finals = np.array([np.mean(curve(episodes, m)[:, -1]) for m in multipliers])
    finals = np.where(np.isfinite(finals), finals, np.inf)
    if not np.isfinite(finals).any():
        raise ValueError(
            f"None of the multipliers {tuple(multipliers)} leaves a finite loss after {curve.steps[-1]} steps. "
            "Try smaller ones."
        )
    return float(multipliers[int(np.argmin(finals))]), finals
