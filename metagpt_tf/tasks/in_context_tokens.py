"""Learning in context for models that read one text: the support set written in front of every source.

Axes: K support, Q query, N rows (K or Q), S source, T target, L length of the joined source.
"""

import tensorflow as tf

from metagpt_tf.tasks.distribution import TaskDistribution
from metagpt_tf.tasks.episode import Episode
from metagpt_tf.tasks.in_context import InContext

PAD = 0


class InContextTokens(InContext):
    """The episodes of a text family, each source preceded by the support set, as one sequence of tokens.

    Use it with `MetaGPT(source_length=length)` to compare learning in context, without a gradient step, with adapting,
    or to combine both: `adapt` works on these episodes as on any. A source becomes

        x_1 EOS y_1 EOS x_2 EOS y_2 EOS … x EOS

    with the task's K support pairs, padding left out; every piece brings its own EOS. A query sees all K pairs; a
    support row sees the others, one of them twice in place of itself, so that its own answer is never in its context.
    Where it is longer than `length`, the oldest tokens are cut, never the source itself.

    Args:
        tasks: a family whose x `(·, S)` and y `(·, T)` are token ids, 0 for padding, such as `TextTasks` or `Grammars`.
        length: L, tokens of a joined source; at least S.

    Raises:
        TypeError: not a `TaskDistribution`.
        ValueError: when drawn with K = 1, or where x and y are no token ids or S is above `length`.

    Example:

    >>> from metagpt_tf.tasks import Grammars
    >>> episode = InContextTokens(Grammars(), length=400).sample(tf.constant([0, 0]), k_shot=10, n_query=5)
    >>> episode.query_x.shape, episode.query_y.shape
    (TensorShape([5, 400]), TensorShape([5, 13]))

    Reference: Brown et al., 2020, "Language Models are Few-Shot Learners"; Lake & Baroni, 2023, "Human-like systematic
        generalization through a meta-learning neural network", whose encoder reads its study examples in this way.
    """

    def __init__(self, tasks: TaskDistribution, length: int) -> None:
        super().__init__(tasks)
        self.length = int(length)

    def sample(self, seed: tf.Tensor, k_shot: int, n_query: int) -> Episode:
        """Draw an episode of the other family and write its support set in front of each source."""
        episode = super().sample(seed, k_shot, n_query)
        return Episode(
            self._joined(episode.support_x), episode.support_y, self._joined(episode.query_x), episode.query_y
        )

    def _joined(self, parts: dict[str, tf.Tensor]) -> tf.Tensor:
        """`x (N, S)`, `context_x (N, K, S)` and `context_y (N, K, T)` as `(N, L)`, padding at the end."""
        x, context_x, context_y = parts["x"], parts["context_x"], parts["context_y"]
        if x.shape.rank != 2 or context_y.shape.rank != 3 or not (x.dtype.is_integer and context_y.dtype.is_integer):
            raise ValueError(
                "InContextTokens joins token ids: expected x (N, S) and y (N, T) of integers, received "
                f"{x.shape} {x.dtype.name} and {context_y.shape[:1] + context_y.shape[2:]} {context_y.dtype.name}. "
                "InContext keeps other inputs side by side."
            )
        rows, width = x.shape
        if width > self.length:
            raise ValueError(f"length={self.length} has no room for sources of {width} tokens. Give {width} or more.")
        pairs = tf.concat([context_x, tf.cast(context_y, context_x.dtype)], axis=-1)
        whole = tf.concat([tf.reshape(pairs, [rows, pairs.shape[1] * pairs.shape[2]]), x], axis=-1)
        whole = tf.pad(whole, [[0, 0], [max(0, self.length - whole.shape[1]), 0]])
        return _padding_last(_padding_first(whole)[:, -self.length :])


def _padding_first(ids: tf.Tensor) -> tf.Tensor:
    return tf.gather(ids, tf.argsort(tf.cast(ids != PAD, tf.int32), axis=1, stable=True), batch_dims=1)


def _padding_last(ids: tf.Tensor) -> tf.Tensor:
    return tf.gather(ids, tf.argsort(tf.cast(ids == PAD, tf.int32), axis=1, stable=True), batch_dims=1)
