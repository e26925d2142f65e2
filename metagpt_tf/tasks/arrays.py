"""Tasks that are arrays: every row of a task is an example, an episode is a few distinct rows.

Axes: K support, Q query, n rows of a task.
"""

import copy
from collections.abc import Collection, Mapping
from typing import Literal

import tensorflow as tf

from metagpt_tf.datasets.splits import SPLITS
from metagpt_tf.registry import closest
from metagpt_tf.tasks.distribution import TaskDistribution, check_split, stateless_seed
from metagpt_tf.tasks.episode import Episode
from metagpt_tf.tasks.task_rows import Rows, Task, draw_episode, draw_task

OnSmall = Literal["error", "drop"]


class ArrayTasks(TaskDistribution):
    """A finite family: each task a pair of arrays whose rows are its examples.

    Use it for any data that fits in memory. An episode draws a task uniformly (see `by_size`), then K + Q distinct rows
    of it uniformly without replacement; no row is in both support and query.

    Args:
        tasks: split -> task name -> `(x, y)`, arrays `(n, …)`; x and y may be nested structures. Tasks may differ in n,
            not in the other axes or types.
            Without `meta_train` the distribution starts on the first split that has tasks.
        on_small: what `as_dataset` and `sample` do with a task of fewer than K + Q rows: `"error"`, or `"drop"` it.

    Raises:
        ValueError: an unknown split, no task, a task in two splits, or rows that do not fit together.

    Example:

    >>> import numpy as np
    >>> rows = np.arange(6, dtype="float32")[:, None]
    >>> tasks = ArrayTasks({"meta_train": {"double": (rows, 2 * rows), "triple": (rows, 3 * rows)}})
    >>> tasks.task_names
    ['double', 'triple']
    >>> tasks.episode("double", k_shot=2, n_query=3).query_y.shape
    TensorShape([3, 1])
    """

    def __init__(self, tasks: Mapping[str, Mapping[str, Task]], on_small: OnSmall = "error") -> None:
        if on_small not in ("error", "drop"):
            raise ValueError(f"on_small must be 'error' or 'drop', received {on_small!r}.")
        for name in tasks:
            check_split(name)
        _check_disjoint(tasks)
        self.on_small = on_small
        self.size_exponent = 0.0
        self._rows = {split: Rows(tasks[split]) for split in SPLITS if tasks.get(split)}
        if not self._rows:
            raise ValueError("Received no task. Expected {'meta_train': {task_name: (x, y), …}, …}.")
        if self.split_name not in self._rows:
            self.split_name = next(iter(self._rows))

    @property
    def task_names(self) -> list[str]:
        """The names of the tasks in the split, in alphabetical order."""
        return list(self._rows[self.split_name].names)

    def split(self, name: str) -> "ArrayTasks":
        """The same distribution over the tasks of one split.

        Raises:
            ValueError: an unknown split, or one without tasks.
        """
        restricted = super().split(name)
        if name not in self._rows:
            raise ValueError(f"Split {name!r} holds no tasks; those that do: {', '.join(self._rows)}.")
        return restricted

    def only(self, names: Collection[str]) -> "ArrayTasks":
        """The same distribution over some tasks of the split.

        Args:
            names: of the tasks that are kept.

        Raises:
            ValueError: no names, or one that the split does not have (the closest is suggested).

        Example:

        >>> import numpy as np
        >>> rows = np.arange(6, dtype="float32")[:, None]
        >>> tasks = ArrayTasks({"meta_train": {"double": (rows, 2 * rows), "triple": (rows, 3 * rows)}})
        >>> tasks.only(["triple"]).task_names
        ['triple']
        """
        unknown = sorted(set(names).difference(self.task_names))
        if unknown or not names:
            what = f"Unknown task {unknown[0]!r}. {closest(unknown[0], self.task_names)}" if unknown else "No names."
            raise ValueError(f"only() keeps tasks of split {self.split_name!r}. {what}")
        restricted = copy.copy(self)
        restricted._rows = {**self._rows, self.split_name: self._rows[self.split_name].only(set(names))}
        return restricted

    def by_size(self, exponent: float) -> "ArrayTasks":
        """The same distribution, which draws a task of n rows with probability in proportion to n to the `exponent`.

        Between 0 (uniform, the default) and 1 (each row equally often) large tasks come often and small ones are not
        forgotten: the temperature sampling of multilingual models, 1 / T = exponent (Arivazhagan et al. 2019,
        arXiv:1907.05019).

        Args:
            exponent: at least 0.

        Raises:
            ValueError: a negative exponent.

        Example:

        >>> import numpy as np
        >>> rows = np.zeros([9, 1]), np.zeros([9, 1])
        >>> tasks = ArrayTasks({"meta_train": {"large": rows, "small": tuple(column[:3] for column in rows)}})
        >>> tasks.by_size(0.5).size_exponent
        0.5
        """
        if not exponent >= 0:
            raise ValueError(f"by_size() takes an exponent of at least 0, received {exponent!r}.")
        weighted = copy.copy(self)
        weighted.size_exponent = float(exponent)
        return weighted

    def check(self, k_shot: int, n_query: int) -> None:
        """Raise unless the split has tasks with at least K + Q rows (all of them, unless `on_small="drop"`)."""
        super().check(k_shot, n_query)
        self._large_enough(k_shot + n_query)

    def sample(self, seed: tf.Tensor, k_shot: int, n_query: int) -> Episode:
        """Draw a task of the split and K + Q distinct rows of it; see `TaskDistribution.sample`."""
        super().check(k_shot, n_query)
        rows = self._rows[self.split_name]
        candidates = self._large_enough(k_shot + n_query)
        task_seed, row_seed = tf.unstack(tf.random.split(tf.cast(seed, tf.int32), 2))
        sizes = tf.constant([rows.sizes[task] for task in candidates], tf.int32)
        drawn = draw_task(sizes, task_seed, self.size_exponent)
        starts = tf.constant([rows.starts[task] for task in candidates], tf.int32)
        return draw_episode(rows.columns, starts[drawn], sizes[drawn], row_seed, k_shot, n_query)

    def episode(self, task_name: str, k_shot: int, n_query: int, seed: int = 0) -> Episode:
        """An episode of one named task, of any split, the same for the same seed.

        Args:
            task_name: the task.
            k_shot: support examples K.
            n_query: query examples Q.
            seed: any 32-bit integer.

        Returns:
            An episode with leading axes `(K, …)` and `(Q, …)`.

        Raises:
            ValueError: an unknown task (the message suggests the closest), or one with fewer than K + Q rows.
        """
        super().check(k_shot, n_query)
        for rows in self._rows.values():
            if task_name in rows.names:
                task = rows.names.index(task_name)
                if rows.sizes[task] < k_shot + n_query:
                    raise ValueError(_too_small({task_name: rows.sizes[task]}, k_shot + n_query))
                start, size = rows.starts[task], rows.sizes[task]
                return draw_episode(rows.columns, start, size, stateless_seed(seed), k_shot, n_query)
        known = [name for rows in self._rows.values() for name in rows.names]
        raise ValueError(f"Unknown task {task_name!r}. {closest(task_name, known)}")

    def every_task(self, k_shot: int, n_query: int, meta_batch_size: int, seed: int = 0) -> tf.data.Dataset:
        """One episode of each task of the split, in alphabetical order: what a model is measured on to the last task.

        Args:
            k_shot: support examples K.
            n_query: query examples Q.
            meta_batch_size: M; the last meta-batch may have fewer tasks.
            seed: as in `episode`.

        Returns:
            A finite dataset of episodes `(M, K, …)` and `(M, Q, …)`; tasks with fewer than K + Q rows are left out if
            `on_small="drop"`.

        Raises:
            ValueError: a task is too small.
        """
        names = self.task_names
        chosen = [names[task] for task in self._large_enough(k_shot + n_query)]
        episodes = [self.episode(name, k_shot, n_query, seed) for name in chosen]
        columns = tf.nest.map_structure(lambda *parts: tf.stack(parts), *episodes)
        return tf.data.Dataset.from_tensor_slices(columns).batch(meta_batch_size)

    def _large_enough(self, needed: int) -> list[int]:
        """The tasks of the split with the rows needed, by index."""
        rows = self._rows[self.split_name]
        candidates = [task for task, size in enumerate(rows.sizes) if size >= needed]
        if not candidates or (self.on_small == "error" and len(candidates) < len(rows.sizes)):
            small = {name: size for name, size in zip(rows.names, rows.sizes, strict=True) if size < needed}
            raise ValueError(_too_small(small, needed))
        return candidates


def _check_disjoint(tasks: Mapping[str, Mapping[str, Task]]) -> None:
    owners: dict[str, str] = {}
    for split, named in tasks.items():
        for name in named:
            if name in owners:
                raise ValueError(f"Task {name!r} is in both {owners[name]!r} and {split!r}; splits share no task.")
            owners[name] = split


def _too_small(sizes: Mapping[str, int], needed: int) -> str:
    shown = ", ".join(f"{name!r} ({size})" for name, size in list(sizes.items())[:5])
    more = f" and {len(sizes) - 5} more" if len(sizes) > 5 else ""
    return (
        f"An episode needs k_shot + n_query = {needed} rows, which these tasks do not have: {shown}{more}. "
        f"Lower k_shot or n_query, or pass on_small='drop'."
    )
