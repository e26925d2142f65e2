"""One task as functions of fast weights: what the inner and the outer loop differentiate."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.fast_weights import FastWeights
from metagpt_tf.meta.inner import Weights

LossFunction = Callable[[Any, Any], Any]


@keras.saving.register_keras_serializable("metagpt_tf")
class FunctionLoss(keras.losses.Loss):
    """A loss function as a loss object: reduced to a mean, and read exactly as `Model.compile` would read it.

    Args:
        function: `(y_true, y_pred)` to losses of any shape.
        name: name of the loss.

    Example:

    >>> loss = FunctionLoss(lambda y_true, y_pred: abs(y_true - y_pred))
    >>> float(loss(keras.ops.array([0.0, 2.0]), keras.ops.array([1.0, 1.0])))
    1.0
    """

    def __init__(self, function: LossFunction, name: str = "function_loss", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        # Labels (K,) against predictions (K, 1) would broadcast to (K, K), and nothing would tell.
        if hasattr(y_true, "shape") and hasattr(y_pred, "shape"):
            if len(y_pred.shape) == len(y_true.shape) + 1 and y_pred.shape[-1] == 1:
                y_true = keras.ops.expand_dims(y_true, -1)
            elif len(y_true.shape) == len(y_pred.shape) + 1 and y_true.shape[-1] == 1:
                y_true = keras.ops.squeeze(y_true, -1)
        return self.function(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "function": keras.saving.serialize_keras_object(self.function)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FunctionLoss":
        return cls(**{**config, "function": keras.saving.deserialize_keras_object(config["function"])})


def scalar_loss(loss: Any) -> LossFunction:
    """Resolve a Keras loss (name, function or object) to a function `(y_true, y_pred) -> ()`.

    Raises:
        ValueError: Keras knows no such loss.
    """
    resolved = keras.losses.get(loss)
    return resolved if isinstance(resolved, keras.losses.Loss) else FunctionLoss(resolved)


def task_mean(loss: LossFunction, y_true: Any, y_pred: Any) -> tf.Tensor:
    """The mean loss `()` float32 of one task, wherever it runs.

    Under `tf.distribute`, Keras divides what a loss object averages by the number of replicas. A task's rows all lie on
    one replica, so that its inner steps would be shorter by that factor: it is taken back here.
    """
    value = tf.cast(loss(y_true, y_pred), tf.float32)
    value = value if value.shape.rank == 0 else tf.reduce_mean(value)
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return value * replicas if replicas > 1 and _keras_divided(loss, y_true, y_pred) else value


def _keras_divided(loss: LossFunction, y_true: Any, y_pred: Any) -> bool:
    """Whether `Loss.__call__` has averaged, and so divided: it does neither for other reductions, nor to a scalar."""
    if not isinstance(loss, keras.losses.Loss) or type(loss).__call__ is not keras.losses.Loss.__call__:
        return False
    if loss.reduction not in ("sum_over_batch_size", "mean", "mean_with_sample_weight"):
        return False
    y_true, y_pred = tf.nest.map_structure(lambda t: keras.ops.convert_to_tensor(t, loss.dtype), (y_true, y_pred))
    return loss.call(y_true, y_pred).shape.rank > 0


class TaskModel:
    """The model seen from inside one task: fast weights in, predictions and losses out, no variable written.

    Args:
        model: a built `keras.Model`.
        loss: `(y_true, y_pred) -> ()`.
        layout: which of the model's variables are fast.
        trainable: the model's trainable variables as tensors; the fast ones are replaced at each call.
        training: Keras's training flag (dropout, batch statistics).

    Attributes:
        non_trainable: values of the model's other variables, which move from call to call.
    """

    def __init__(
        self,
        model: keras.Model,
        loss: LossFunction,
        layout: FastWeights,
        trainable: Sequence[Any],
        training: bool = False,
    ) -> None:
        self.model, self.loss, self.layout = model, loss, layout
        self.trainable, self.training = trainable, training
        self._first = [tf.convert_to_tensor(v.value) for v in model.non_trainable_variables]
        self.non_trainable = list(self._first)
        # A model may make its inputs of (x, y), as teacher forcing does.
        self.inputs = getattr(model, "training_inputs", lambda x, y: x)

    def evaluate(self, fast: Weights, x: Any, y: Any) -> tuple[tf.Tensor, Any]:
        """Loss `()` float32 and predictions with `fast` in place of the scope's variables.

        The loss includes what the model adds to it itself (regularisers, `add_loss`), as in the model's own `fit`.
        Running statistics and random seeds move along.
        """
        # Not `stateless_call`: it goes round the model's `__call__`, and fails where `call` takes no `training`.
        with self.scope(fast) as scope:
            outputs = self.model(self.inputs(x, y), training=self.training)
            penalties = [tf.reduce_sum(tf.cast(p, tf.float32)) for p in self.model.losses]
        self.non_trainable = [scope.get_current_value(v) for v in self.model.non_trainable_variables]
        loss = task_mean(self.loss, y, outputs)
        return (tf.add_n([loss, *penalties]) if penalties else loss), outputs

    def scope(self, fast: Weights) -> keras.StatelessScope:
        """Within it, the model and its parts run with `fast` in place of the scope's variables."""
        variables = [*self.model.trainable_variables, *self.model.non_trainable_variables]
        values = [*self.layout.merge(self.trainable, fast), *self.non_trainable]
        return keras.StatelessScope(list(zip(variables, values, strict=True)), collect_losses=True)

    def loss_on(self, x: Any, y: Any) -> "TaskLoss":
        """The loss on `(x, y)` as a function of fast weights."""
        return TaskLoss(self, x, y)

    def moved(self) -> tuple[Any, ...]:
        """For each non-trainable variable its new value, `()` if no call has assigned it.

        A frozen layer's weights are non-trainable too: handing them on would copy them for every task of a meta-batch,
        and their mean over tasks would differ from them in the last bit.
        """
        pairs = zip(self.non_trainable, self._first, strict=True)
        return tuple(() if new is old else new for new, old in pairs)


class TaskLoss:
    """Loss `()` of a task's examples as a function of fast weights; algorithms may look at the examples too.

    Args:
        task: the model inside the task.
        x: inputs with a leading axis K (nested allowed).
        y: targets with a leading axis K.
    """

    def __init__(self, task: TaskModel, x: Any, y: Any) -> None:
        self.task, self.x, self.y = task, x, y

    def __call__(self, fast: Weights) -> tf.Tensor:
        return self.task.evaluate(fast, self.x, self.y)[0]

    @property
    def size(self) -> int | None:
        """K, where it is static."""
        return tf.nest.flatten(self.x)[0].shape[0]

    def rows(self, begin: int, end: int) -> "TaskLoss":
        """The loss of examples `begin` to `end`."""
        x, y = tf.nest.map_structure(lambda t: t[begin:end], (self.x, self.y))
        return TaskLoss(self.task, x, y)
