"""Learning in context: the support set as part of the input, the zero-step end of adaptation.

Axes: K support, Q query, N rows (K or Q).
"""

from typing import Any

import tensorflow as tf

from metagpt_tf.tasks.distribution import TaskDistribution
from metagpt_tf.tasks.episode import Episode


class InContext(TaskDistribution):
    """The episodes of another family with the support set beside every input.

    Every input becomes `{"x": x, "context_x": …, "context_y": …}` with the task's K support examples in each row. A
    query row sees all of them; a support row sees the others, and one of them twice in place of itself, so that its own
    answer is never in its context. A model that reads the context learns from it without a gradient step; adapting it
    on the support set by gradient combines both.

    Args:
        tasks: the family to draw from; the splits are its own.

    Raises:
        TypeError: not a `TaskDistribution`.
        ValueError: when drawn with K = 1, where a support row would have no other example.

    Example:

    >>> import tensorflow as tf
    >>> from metagpt_tf.tasks import Sinusoid
    >>> episode = InContext(Sinusoid()).sample(tf.constant([0, 0]), k_shot=5, n_query=7)
    >>> episode.query_x["context_y"].shape
    TensorShape([7, 5, 1])

    Reference: Garg et al., 2022, "What Can Transformers Learn In-Context? A Case Study of Simple Function Classes".
    """

    def __init__(self, tasks: TaskDistribution) -> None:
        if not isinstance(tasks, TaskDistribution):
            raise TypeError(f"InContext wraps a TaskDistribution, received {type(tasks).__name__}.")
        self.tasks = tasks

    @property
    def task_names(self) -> list[str]:
        return self.tasks.split(self.split_name).task_names

    def check(self, k_shot: int, n_query: int) -> None:
        super().check(k_shot, n_query)
        self.tasks.split(self.split_name).check(k_shot, n_query)
        if k_shot < 2:
            raise ValueError("InContext needs k_shot >= 2: a support row must not see itself. Received k_shot=1.")

    def sample(self, seed: tf.Tensor, k_shot: int, n_query: int) -> Episode:
        """Draw an episode of the other family and put its support set beside each input; see the base class."""
        self.check(k_shot, n_query)
        episode = self.tasks.split(self.split_name).sample(seed, k_shot, n_query)
        # Row i of the support set sees i + 1, i + 2, … and, in the last place, i + 1 again.
        steps = tf.concat([tf.range(1, k_shot), [1]], 0)
        others = (tf.range(k_shot)[:, None] + steps[None]) % k_shot
        everyone = tf.tile(tf.range(k_shot)[None], [n_query, 1])
        return Episode(
            _beside(episode, episode.support_x, others),
            episode.support_y,
            _beside(episode, episode.query_x, everyone),
            episode.query_y,
        )


def _beside(episode: Episode, x: Any, rows: tf.Tensor) -> dict[str, Any]:
    """`x` with the support examples that `rows (N, K)` names for each of its rows."""
    context_x, context_y = tf.nest.map_structure(lambda t: tf.gather(t, rows), (episode.support_x, episode.support_y))
    return {"x": x, "context_x": context_x, "context_y": context_y}
