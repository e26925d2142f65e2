"""Checks at the learner's door: what comes in is an episode, whole and of the right shape.

An episode here is any 4-tuple (support_x, support_y, query_x, query_y): the learner does not know where it comes from.

Axes: M meta-batch, K support, Q query.
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

Shape = tuple[int | None, ...]


class Fields(NamedTuple):
    """The four parts of an episode by name."""

    support_x: Any
    support_y: Any
    query_x: Any
    query_y: Any


def as_episode(data: Any) -> Fields:
    """The four parts of `data`.

    Raises:
        ValueError: not four parts.
    """
    if not isinstance(data, (tuple, list)) or len(data) != len(Fields._fields):
        raise ValueError(
            "Expected an Episode (support_x, support_y, query_x, query_y) with leading axes (M, K, …) and (M, Q, …); "
            f"received {type(data).__name__} of {len(data) if isinstance(data, (tuple, list, dict)) else 1} part(s)."
        )
    return Fields(*data)


def check_dataset(dataset: Any, steps: int | None, argument: str) -> Fields:
    """The element specs of a dataset of episodes that `fit` or `evaluate` can run through.

    Args:
        dataset: what the caller gave.
        steps: how many meta-batches will be drawn; `None` for all.
        argument: the caller's name for `steps`.

    Raises:
        TypeError: not a `tf.data.Dataset`.
        ValueError: endless without `steps`, elements that are no episodes, or shapes that do not fit together.
    """
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            f"MetaLearner takes a tf.data.Dataset of Episode, received {type(dataset).__name__}. "
            "TaskDistribution.as_dataset(...) makes one; tf.data.Dataset.from_tensors(Episode(...)) is one meta-batch."
        )
    check_finite(dataset, steps, argument)
    spec = as_episode(dataset.element_spec)
    check_shapes(spec)
    return spec


def check_finite(dataset: tf.data.Dataset, steps: int | None, argument: str) -> None:
    """Refuse an endless dataset without a number of steps: it would never be through.

    Raises:
        ValueError: endless dataset, no steps.
    """
    if steps is None and int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            f"This dataset of episodes is endless: pass {argument}=…, or make it with as_dataset(..., num_batches=…)."
        )


def check_shapes(episode: Fields) -> None:
    """Refuse sizes that do not fit together, where they are known: broadcasting would hide most of them.

    Raises:
        ValueError: a missing leading axis, an empty one, or sizes M, K or Q that differ.
    """
    shapes = {name: _leaf_shapes(field) for name, field in episode._asdict().items()}
    shown = ", ".join(f"{name} {' '.join(map(str, found))}" for name, found in shapes.items())
    if any(len(shape) < 2 for found in shapes.values() for shape in found):
        raise ValueError(
            f"The parts of an episode need leading axes (M, K, …) and (M, Q, …); received {shown}. "
            "Add the meta-batch axis with dataset.batch(M)."
        )
    _check_axis("M (tasks)", shapes.values(), 0, shown)
    _check_axis("K (support examples)", (shapes["support_x"], shapes["support_y"]), 1, shown)
    _check_axis("Q (query examples)", (shapes["query_x"], shapes["query_y"]), 1, shown)


def check_support(support: Any) -> tuple[Any, Any]:
    """The two parts of a support set.

    Raises:
        ValueError: not a pair, no rows, or different numbers of rows.
    """
    if not isinstance(support, (tuple, list)) or len(support) != 2:
        given = f" of {len(support)} part(s)" if isinstance(support, (tuple, list, dict)) else ""
        raise ValueError(
            f"adapt takes a support set (x, y), each with a leading axis K; received {type(support).__name__}{given}."
        )
    rows = [tuple(np.shape(t)) for t in tf.nest.flatten(tuple(support))]
    if not rows or any(not shape for shape in rows):
        raise ValueError(
            f"Every part of a support set needs a leading axis K of examples; received shapes {rows}. "
            "Give arrays or tensors, x[None] for a single example."
        )
    counts = {shape[0] for shape in rows}
    if counts == {0}:
        raise ValueError(f"The support set is empty (shapes {rows}): give at least one example to adapt to.")
    if len(counts) > 1:
        raise ValueError(f"x and y of a support set must have the same number K of examples; received shapes {rows}.")
    return support[0], support[1]


def zeros_like_spec(spec: Any) -> Any:
    """One row of zeros for each tensor spec with leading axes (M, K, …): enough to build a model with."""
    return tf.nest.map_structure(lambda s: tf.zeros([1, *[d or 1 for d in s.shape[2:]]], s.dtype), spec)


def _leaf_shapes(field: Any) -> list[Shape]:
    """Shapes of the tensors in one part; those of unknown rank are left out."""
    return [tuple(s.shape.as_list()) for s in tf.nest.flatten(field) if s.shape.rank is not None]


def _check_axis(words: str, groups: Any, axis: int, shown: str) -> None:
    sizes = {shape[axis] for found in groups for shape in found} - {None}
    if 0 in sizes:
        raise ValueError(f"Axis {words} of an episode is empty: {shown}. Give at least one of each.")
    if len(sizes) > 1:
        raise ValueError(f"Axis {words} must have one size, received {sorted(sizes)}: {shown}.")
