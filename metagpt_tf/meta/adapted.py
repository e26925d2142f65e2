"""A model as a task left it."""

from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.fast_weights import FastWeights


class AdaptedModel:
    """Predicts with a state in place of the scope's variables; the model itself stays as it is.

    Args:
        model: the meta-learned model.
        layout: which variables the state stands for.
        state: `(P,)` float32.
    """

    def __init__(self, model: keras.Model, layout: FastWeights, state: Any) -> None:
        self.model, self.layout = model, layout
        self.state = tf.constant(state, tf.float32)
        self._function = tf.function(self._run, autograph=False, reduce_retracing=True)

    def __call__(self, x: Any) -> Any:
        """Predictions for `x`, with the shape the model gives them."""
        return self._function(tf.nest.map_structure(tf.convert_to_tensor, x))

    def _run(self, x: Any) -> Any:
        with keras.StatelessScope(state_mapping=self.layout.mapping(self.state)):
            return self.model(x, training=False)

    def loss(self, loss: Any, x: Any, y: Any) -> float:
        """Value of `loss(y, prediction)`; `x` and `y` as in the model's own `fit`."""
        inputs = getattr(self.model, "training_inputs", lambda x, y: x)(x, y)
        return float(loss(y, self(inputs)))
