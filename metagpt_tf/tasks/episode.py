"""One few-shot problem: the examples to learn from and the examples to be judged on.

Axes: M meta-batch, K support, Q query, S source, T target.
"""

from typing import Any, NamedTuple

import tensorflow as tf


class Episode(NamedTuple):
    """A sample of a task: K examples to adapt on and Q other examples of the same task to be judged on.

    `TaskDistribution.as_dataset` yields episodes with a leading meta-batch axis M; `TaskDistribution.sample` gives a
    single one without it. Each field may be a nested structure of tensors that share their leading axes.

    Args:
        support_x: inputs to adapt on, `(M, K, …)`, for text `(M, K, S) int32`.
        support_y: their targets, `(M, K, …)`, for text `(M, K, T) int32`.
        query_x: inputs to predict after adaptation, `(M, Q, …)`.
        query_y: their targets, `(M, Q, …)`.

    Example:

    >>> import numpy as np
    >>> zeros = np.zeros((4, 5, 1), np.float32)
    >>> Episode(zeros, zeros, zeros, zeros).support_x.shape
    (4, 5, 1)

    Reference: Vinyals et al. 2016, Matching Networks, https://arxiv.org/abs/1606.04080 (support and query sets).
    """

    support_x: Any
    support_y: Any
    query_x: Any
    query_y: Any


def check_episode(episode: Any, batched: bool = True) -> None:
    """Raise a readable error unless the shapes of an episode fit together.

    Call it where episodes come from outside. Axes that a graph does not know yet are taken to be right.

    Args:
        episode: an `Episode` or any sequence of its four fields.
        batched: whether the leading axes are (M, K) and (M, Q), or only (K,) and (Q,).

    Raises:
        ValueError: not four fields, a field without tensors or leading axes, an empty axis, or sizes that differ
            between x and y or between support and query.

    Example:

    >>> import numpy as np
    >>> check_episode(Episode(*[np.zeros((2, 5, 1))] * 4))
    >>> check_episode(Episode(*[np.zeros((5, 1))] * 4), batched=False)
    """
    if not isinstance(episode, list | tuple) or len(episode) != len(Episode._fields):
        given = f"{len(episode)} fields" if isinstance(episode, list | tuple) else type(episode).__name__
        raise ValueError(f"An episode has the four fields {', '.join(Episode._fields)}; received {given}.")
    shapes = {name: _shapes(name, field) for name, field in zip(Episode._fields, episode, strict=True)}
    rows = 1 if batched else 0
    for name, leaves in shapes.items():
        for shape in leaves:
            _check_leaf(name, shape, batched)
    if batched:
        _check_equal(shapes, tuple(shapes), axis=0, symbol="M")
    _check_equal(shapes, ("support_x", "support_y"), axis=rows, symbol="K")
    _check_equal(shapes, ("query_x", "query_y"), axis=rows, symbol="Q")


Shape = tuple[int | None, ...] | None


def _shapes(name: str, field: Any) -> list[Shape]:
    leaves = tf.nest.flatten(field)
    if not leaves or any(leaf is None for leaf in leaves):
        raise ValueError(f"{name} holds no tensor. Give an array, or a nested structure of arrays.")
    return [_shape(leaf) for leaf in leaves]


def _shape(leaf: Any) -> Shape:
    """The static shape of an array, a tensor or a spec; None where not even the number of axes is known."""
    shape = leaf.shape if hasattr(leaf, "shape") else tf.convert_to_tensor(leaf).shape
    if isinstance(shape, tf.TensorShape):
        return None if shape.rank is None else tuple(shape.as_list())
    return tuple(shape)


def _check_leaf(name: str, shape: Shape, batched: bool) -> None:
    if shape is None:
        return
    symbol = "K" if name.startswith("support") else "Q"
    axes = ("M", symbol) if batched else (symbol,)
    if len(shape) < len(axes):
        mend = "Add the meta-batch axis (x[None]) or pass batched=False." if len(shape) else "Add an axis."
        raise ValueError(f"{name} has shape {shape}; expected leading axes ({', '.join(axes)}, …). {mend}")
    for axis, size in zip(axes, shape, strict=False):
        if size == 0:
            raise ValueError(
                f"{name} has shape {shape}: axis {axis} is empty. An episode needs at least one task, one support "
                f"and one query example."
            )


def _check_equal(shapes: dict[str, list[Shape]], names: tuple[str, ...], axis: int, symbol: str) -> None:
    sizes = {shape[axis] for name in names for shape in shapes[name] if shape is not None} - {None}
    if len(sizes) > 1:
        given = ", ".join(f"{name} {' '.join(map(str, shapes[name]))}" for name in names)
        raise ValueError(f"Axis {symbol} (axis {axis}) must have one size in {', '.join(names)}; received {given}.")
