"""How a policy's outputs become actions: pure functions of outputs and noise, so that a rollout needs no random state.

Axes: A numbers of an action, or arms to choose from; `…` any leading axes.
"""

import math
from typing import Any

import tensorflow as tf


class ActionDistribution:
    """Base: what an environment's actions look like, and how a policy's outputs describe their distribution.

    Args:
        size: int >= 1, A.

    Attributes:
        outputs: how many numbers a policy gives for one action.

    Raises:
        ValueError: a size below 1.
    """

    outputs: int
    dtype: Any = tf.float32

    def __init__(self, size: int) -> None:
        if isinstance(size, bool) or not hasattr(size, "__index__") or size < 1:
            raise ValueError(f"{type(self).__name__}: expected size to be an integer >= 1, received {size!r}.")
        self.size = int(size)

    def noise(self, seed: tf.Tensor, shape: Any) -> tf.Tensor:
        """Noise `(*shape, A)` for actions of leading axes `shape`; `seed (2,) int32`."""
        raise NotImplementedError(f"{type(self).__name__} must define noise(seed, shape).")

    def sample(self, outputs: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Actions for a policy's outputs `(…, outputs)` and noise `(…, A)`."""
        raise NotImplementedError(f"{type(self).__name__} must define sample(outputs, noise).")

    def log_prob(self, outputs: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        """`log π(a)`, `(…)`."""
        raise NotImplementedError(f"{type(self).__name__} must define log_prob(outputs, actions).")

    def entropy(self, outputs: tf.Tensor) -> tf.Tensor:
        """Entropy in nats, `(…)`."""
        raise NotImplementedError(f"{type(self).__name__} must define entropy(outputs).")

    def nothing(self, shape: Any) -> tf.Tensor:
        """The action that stands for "none yet"; its features are zeros."""
        raise NotImplementedError(f"{type(self).__name__} must define nothing(shape).")

    def features(self, actions: tf.Tensor) -> tf.Tensor:
        """Actions as `(…, A)` float32 numbers that a network can read."""
        raise NotImplementedError(f"{type(self).__name__} must define features(actions).")


class Gaussian(ActionDistribution):
    """Continuous actions, `a = μ + σ ε`; outputs `(…, 2A)` are the means μ, then `log σ`.

    Args:
        size: A.

    Example:

    >>> outputs = tf.constant([0.5, 0.0])  # one number, mean 0.5, deviation 1
    >>> Gaussian(1).sample(outputs, tf.constant([2.0])).numpy().tolist()
    [2.5]
    >>> round(float(Gaussian(1).log_prob(outputs, tf.constant([0.5]))), 4)
    -0.9189
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.outputs = 2 * self.size

    def noise(self, seed: tf.Tensor, shape: Any) -> tf.Tensor:
        return tf.random.stateless_normal([*shape, self.size], seed)

    def sample(self, outputs: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        mean, log_std = tf.split(outputs, 2, axis=-1)
        return mean + tf.exp(log_std) * noise

    def log_prob(self, outputs: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        mean, log_std = tf.split(outputs, 2, axis=-1)
        z = (actions - mean) * tf.exp(-log_std)
        return -tf.reduce_sum(0.5 * z * z + log_std + 0.5 * math.log(2 * math.pi), axis=-1)

    def entropy(self, outputs: tf.Tensor) -> tf.Tensor:
        log_std = tf.split(outputs, 2, axis=-1)[1]
        return tf.reduce_sum(log_std + 0.5 * math.log(2 * math.pi * math.e), axis=-1)

    def nothing(self, shape: Any) -> tf.Tensor:
        return tf.zeros([*shape, self.size])

    def features(self, actions: tf.Tensor) -> tf.Tensor:
        return actions


class Categorical(ActionDistribution):
    """One of A choices, `P(a) = softmax(logits)ₐ`; an action is its number, int32, drawn by Gumbel noise.

    Args:
        size: A.

    Example:

    >>> choice = Categorical(2)
    >>> int(choice.sample(tf.constant([0.0, 1.0]), tf.constant([2.0, 0.0])))
    0
    >>> round(float(choice.entropy(tf.zeros(2))), 4)
    0.6931
    """

    dtype = tf.int32

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.outputs = self.size

    def noise(self, seed: tf.Tensor, shape: Any) -> tf.Tensor:
        uniform = tf.random.stateless_uniform([*shape, self.size], seed, minval=1e-7, maxval=1.0)
        return -tf.math.log(-tf.math.log(uniform))

    def sample(self, outputs: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        return tf.argmax(outputs + noise, axis=-1, output_type=tf.int32)

    def log_prob(self, outputs: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.nn.log_softmax(outputs) * self.features(actions), axis=-1)

    def entropy(self, outputs: tf.Tensor) -> tf.Tensor:
        return -tf.reduce_sum(tf.nn.softmax(outputs) * tf.nn.log_softmax(outputs), axis=-1)

    def nothing(self, shape: Any) -> tf.Tensor:
        return tf.fill([*shape], -1)

    def features(self, actions: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(actions, self.size)
