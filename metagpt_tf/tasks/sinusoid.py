"""Sinusoid regression, the smallest problem on which meta-learning shows.

Axes: K support, Q query.
"""

import math
from collections.abc import Sequence

import tensorflow as tf

from metagpt_tf.datasets.splits import SPLITS
from metagpt_tf.tasks.distribution import TaskDistribution, checked_range
from metagpt_tf.tasks.episode import Episode

Range = Sequence[float]

PHASE = (0.0, math.pi)


class Sinusoid(TaskDistribution):
    """Regression of one sine wave from K points; a task is an amplitude and a phase.

    Use it to see an algorithm work within minutes on a CPU, and to test one. With A, φ drawn for each task:

        y = A sin(x - φ),   A ~ U[0.1, 5],   φ ~ U[0, π],   x ~ U[-5, 5]

    `frequency` and `offset` widen it to `y = A sin(ω x + b)`: `Sinusoid(frequency=(0.8, 1.2), offset=(0, π))` are the
    waves of Li et al. The three splits draw from disjoint streams of random numbers.

    Args:
        amplitude: range of A.
        phase: range of φ, radians.
        inputs: range of x.
        frequency: range of ω, radians per unit of x; `None` (default) for the paper's 1.
        offset: range of b, radians, in place of the phase; `None` (default) for `-φ`.

    Raises:
        ValueError: a range that is not two increasing numbers, or both a phase and an offset.

    Example:

    >>> import tensorflow as tf
    >>> episode = Sinusoid().sample(tf.constant([0, 0]), k_shot=10, n_query=20)
    >>> episode.support_x.shape, episode.query_y.shape
    (TensorShape([10, 1]), TensorShape([20, 1]))

    Reference: Finn et al. 2017, section 5.1, https://arxiv.org/abs/1703.03400; Li et al. 2017, "Meta-SGD",
        section 4.1, https://arxiv.org/abs/1707.09835 (frequency and offset).
    """

    def __init__(
        self,
        amplitude: Range = (0.1, 5.0),
        phase: Range = PHASE,
        inputs: Range = (-5.0, 5.0),
        frequency: Range | None = None,
        offset: Range | None = None,
    ) -> None:
        self.amplitude = checked_range("amplitude", amplitude)
        self.phase = checked_range("phase", phase)
        self.inputs = checked_range("inputs", inputs)
        self.frequency = None if frequency is None else checked_range("frequency", frequency)
        self.offset = None if offset is None else checked_range("offset", offset)
        if self.offset is not None and self.phase != PHASE:
            raise ValueError(
                f"An offset b takes the place of the phase φ: y = A sin(ω x + b). Received phase={phase!r} and "
                f"offset={offset!r}; give one of them."
            )

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
        x = tf.random.stateless_uniform([k_shot + n_query, 1], seeds[2], *self.inputs)
        angle = x
        if self.frequency is not None:  # a seed of its own: the other numbers stay those of the fixed frequency
            angle = x * tf.random.stateless_uniform([], tf.random.fold_in(stream, len(seeds)), *self.frequency)
        if self.offset is None:
            angle -= tf.random.stateless_uniform([], seeds[1], *self.phase)
        else:
            angle += tf.random.stateless_uniform([], seeds[1], *self.offset)
        y = amplitude * tf.sin(angle)
        return Episode(x[:k_shot], y[:k_shot], x[k_shot:], y[k_shot:])
