"""One task as functions of fast weights: what the inner and the outer loop differentiate."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.fast_weights import FastWeights
from metagpt_tf.meta.algorithm import LossOfWeights, Weights

LossFunction = Any


def scalar_loss(loss: Any) -> LossFunction:
    """Resolve a Keras loss (name, function or object) to a function `(y_true, y_pred) -> ()`."""
    resolved = keras.losses.get(loss)
    if isinstance(resolved, keras.losses.Loss):
        return resolved
    return lambda y_true, y_pred: keras.ops.mean(resolved(y_true, y_pred))


class TaskModel:
    """The model seen from inside one task: fast weights in, predictions and losses out.

    Args:
        model: a built `keras.Model`.
        loss: `(y_true, y_pred) -> ()`.
        layout: which of the model's variables are fast.
        trainable: the model's trainable variables as tensors; the fast ones are replaced at each call.
        training: Keras's training flag (dropout, batch statistics).
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
        self.non_trainable = [tf.convert_to_tensor(v.value) for v in model.non_trainable_variables]
        # A model may make its inputs of (x, y), as teacher forcing does.
        self.inputs = getattr(model, "training_inputs", lambda x, y: x)

    def predict(self, fast: Weights, x: Any, y: Any) -> Any:
        """Predictions with `fast` in place of the scope's variables; running statistics move along."""
        outputs, self.non_trainable = self.model.stateless_call(
            self.layout.merge(self.trainable, fast), self.non_trainable, self.inputs(x, y), training=self.training
        )
        return outputs

    def loss_on(self, x: Any, y: Any) -> LossOfWeights:
        """The loss on `(x, y)` as a function of fast weights."""
        return lambda fast: tf.cast(self.loss(y, self.predict(fast, x, y)), tf.float32)
