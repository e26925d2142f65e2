"""Inner steps that are computed again in the outer backward pass instead of being kept: memory for time.

Second order differentiates through n inner steps, each a forward and a backward pass of the model. Plainly, all their
activations live until the outer backward pass has used them: memory grows with n. Recomputed, only what enters a step
is kept (fast weights, slots), and one step's activations at a time: `O(n · P + one step)` instead of
`O(n · (P + one step))`, for about one more evaluation of each step.

A recomputed function has gradients in its arguments only: what it reads from outside is a constant to it, and nothing
would tell. So everything that a step depends on goes through `_Inputs`.

Axes: M meta-batch, K support, P length of a state.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from metagpt_tf.meta.inner import Carry
from metagpt_tf.meta.task import TaskLoss


class _Inputs(NamedTuple):
    """All tensors that an inner step depends on.

    Attributes:
        fast: fast weights.
        slots: what the carry keeps beside them.
        others: the model's trainable weights outside of the scope.
        own: the algorithm's trainable weights (learned rates).
        states: the model's non-trainable variables as they are before the step (running statistics, random seeds).
        x, y: the support set, leading axis K.
    """

    fast: Any
    slots: Any
    others: Any
    own: Any
    states: Any
    x: Any
    y: Any


class _Outputs(NamedTuple):
    """What a step returns; of `states` only those that it has moved."""

    fast: Any
    slots: Any
    loss: Any
    states: Any


@contextmanager
def recomputed_steps(algorithm: Any, wanted: bool = True) -> Iterator[None]:
    """Let `algorithm.adapt` recompute its steps, as long as this lasts.

    Args:
        algorithm: an `Algorithm`; in first order, where nothing of a step is kept, this changes nothing.
        wanted: `False` to change nothing.
    """
    before, algorithm.recomputes = algorithm.recomputes, wanted
    try:
        yield
    finally:
        algorithm.recomputes = before


def recomputed_step(algorithm: Any, carry: Carry, support_loss: TaskLoss, rate_multiplier: Any) -> Any:
    """`algorithm.step`, recomputed when it is differentiated.

    Args:
        algorithm: an `Algorithm`.
        carry: where the task stands; its index is an `int`.
        support_loss: the task's support loss. States that the step moves are moved in its task, as `step` does.
        rate_multiplier: a constant factor on the rates.

    Returns:
        The new carry, and the support loss before the step, `()` float32.
    """
    task, moved = support_loss.task, set[int]()
    fast_indices = set(task.layout.indices)
    inputs = _Inputs(
        carry.weights,
        carry.slots,
        [w for i, w in enumerate(task.trainable) if i not in fast_indices],
        [tf.convert_to_tensor(v.value) for v in algorithm.trainable_variables],
        task.non_trainable,
        support_loss.x,
        support_loss.y,
    )

    def step(inputs: _Inputs) -> _Outputs:
        view = copy.copy(task)
        view.trainable = _interleave(inputs.others, len(task.trainable), fast_indices)
        view.non_trainable = list(inputs.states)
        loss_of = TaskLoss(view, inputs.x, inputs.y)
        # The backward pass runs outside of the learner's scope, so the algorithm's weights are bound again here.
        own = list(zip(algorithm.trainable_variables, inputs.own, strict=True))
        with keras.StatelessScope(state_mapping=own):
            new, loss = algorithm.step(Carry(inputs.fast, inputs.slots, carry.index), loss_of, rate_multiplier)
        pairs = zip(view.non_trainable, inputs.states, strict=True)
        moved.update(i for i, (after, before) in enumerate(pairs) if after is not before)
        return _Outputs(new.weights, new.slots, loss, [view.non_trainable[i] for i in sorted(moved)])

    outputs = _recomputed(step, inputs)
    states = list(task.non_trainable)
    for index, value in zip(sorted(moved), outputs.states, strict=True):
        states[index] = value
    task.non_trainable = states
    return Carry(list(outputs.fast), outputs.slots, carry.index + 1), outputs.loss


def _recomputed(step: Callable[[_Inputs], _Outputs], inputs: _Inputs) -> _Outputs:
    """`step(inputs)`, of which only the inputs are kept for the backward pass."""
    structure: list[_Outputs] = []

    @tf.custom_gradient
    def run(*flat: tf.Tensor) -> Any:
        # Cut off, so that no tape outside records what must not be kept.
        outputs = step(tf.nest.pack_sequence_as(inputs, [tf.stop_gradient(t) for t in flat]))
        structure.append(outputs)

        def backward(*upstream: tf.Tensor, variables: Any = None) -> Any:
            found = _gradients(step, tf.nest.pack_sequence_as(inputs, flat), upstream)
            return (found, [None] * len(variables)) if variables else found

        return tuple(tf.nest.flatten(outputs)), backward

    flat = run(*tf.nest.flatten(inputs))
    return tf.nest.pack_sequence_as(structure[0], flat)


def _gradients(step: Callable[[_Inputs], _Outputs], inputs: _Inputs, upstream: Sequence[tf.Tensor]) -> list[Any]:
    """Gradients in the flat inputs, from a second evaluation of `step` that begins when `upstream` is there."""
    with tf.GradientTape() as tape:
        again = _after(upstream, tf.nest.map_structure(tf.identity, inputs))
        flat = tf.nest.flatten(again)
        watched = [t for t in flat if t.dtype.is_floating]
        tape.watch(watched)
        outputs = tf.nest.flatten(step(again))
    pairs = [(o, g) for o, g in zip(outputs, upstream, strict=True) if o.dtype.is_floating]
    targets, seeds = ([pair[i] for pair in pairs] for i in (0, 1))
    found = iter(tape.gradient(targets, watched, output_gradients=seeds))
    gradients = [next(found) if t.dtype.is_floating else None for t in flat]
    return [None if g is None else tf.convert_to_tensor(g) for g in gradients]


def _after(upstream: Sequence[tf.Tensor], inputs: _Inputs) -> _Inputs:
    """`inputs`, equal but dependent on `upstream`: else the graph's optimizer merges both evaluations into one.

    Weights outside of the scope stay as they are: under `vectorized_map` one copy of them serves all tasks.
    """
    first = next(g for g in upstream if g.dtype.is_floating)
    value = tf.reduce_max(tf.reshape(first, [-1])[:1])
    # Zero, whatever the value is, in a form that no optimizer may simplify.
    zero = tf.where(tf.equal(tf.cast(value, tf.bool), tf.cast(value, tf.bool)), 0.0, float("nan"))

    def wait(t: tf.Tensor) -> tf.Tensor:
        return t + tf.cast(zero, t.dtype) if t.dtype.is_floating or t.dtype.is_integer else t

    parts = {name: tf.nest.map_structure(wait, getattr(inputs, name)) for name in ("fast", "slots", "x", "y")}
    return inputs._replace(**parts)


def _interleave(others: Sequence[Any], count: int, fast_indices: set[int]) -> list[Any]:
    """`others` in their places among `count` weights; the fast ones' places are filled by `FastWeights.merge`."""
    rest = iter(others)
    return [None if i in fast_indices else next(rest) for i in range(count)]
