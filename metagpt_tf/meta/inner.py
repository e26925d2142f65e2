"""What runs through an inner loop: where a task stands between two steps, and the path it leaves behind."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

Weights = list[tf.Tensor]
LossOfWeights = Callable[[Weights], tf.Tensor]


def dot(first: Weights, second: Weights) -> tf.Tensor:
    """`⟨first, second⟩` over all tensors, `()`, in the precision of `first`."""
    return tf.add_n([tf.reduce_sum(a * tf.cast(b, a.dtype)) for a, b in zip(first, second, strict=True)])


class Carry(NamedTuple):
    """What one inner step hands to the next.

    Attributes:
        weights: fast weights.
        slots: whatever the algorithm and its inner optimizer keep beside them (momentum, the start), nested tensors.
        index: number of steps taken, `int` in an unrolled loop, `() int32` in a loop of the graph.
    """

    weights: Weights
    slots: Any
    index: Any


class Adaptation(NamedTuple):
    """An inner loop that has run.

    Attributes:
        path: fast weights before the first step, and after each one: n + 1 entries.
        losses: support loss `()` before each of the n steps.
        carry: what the last step has left, `None` where nobody asks.
    """

    path: list[Weights]
    losses: list[tf.Tensor]
    carry: Carry | None = None

    @property
    def start(self) -> Weights:
        """Fast weights that the task began with."""
        return self.path[0]

    @property
    def fast(self) -> Weights:
        """Fast weights after the last step."""
        return self.path[-1]

    @property
    def support_loss(self) -> tf.Tensor:
        """The support loss seen by the last step, 0 without steps."""
        return self.losses[-1] if self.losses else tf.zeros((), tf.float32)
