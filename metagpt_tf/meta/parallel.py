"""Two ways through a meta-batch: all tasks at once, or one after the other with the memory of one.

Both see the same random numbers: every task starts from the model's present seeds, so dropout masks are shared by the
tasks of a meta-batch and differ between calls and steps.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from metagpt_tf.registry import closest

FORMS = ("vectorized", "sequential")


def check_form(form: str) -> str:
    """Return `form`, or say which forms there are.

    Raises:
        ValueError: unknown form; the message suggests the closest one.
    """
    if form not in FORMS:
        raise ValueError(f"Unknown task_parallelism {form!r}. {closest(form, FORMS)}")
    return form


def map_tasks(form: str, function: Callable[[Any], Any], episodes: Any) -> Any:
    """`function` of every task; results stacked along a leading task axis M."""
    if form == "vectorized":
        return tf.vectorized_map(function, episodes)
    spec = _result_spec(function, episodes)
    return tf.map_fn(function, episodes, fn_output_signature=spec, parallel_iterations=1)


def mean_gradients(
    form: str,
    function: Callable[[Any], Any],
    episodes: Any,
    weights: list[tf.Tensor],
    scale: Callable[[tf.Tensor], tf.Tensor],
    task_by_task: bool = False,
) -> tuple[list[tf.Tensor], Any]:
    """Gradients of the mean of `function(task).objective` in `weights`, and the stacked results.

    Args:
        form: `"vectorized"` or `"sequential"`.
        function: a task to a named tuple with a scalar field `objective`.
        episodes: nested tensors with leading axis M.
        weights: tensors that `function` reads.
        scale: applied to each objective before it is differentiated (loss scaling).
        task_by_task: let each task of the vectorized form take its own gradient, at the price of M gradients of all
            weights at once. `vectorized_map` rewrites the operations of a task and drops custom gradients on the way:
            differentiated from outside, a recomputed inner step would be kept after all.

    Returns:
        Gradients shaped as `weights`, dense; the fields of the results with a leading axis M.
    """

    def with_gradients(task: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(weights)
            result = function(task)
            loss = scale(result.objective)
        return _dense_gradients(tape, loss, weights), result

    if form == "sequential":
        return _accumulate(with_gradients, _result_spec(function, episodes), episodes, weights)
    if task_by_task:
        gradients, results = tf.vectorized_map(with_gradients, episodes)
        return [tf.reduce_mean(g, axis=0) for g in gradients], results
    with tf.GradientTape() as tape:
        tape.watch(weights)
        results = tf.vectorized_map(function, episodes)
        loss = scale(tf.reduce_mean(results.objective))
    return _dense_gradients(tape, loss, weights), results


def _accumulate(
    with_gradients: Callable[[Any], Any], spec: Any, episodes: Any, weights: list[tf.Tensor]
) -> tuple[list[tf.Tensor], Any]:
    """Sum gradients and stack results in one loop over tasks; `spec` is the structure of a task's result."""
    tasks = tf.shape(tf.nest.flatten(episodes)[0])[0]
    stores = tf.nest.map_structure(lambda s: tf.TensorArray(s.dtype, size=tasks, element_shape=s.shape), spec)

    def body(i: tf.Tensor, sums: list[tf.Tensor], stores: Any) -> tuple:
        gradients, result = with_gradients(tf.nest.map_structure(lambda t: t[i], episodes))
        sums = [s + g for s, g in zip(sums, gradients, strict=True)]
        return i + 1, sums, tf.nest.map_structure(lambda store, value: store.write(i, value), stores, result)

    start = (tf.constant(0), [tf.zeros_like(w) for w in weights], stores)
    _, sums, stores = tf.while_loop(lambda i, *_: i < tasks, body, start, parallel_iterations=1)
    results = tf.nest.map_structure(lambda store: store.stack(), stores)
    return [s / tf.cast(tasks, s.dtype) for s in sums], results


def _dense_gradients(tape: tf.GradientTape, loss: tf.Tensor, weights: list[tf.Tensor]) -> list[tf.Tensor]:
    found = tape.gradient(loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [tf.convert_to_tensor(g) for g in found]


def _result_spec(function: Callable[[Any], Any], episodes: Any) -> Any:
    """Shapes and types of `function`'s result for one task; a loop must know them before it runs."""
    specs = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape[1:], t.dtype), episodes)
    traced = tf.function(lambda *flat: function(tf.nest.pack_sequence_as(episodes, flat)), autograph=False)
    outputs = traced.get_concrete_function(*tf.nest.flatten(specs)).structured_outputs
    return tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), outputs)
