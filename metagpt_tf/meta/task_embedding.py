"""What kind of task is this: a support set as one vector."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.meta.inner import Weights

TINY = 1e-8


@keras.saving.register_keras_serializable("metagpt_tf")
class TaskEmbedding(keras.layers.Layer):
    """A vector for a support set, the same in whatever order its examples come.

    From examples, `z = W_2 · mean_k relu(W_1 [x_k, y_k] + b_1) + b_2` with two hidden layers; or from the loss at the
    initialisation, `z = W_2 relu(W_1 τ + b_1) + b_2` with τ the log loss and, for each tensor of the scope, the log
    norm and the scaled mean of its gradient.

    Args:
        dim: width of z.
        example_size: numbers in one example, x and y flattened; `None` to read gradients.

    Example:

    >>> embedding = TaskEmbedding(4, example_size=2)
    >>> embedding.build([(1,)])
    >>> embedding.of_examples(tf.zeros((5, 1)), tf.zeros((5, 1))).shape
    TensorShape([4])
    """

    def __init__(self, dim: int, example_size: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim, self.example_size = dim, example_size

    def build(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Make the weights for fast weights of these shapes."""
        width = 1 + 2 * len(shapes) if self.example_size is None else self.example_size
        hidden = max(2 * self.dim, 16)
        sizes = [(width, hidden), (hidden, hidden), (hidden, self.dim)]
        self.parts = [
            (
                self.add_weight(shape=size, initializer="glorot_uniform", name=f"kernel_{i}", dtype="float32"),
                self.add_weight(shape=size[1:], initializer="zeros", name=f"bias_{i}", dtype="float32"),
            )
            for i, size in enumerate(sizes)
        ]
        self.built = True

    def of_task(self, weights: Weights, support_loss: Any, algorithm: Any) -> tf.Tensor:
        """z `(dim,)` of a task: `support_loss` is its `TaskLoss`, `weights` where it is looked at from."""
        if self.example_size is not None:
            return self.of_examples(support_loss.x, support_loss.y)
        loss, gradients = algorithm.gradients([tf.stop_gradient(w) for w in weights], support_loss)
        return self.of_gradients(loss, gradients)

    def of_examples(self, x: Any, y: Any) -> tf.Tensor:
        """z `(dim,)` of examples with a leading axis K.

        Raises:
            ValueError: examples of another size than `example_size`.
        """
        parts = [tf.cast(t, tf.float32) for t in tf.nest.flatten((x, y))]
        rows = tf.concat([tf.reshape(t, [tf.shape(t)[0], _width(t)]) for t in parts], axis=1)
        if rows.shape[1] != self.example_size:
            shapes = ", ".join(str(t.shape) for t in parts)
            raise ValueError(
                f"An example has {rows.shape[1]} numbers (x and y of shapes {shapes}), and the task embedding was made "
                f"for example_size={self.example_size}. Give the size of one example, x and y flattened."
            )
        return self._last(tf.reduce_mean(self._hidden(rows), axis=0, keepdims=True))

    def of_gradients(self, loss: tf.Tensor, gradients: Weights) -> tf.Tensor:
        """z `(dim,)` of the loss at the initialisation and its gradients; nothing is differentiated through them."""
        flat = [tf.stop_gradient(tf.reshape(tf.cast(g, tf.float32), [-1])) for g in gradients]
        norms = tf.stack([tf.sqrt(tf.reduce_mean(g * g) + TINY**2) for g in flat])
        means = tf.stack([tf.reduce_mean(g) for g in flat]) / (norms + TINY)
        log_loss = tf.math.log(tf.abs(tf.cast(tf.stop_gradient(loss), tf.float32)) + TINY)
        features = tf.concat([log_loss[None], tf.math.log(norms + TINY), means], 0)
        return self._last(self._hidden(features[None]))

    def _hidden(self, rows: tf.Tensor) -> tf.Tensor:
        for kernel, bias in self.parts[:-1]:
            rows = tf.maximum(tf.matmul(rows, tf.convert_to_tensor(kernel)) + tf.convert_to_tensor(bias), 0.0)
        return rows

    def _last(self, row: tf.Tensor) -> tf.Tensor:
        kernel, bias = self.parts[-1]
        return (tf.matmul(row, tf.convert_to_tensor(kernel)) + tf.convert_to_tensor(bias))[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dim": self.dim, "example_size": self.example_size}


def _width(t: tf.Tensor) -> int:
    return int(tf.TensorShape(t.shape[1:]).num_elements() or 1)
