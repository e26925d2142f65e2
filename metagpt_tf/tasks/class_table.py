"""Which rows belong to which class and group, as tables that a graph can draw from.

Axes: N classes of an episode, n examples in all, G groups.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from metagpt_tf.datasets.splits import SPLITS

Rows = dict[str, list[np.ndarray]]


class ClassTable:
    """The classes of one split by group, and the rows of each class, as padded tables of places.

    Args:
        rows: group -> its classes, each an array of rows.
        needed: examples that a class must have to count.
        n_way: classes that a group must have to count.

    Attributes:
        groups: names of the groups that count.
        classes, class_counts: `(G, …) int32` places of each group's classes, and how many of them are real.
        rows, row_counts: `(classes, …) int32` rows of each class, and how many of them are real.

    Example:

    >>> table = ClassTable({"a": [np.array([0, 2]), np.array([1, 3])], "b": [np.array([4])]}, needed=2, n_way=2)
    >>> table.groups, table.rows.tolist()
    (['a'], [[0, 2], [1, 3]])
    """

    def __init__(self, rows: Mapping[str, list[np.ndarray]], needed: int, n_way: int) -> None:
        large = {name: [found for found in classes if len(found) >= needed] for name, classes in rows.items()}
        self.groups = [name for name, classes in sorted(large.items()) if len(classes) >= n_way]
        self.rows, self.row_counts = _padded([found for name in self.groups for found in large[name]])
        starts = np.cumsum([0, *(len(large[name]) for name in self.groups)])
        self.classes, self.class_counts = _padded([np.arange(a, b) for a, b in itertools.pairwise(starts)])


def distinct_places(sizes: tf.Tensor, longest: int, count: int, seed: tf.Tensor) -> tf.Tensor:
    """For each size, `count` distinct places below it, uniformly: those of the largest random numbers.

    Args:
        sizes: `(B,) int32`, none above `longest` or below `count`.
        longest: static bound of the sizes.
        count: places to draw.
        seed: `(2,) int32` stateless seed.

    Returns:
        `(B, count) int32`.
    """
    keys = tf.random.stateless_uniform([sizes.shape[0], longest], seed)
    keys = tf.where(tf.range(longest)[None] < sizes[:, None], keys, -1.0)
    return tf.math.top_k(keys, count).indices


def rows_by_class(labels: np.ndarray, groups: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    """(group, label) -> its rows, in their order.

    Example:

    >>> rows_by_class(np.array(["x", "y", "x"]), np.array(["g", "g", "g"]))[("g", "x")].tolist()
    [0, 2]
    """
    pairs, inverse = np.unique(np.stack([groups, labels], axis=1), axis=0, return_inverse=True)
    inverse = inverse.ravel()
    ends = np.cumsum(np.bincount(inverse, minlength=len(pairs)))
    parts = np.split(np.argsort(inverse, kind="stable"), ends[:-1])
    return {(str(group), str(label)): rows for (group, label), rows in zip(pairs, parts, strict=True)}


def check_lengths(features: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> None:
    """Refuse arrays that are not rows of the same examples.

    Raises:
        ValueError: shows the shapes.
    """
    shapes = f"features {features.shape}, labels {labels.shape}, groups {groups.shape}"
    if labels.ndim != 1 or groups.ndim != 1 or features.ndim < 1 or not len(labels):
        raise ValueError(f"Expected features (n, …), labels (n,) and groups (n,) with n >= 1; received {shapes}.")
    if not len(features) == len(labels) == len(groups):
        raise ValueError(f"features, labels and groups must have the same number n of rows; received {shapes}.")


def checked_splits(splits: Mapping[str, Sequence[str]], names: Sequence[str]) -> dict[str, list[str]]:
    """The caller's division of `names` into splits.

    Raises:
        ValueError: a split or a name that does not exist, or a name in two splits.
    """
    members = [str(name) for found in splits.values() for name in found]
    unknown = sorted({*splits} - {*SPLITS}) + sorted({*members} - {*names})
    if unknown or len(set(members)) < len(members):
        raise ValueError(
            f"splits must map {', '.join(SPLITS)} to disjoint names out of {list(names)[:5]}…; received "
            f"{f'unknown {unknown[:5]}' if unknown else 'a name in two splits'}."
        )
    return {split: [str(name) for name in splits.get(split, [])] for split in SPLITS}


def too_small(split: str, rows: Rows, needed: int, n_way: int) -> str:
    """The message for a split without a group that is large enough."""
    best = max((sum(len(found) >= needed for found in classes) for classes in rows.values()), default=0)
    return (
        f"An episode needs {n_way} classes of one group with at least k_shot + n_query = {needed} examples each; the "
        f"largest of {len(rows)} group(s) in {split} has {best}. Lower n_way, k_shot or n_query, or pass augment=…."
    )


def _padded(lists: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Lists of places as one table `(len, longest) int32`, and their lengths."""
    table = np.zeros((len(lists), max(map(len, lists), default=0)), "int32")
    for row, values in zip(table, lists, strict=True):
        row[: len(values)] = values
    return table, np.array([len(values) for values in lists], "int32")
