"""Proto-MAML: a prototypical network for a start, gradient steps from there."""

from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.meta.inner import Weights
from metagpt_tf.meta.maml import MAML

HEAD = "head"


@keras.saving.register_keras_serializable("metagpt_tf")
class ProtoMAML(MAML):
    """MAML whose head starts each task as a prototypical network, from the class means of the support set.

        c_n = mean_{y = n} f(x),   W_n = 2 c_n,   b_n = -‖c_n‖²,   so that   f·W_n + b_n = -‖f − c_n‖² + ‖f‖²

    Then n inner steps on all weights of the scope, as in MAML. Use it for N-way classification: the head needs no
    meta-learned meaning of its classes, so that tasks may number them at will, and it starts well with any N.

    It is no entry of the registry, which holds what works for every task: it needs a layer `head` that is linear
    (`keras.layers.Dense` without activation, or `Projection`) and whose output is the model's. Give the object:
    `MetaLearner(model, ProtoMAML(inner_steps=5))`. The class means are found as a gradient,
    `c = ∇_W Σ_k z[k, y_k] / count(y_k)`, with logits `z = f W + b`: no model has to be cut in two. The meta-gradient
    runs through them in first order as well. A class without support examples starts from zeros.

    Args:
        inner_steps, inner_learning_rate, scope, first_order, learn_rate, inner_optimizer, multi_step_loss,
            include_start, first_order_steps, rate_speed: as in `MAML`. The scope must hold the head: `"all"` (default),
            `"head"`.

    Raises:
        ValueError: as in `MAML`; when a task starts, a model without such a head, or a scope without it.

    Example:

    >>> import keras, numpy as np
    >>> from metagpt_tf.meta import MetaLearner
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="head")])
    >>> learner = MetaLearner(model, ProtoMAML(inner_steps=0, scope="head"))
    >>> learner.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> learner.adapt((np.eye(3, 2, dtype="float32"), np.arange(3)))[:6].tolist()  # 2 c, with c = I
    [2.0, 0.0, 0.0, 0.0, 2.0, 0.0]

    Reference: Triantafillou et al., 2020, "Meta-Dataset: A Dataset of Datasets for Learning to Learn from Few
        Examples", section 3.
    """

    def start(self, weights: Weights, support_loss: Any = None) -> Weights:
        if support_loss is None:
            raise ValueError("ProtoMAML starts from a task's support set: pass the task's TaskLoss as support_loss.")
        task = support_loss.task
        kernel, bias = self._places(task.model, task.layout)
        prototypes = self._class_means(weights, support_loss, kernel)  # (D, N)
        started = list(weights)
        started[kernel] = 2.0 * prototypes
        if bias is not None:
            started[bias] = -tf.reduce_sum(prototypes * prototypes, axis=0)
        return started

    def _class_means(self, weights: Weights, support_loss: Any, kernel: int) -> tf.Tensor:
        """Class means `(D, N)` of the features that the head reads, as a gradient of its logits."""
        watched = tf.convert_to_tensor(weights[kernel])
        with tf.GradientTape() as tape:
            tape.watch(watched)
            replaced = [watched if place == kernel else weight for place, weight in enumerate(weights)]
            _, logits = support_loss.task.evaluate(replaced, support_loss.x, support_loss.y)
            members = _memberships(support_loss.y, logits)
            shares = members / tf.maximum(tf.reduce_sum(members, axis=0, keepdims=True), 1.0)
            chosen = tf.reduce_sum(tf.cast(logits, tf.float32) * shares)
        return tf.convert_to_tensor(tape.gradient(chosen, watched))

    def _places(self, model: keras.Model, layout: Any) -> tuple[int, int | None]:
        """Where the head's kernel and bias stand among the fast weights."""
        head = next((layer for layer in model.layers if layer.name == HEAD), None)
        kernel, bias = getattr(head, "kernel", None), getattr(head, "bias", None)
        linear = getattr(head, "activation", None) in (None, keras.activations.linear)
        if kernel is None or len(kernel.shape) != 2 or not linear:
            found = f"a {type(head).__name__}" if head is not None else f"only {[la.name for la in model.layers]}"
            raise ValueError(
                f"ProtoMAML needs a linear layer named {HEAD!r} with a kernel (D, N) at the end of model "
                f"{model.name!r}; found {found}. Use keras.layers.Dense(n_way, name={HEAD!r}), with a loss over logits."
            )
        places = {id(variable): place for place, variable in enumerate(layout.variables)}
        if id(kernel) not in places or (bias is not None and id(bias) not in places):
            raise ValueError(
                f"ProtoMAML sets the head's kernel and bias, and scope {layout.scope!r} does not hold them. Use "
                "scope='all' or scope='head'."
            )
        return places[id(kernel)], None if bias is None else places[id(bias)]


def _memberships(labels: Any, logits: tf.Tensor) -> tf.Tensor:
    """Labels `(K,)`, `(K, 1)` or one-hot `(K, N)` as `(K, N)` float32."""
    labels, n_way = tf.convert_to_tensor(labels), logits.shape[-1]
    if logits.shape.rank != 2:
        raise ValueError(f"ProtoMAML classifies rows: expected logits (K, N), the model gives shape {logits.shape}.")
    if labels.shape.rank == 2 and labels.shape[1] == n_way and n_way > 1:
        return tf.cast(labels, tf.float32)
    if labels.shape.rank == 1 or (labels.shape.rank == 2 and labels.shape[1] == 1):
        return tf.one_hot(tf.cast(tf.reshape(labels, [-1]), tf.int32), n_way)
    raise ValueError(f"ProtoMAML needs labels (K,), (K, 1) or one-hot (K, {n_way}), received shape {labels.shape}.")
