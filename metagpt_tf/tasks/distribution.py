"""A distribution over tasks and how it becomes a `tf.data.Dataset` of episodes.

Axes: M meta-batch, K support, Q query.
"""

import abc
import copy
import math
import numbers
from collections.abc import Sequence
from typing import Any, Self

import tensorflow as tf

from metagpt_tf.datasets.splits import SPLITS
from metagpt_tf.registry import closest
from metagpt_tf.tasks.episode import Episode


class TaskDistribution(abc.ABC):
    """Tasks to draw episodes from, in three disjoint splits; a new distribution draws from `meta_train`.

    Subclass it for a new family of tasks: write `sample` with TensorFlow operations only, and let every random number
    come from its seed. Everything else (batching, splits, reproducibility) is here.

    Example:

    >>> from metagpt_tf.tasks import Sinusoid
    >>> tasks = Sinusoid()
    >>> for episode in tasks.as_dataset(meta_batch_size=4, k_shot=5, n_query=10, num_batches=2):
    ...     assert episode.support_x.shape == (4, 5, 1) and episode.query_x.shape == (4, 10, 1)
    >>> tasks.split("meta_test").split_name
    'meta_test'
    """

    split_name: str = SPLITS[0]

    @abc.abstractmethod
    def sample(self, seed: tf.Tensor, k_shot: int, n_query: int) -> Episode:
        """Draw a task of the split and an episode of it, a function of the seed alone.

        Args:
            seed: `(2,) int32` stateless seed.
            k_shot: support examples K.
            n_query: query examples Q.

        Returns:
            An episode with leading axes `(K, …)` and `(Q, …)`, static shapes.
        """

    @property
    def task_names(self) -> list[str]:
        """The names of the tasks in the split, in alphabetical order, where the family is finite.

        Raises:
            NotImplementedError: the family is endless.
        """
        raise NotImplementedError(f"{type(self).__name__} is an endless family: its tasks have no names.")

    def split(self, name: str) -> Self:
        """The same distribution over the tasks of one split; no task is in two of them.

        Args:
            name: `"meta_train"`, `"meta_validation"` or `"meta_test"`.

        Raises:
            ValueError: another name; the message suggests the closest.
        """
        check_split(name)
        restricted = copy.copy(self)
        restricted.split_name = name
        return restricted

    def check(self, k_shot: int, n_query: int) -> None:
        """Raise unless episodes of this size can be drawn; subclasses add their own conditions."""
        for argument, value in (("k_shot", k_shot), ("n_query", n_query)):
            _check_positive(argument, value)

    def as_dataset(
        self,
        meta_batch_size: int,
        k_shot: int,
        n_query: int,
        seed: int = 0,
        num_batches: int | None = None,
        prefetch: int = tf.data.AUTOTUNE,
        first: int = 0,
    ) -> tf.data.Dataset:
        """Batches of episodes for `MetaLearner.fit` and `evaluate`.

        The i-th episode is `sample(fold_in((seed, 0), i))`: it depends on the seed and on i alone, so that two
        iterations, two machines and two batch sizes see the same episodes.

        Args:
            meta_batch_size: tasks M in a batch.
            k_shot: support examples K of each task.
            n_query: query examples Q of each task.
            seed: any 32-bit integer.
            num_batches: batches in one iteration; None for an endless dataset (give `fit` its `steps_per_epoch`).
            prefetch: batches prepared ahead.
            first: the batch to begin with: `skip(first)` without drawing what is skipped.

        Returns:
            A dataset of `Episode` with leading axes `(M, K, …)` and `(M, Q, …)`, all shapes static.

        Raises:
            ValueError: a size below 1, `first` below 0, or episodes of this size cannot be drawn.

        Example:

        >>> from metagpt_tf.tasks import Sinusoid
        >>> dataset = Sinusoid().as_dataset(meta_batch_size=2, k_shot=5, n_query=5, seed=1, num_batches=3)
        >>> int(dataset.cardinality())
        3
        """
        _check_positive("meta_batch_size", meta_batch_size)
        if num_batches is not None:
            _check_positive("num_batches", num_batches)
        if isinstance(first, bool) or not isinstance(first, numbers.Integral) or first < 0:
            raise ValueError(f"first must be a whole number of batches, at least 0; received {first!r}.")
        self.check(k_shot, n_query)
        stream = stateless_seed(seed)

        def draw(index: tf.Tensor) -> Episode:
            return self.sample(tf.random.fold_in(stream, index), k_shot, n_query)

        indices = tf.data.Dataset.counter(first * meta_batch_size)
        if num_batches is not None:
            indices = indices.take(num_batches * meta_batch_size)
        episodes = indices.map(draw, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return episodes.batch(meta_batch_size, drop_remainder=True).prefetch(prefetch)


def pooled_examples(episodes: tf.data.Dataset) -> tf.data.Dataset:
    """The examples of each meta-batch in one plain batch: the same data without episodes.

    Args:
        episodes: meta-batches of `Episode`, leading axes `(M, K, …)` and `(M, Q, …)`.

    Returns:
        A dataset of `(x, y)`, each with `M · (K + Q)` rows, for a model's own `fit`.

    Example:

    >>> from metagpt_tf.tasks import Sinusoid
    >>> episodes = Sinusoid().as_dataset(meta_batch_size=2, k_shot=3, n_query=4, num_batches=1)
    >>> [x.shape for x, y in pooled_examples(episodes)]
    [TensorShape([14, 1])]
    """

    def pool(*parts: Any) -> tuple[Any, Any]:
        # tf.data hands over a named tuple whole, and a plain one in parts.
        episode = Episode(*(parts[0] if len(parts) == 1 else parts))
        x, y = (
            tf.nest.map_structure(_join_rows, support, query)
            for support, query in ((episode.support_x, episode.query_x), (episode.support_y, episode.query_y))
        )
        return x, y

    return episodes.map(pool, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _join_rows(support: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
    rows = tf.concat([support, query], axis=1)
    return tf.reshape(rows, [-1, *rows.shape[2:]])


def stateless_seed(seed: int) -> tf.Tensor:
    """The `(2,) int32` seed that TensorFlow's stateless operations take.

    Raises:
        ValueError: not a whole number of 32 bits.
    """
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or not -(2**31) <= seed < 2**31:
        raise ValueError(f"seed must be a whole number in [-2**31, 2**31), received {seed!r}.")
    return tf.constant([seed, 0], tf.int32)


def checked_range(name: str, bounds: Sequence[float]) -> tuple[float, float]:
    """A range as two numbers.

    Raises:
        ValueError: not two increasing numbers.
    """
    low, high = bounds if len(bounds) == 2 else (math.nan, math.nan)
    if not low < high:
        raise ValueError(f"{name} must be a range (low, high) with low < high, received {bounds!r}.")
    return float(low), float(high)


def check_split(name: str) -> None:
    """Raise a ValueError with the closest name unless `name` is a split's name."""
    if name not in SPLITS:
        raise ValueError(f"Unknown split {name!r}. {closest(str(name), SPLITS)}")


def _check_positive(argument: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"{argument} must be a whole number of at least 1, received {value!r}.")
