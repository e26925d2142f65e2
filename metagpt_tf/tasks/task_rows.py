"""The rows of tasks in one place, and drawing from them.

Axes: K support, Q query, n rows of a task.
"""

import copy
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.tasks.episode import Episode

Task = tuple[Any, Any]


class Rows:
    """The rows of a split's tasks one below the other; task t is `size[t]` rows from `start[t]` on."""

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        self.names = sorted(tasks)
        self.sizes = [rows_of(name, tasks[name]) for name in self.names]
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)])[:-1].astype(np.int32)
        try:
            named = [tuple(tasks[name]) for name in self.names]
            joined = tf.nest.map_structure(lambda *leaves: np.concatenate(leaves), *named)
        except (ValueError, TypeError) as error:
            shapes = {name: [np.shape(leaf) for leaf in tf.nest.flatten(tuple(tasks[name]))] for name in self.names[:5]}
            raise ValueError(
                f"The tasks of a split must agree in structure and in all axes but the first; received shapes {shapes}."
            ) from error
        with tf.device("CPU"):
            self.columns = tf.nest.map_structure(tf.constant, joined)

    def only(self, names: Collection[str]) -> "Rows":
        """The rows of some tasks; the columns are shared."""
        kept = copy.copy(self)
        places = [task for task, name in enumerate(self.names) if name in names]
        kept.names, kept.sizes = [self.names[i] for i in places], [self.sizes[i] for i in places]
        kept.starts = self.starts[places]
        return kept


def draw_task(sizes: tf.Tensor, seed: tf.Tensor, exponent: float) -> tf.Tensor:
    """The place of a task, uniformly or in proportion to its size to the exponent."""
    if not exponent:
        return tf.random.stateless_uniform([], seed, 0, len(sizes), tf.int32)
    logits = exponent * tf.math.log(tf.cast(sizes, tf.float32))
    return tf.random.stateless_categorical(logits[None], 1, seed, tf.int32)[0, 0]


def draw_episode(columns: Any, start: Any, size: Any, seed: tf.Tensor, k_shot: int, n_query: int) -> Episode:
    """K + Q distinct rows out of `size`, uniformly: the places of the largest of `size` random numbers."""
    keys = tf.random.stateless_uniform([size], seed, dtype=tf.int32, minval=None, maxval=None)
    chosen = start + tf.math.top_k(keys, k_shot + n_query, sorted=True).indices
    chosen = tf.ensure_shape(chosen, [k_shot + n_query])
    x, y = tf.nest.map_structure(lambda column: tf.gather(column, chosen), columns)
    first = [tf.nest.map_structure(lambda leaf: leaf[:k_shot], part) for part in (x, y)]
    last = [tf.nest.map_structure(lambda leaf: leaf[k_shot:], part) for part in (x, y)]
    return Episode(*first, *last)


def rows_of(name: str, task: Task) -> int:
    """The number of rows of a task, the same in all its arrays."""
    shapes = [np.shape(leaf) for leaf in tf.nest.flatten(tuple(task))]
    sizes = {shape[0] if shape else None for shape in shapes}
    if len(task) != 2 or len(sizes) != 1 or None in sizes:
        raise ValueError(
            f"Task {name!r} must be a pair (x, y) of arrays with the same number of rows; received shapes {shapes}."
        )
    return int(shapes[0][0])
