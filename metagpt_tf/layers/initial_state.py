"""A recurrent layer whose first state is learned: the smallest thing a task can change in it.

Axes: B batch, S steps, D features, U units.
"""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("metagpt_tf")
class InitialState(keras.layers.Wrapper):
    """Wraps a Keras RNN and owns the state it starts with, one trainable vector for each of its states.

    `h_0 = φ`, `h_t = cell(x_t, h_{t−1})`. φ starts at zero, which is the wrapped layer as it was. Scope
    `"initial_state"` adapts these vectors only: all tasks share the network, and a task is what the network is told
    before it reads. It differs from scope `"context"` in that what it is told may fade while it reads.

    Inside `MetaLearner`, give the RNN `unroll=True` where its sequences are short and of known length.

    Args:
        layer: `keras.layers.GRU`, `LSTM`, `SimpleRNN` or `RNN`.

    Call arguments:
        x: `(B, S, D)` float.
        mask: `(B, S)` bool of real steps, or `None`.
        training: as in the wrapped layer.

    Returns:
        What the wrapped layer returns.

    Raises:
        TypeError: not an RNN layer of Keras.
        ValueError: a stateful one, whose state is not its own at the start of a batch.

    Example:

    >>> layer = InitialState(keras.layers.LSTM(4))
    >>> layer(keras.ops.ones((2, 3, 5))).shape
    TensorShape([2, 4])
    >>> [w.name for w in layer.trainable_weights[:2]]
    ['initial_state_0', 'initial_state_1']
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        if not isinstance(layer, keras.layers.RNN):
            raise TypeError(
                f"InitialState wraps a keras.layers.RNN (GRU, LSTM, SimpleRNN, …), received {type(layer).__name__}. "
                "Wrap the directions of a Bidirectional one by one."
            )
        if layer.stateful:
            raise ValueError(
                f"InitialState: layer {layer.name!r} is stateful, so a batch starts where the last one ended. "
                "Make it with stateful=False."
            )
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def build(self, input_shape: tuple) -> None:
        super().build(input_shape)
        self.first = [
            self.add_weight(shape=(size,), initializer="zeros", name=f"initial_state_{index}")
            for index, size in enumerate(keras.tree.flatten(self.layer.state_size))
        ]

    def call(self, x: Any, mask: Any = None, training: bool = False) -> Any:
        rows = ops.zeros_like(x[:, 0, :1])
        start = [rows + ops.expand_dims(ops.cast(first, x.dtype), 0) for first in self.first]
        if keras.tree.is_nested(self.layer.state_size):  # stacked cells nest their states
            start = keras.tree.pack_sequence_as(self.layer.state_size, start)
        return self.layer(x, initial_state=start, mask=mask, training=training)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask that the wrapped layer hands on."""
        return self.layer.compute_mask(inputs, mask)

    def compute_output_shape(self, input_shape: tuple) -> Any:
        return self.layer.compute_output_shape(input_shape)
