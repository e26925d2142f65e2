"""Zeros of a pruned model that stay while it trains plainly."""

from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.compression.prunable import prunable_variables


class KeepZeros(keras.callbacks.Callback):
    """Keeps the zeros that a pruned model begins `fit` with: plain fine-tuning of what `prune` returned.

    Example:

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> _ = model.layers[0].kernel.assign([[0.0], [1.0]])
    >>> model.compile("sgd", "mse")
    >>> x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    >>> _ = model.fit(x, y, verbose=0, callbacks=[KeepZeros()])
    >>> model.layers[0].kernel.numpy()[0].item()
    0.0
    """

    def on_train_begin(self, logs: Any = None) -> None:
        variables = [v for v, _ in prunable_variables(self.model)]
        self._masks = [(v, tf.cast(v.value != 0, v.dtype)) for v in variables]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        for variable, mask in self._masks:
            variable.assign(variable.value * mask)

    def on_train_end(self, logs: Any = None) -> None:
        self.on_train_batch_end(0)  # an optimizer may write its averages after the last step
