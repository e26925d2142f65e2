"""A model as a task left it.

Axes: N rows, P length of a state.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.fast_weights import FastWeights


class AdaptedModel:
    """Predicts with a state in place of the scope's variables; the model itself stays as it is.

    `MetaLearner.adapted` makes it: `f(x; θ with the scope's part replaced by the state)`, without dropout and with
    running statistics.

    Args:
        model: the meta-learned model.
        layout: which variables the state stands for.
        state: `(P,)` float32.
        function: what `prediction_function` made for this model and layout, to share its graphs; `None` for a new one.

    Example:

    >>> import keras, numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    >>> AdaptedModel(model, FastWeights(model), np.array([1.0, 2.0]))(np.array([[3.0, 4.0]], "float32")).numpy().item()
    11.0
    """

    def __init__(
        self, model: keras.Model, layout: FastWeights, state: Any, function: Callable[[Any, Any], Any] | None = None
    ) -> None:
        self.model, self.layout = model, layout
        self.state = tf.constant(state, tf.float32)
        self._function = prediction_function(model, layout) if function is None else function

    def __call__(self, x: Any) -> Any:
        """Predictions for `x` (leading axis N), with the shape the model gives them."""
        return self._function(self.state, tf.nest.map_structure(tf.convert_to_tensor, x))

    def loss(self, loss: Callable[[Any, Any], Any], x: Any, y: Any) -> float:
        """Value of `loss(y, prediction)`; `x` and `y` as in the model's own `fit`."""
        inputs = getattr(self.model, "training_inputs", lambda x, y: x)(x, y)
        return float(loss(y, self(inputs)))


def prediction_function(model: keras.Model, layout: FastWeights) -> Callable[[Any, Any], Any]:
    """A graph function `(state (P,), x)` to predictions; one serves every state."""

    def run(state: tf.Tensor, x: Any) -> Any:
        with keras.StatelessScope(state_mapping=layout.mapping(state)):
            return model(x, training=False)

    return tf.function(run, autograph=False, reduce_retracing=True)
