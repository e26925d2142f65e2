"""Sinusoid regression, the smallest problem on which meta-learning shows.

Axes: K support, Q query.
"""

import math
from collections.abc import Sequence

import tensorflow as tf

from metagpt_tf.datasets.splits import SPLITS
from metagpt_tf.tasks.distribution import TaskDistribution
from metagpt_tf.tasks.episode import Episode

Range = Sequence[float]


class Sinusoid(TaskDistribution):
    """Regression of one sine wave from K points; a task is an amplitude and a phase.

    Use it to see an algorithm work within minutes on a CPU, and to test one. With A, φ drawn for each task:

        y = A sin(x - φ),   A ~ U[0.1, 5],   φ ~ U[0, π],   x ~ U[-5, 5]

    The three splits draw from disjoint streams of random numbers.

    Args:
        amplitude: range of A.
        phase: range of φ, radians.
        inputs: range of x.

    Raises:
        ValueError: a range that is not two increasing numbers.

    Example:

    >>> import tensorflow as tf
    >>> episode = Sinusoid().sample(tf.constant([0, 0]), k_shot=10, n_query=20)
    >>> episode.support_x.shape, episode.query_y.shape
    (TensorShape([10, 1]), TensorShape([20, 1]))

    Reference: Finn et al. 2017, section 5.1, https://arxiv.org/abs/1703.03400
    """

    def __init__(
        self, amplitude: Range = (0.1, 5.0), phase: Range = (0.0, math.pi), inputs: Range = (-5.0, 5.0)
    ) -> None:
        self.amplitude = _checked("amplitude", amplitude)
        self.phase = _checked("phase", phase)
        self.inputs = _checked("inputs", inputs)

    def sample(self, seed: tf.Tensor, k_shot: int, n_query: int) -> Episode:
        """Draw a wave and K + Q points of it.

        Args:
            seed: `(2,) int32` stateless seed.
            k_shot: support points K.
            n_query: query points Q.

        Returns:
            An episode of float32, x and y `(K, 1)` and `(Q, 1)`.
        """
        self.check(k_shot, n_query)
        stream = tf.random.fold_in(tf.cast(seed, tf.int32), SPLITS.index(self.split_name))
        seeds = tf.unstack(tf.random.split(stream, 3))
        amplitude = tf.random.stateless_uniform([], seeds[0], *self.amplitude)
        phase = tf.random.stateless_uniform([], seeds[1], *self.phase)
        x = tf.random.stateless_uniform([k_shot + n_query, 1], seeds[2], *self.inputs)
        y = amplitude * tf.sin(x - phase)
        return Episode(x[:k_shot], y[:k_shot], x[k_shot:], y[k_shot:])


def _checked(name: str, bounds: Sequence[float]) -> tuple[float, float]:
    low, high = bounds if len(bounds) == 2 else (math.nan, math.nan)
    if not low < high:
        raise ValueError(f"{name} must be a range (low, high) with low < high, received {bounds!r}.")
    return float(low), float(high)
