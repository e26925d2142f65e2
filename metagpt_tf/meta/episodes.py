"""Checks at the learner's door: what comes in is an episode, whole and of the right shape.

An episode here is any 4-tuple (support_x, support_y, query_x, query_y): the learner knows nothing of where it comes from.
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf


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


def check_finite(dataset: tf.data.Dataset, steps: int | None, argument: str) -> None:
    """Refuse an endless dataset without a number of steps: `fit` would never return.

    Raises:
        ValueError: endless dataset, no steps.
    """
    if steps is None and int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            f"This dataset of episodes is endless: pass {argument}=…, or make it with as_dataset(..., num_batches=…)."
        )


def check_support(support: Any) -> tuple[Any, Any]:
    """The two parts of a support set.

    Raises:
        ValueError: not a pair, no rows, or different numbers of rows.
    """
    if not isinstance(support, (tuple, list)) or len(support) != 2:
        raise ValueError(f"adapt takes a support set (x, y), received {type(support).__name__}.")
    rows = [np.shape(t) for t in tf.nest.flatten(tuple(support))]
    if any(not shape for shape in rows):
        raise ValueError(f"Every part of a support set needs a leading axis K of examples; received shapes {rows}.")
    counts = {shape[0] for shape in rows}
    if counts == {0}:
        raise ValueError(f"The support set is empty (shapes {rows}): give at least one example to adapt to.")
    if len(counts) > 1:
        raise ValueError(f"x and y of a support set must have the same number K of examples; received shapes {rows}.")
    return support[0], support[1]


def zeros_like_spec(spec: Any) -> Any:
    """One row of zeros for each tensor spec with leading axes (M, K, …): enough to build a model with."""
    return tf.nest.map_structure(lambda s: tf.zeros([1, *[d or 1 for d in s.shape[2:]]], s.dtype), spec)
