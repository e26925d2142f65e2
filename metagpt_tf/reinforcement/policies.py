"""Networks that act: a Gaussian one without memory, and a recurrent one that remembers its rewards.

Axes: B episodes, T steps, O observation, A action, F = O + A + 1 inputs of a recurrent policy.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.reinforcement.environment import check_whole
from metagpt_tf.reinforcement.rollout import Previous


@keras.saving.register_keras_serializable("metagpt_tf")
class GaussianHead(keras.layers.Layer):
    """Means that depend on the input, and deviations that do not: `[W x + b, log σ]`.

    Args:
        size: int >= 1, numbers A of an action.
        initial_std: σ > 0 at the start.

    Call arguments:
        x: `(…, D)`.

    Returns:
        `(…, 2 A)`: the outputs that `Gaussian(A)` reads.

    Raises:
        ValueError: a size below 1, or a deviation that is not positive.

    Example:

    >>> GaussianHead(2)(keras.ops.ones((3, 4))).shape
    TensorShape([3, 4])
    """

    def __init__(self, size: int, initial_std: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_whole("size", size, 1)
        if not initial_std > 0:
            raise ValueError(f"initial_std must be > 0, received {initial_std}.")
        self.size, self.initial_std = size, initial_std

    def build(self, input_shape: tuple) -> None:
        start = keras.initializers.Constant(math.log(self.initial_std))
        self.kernel = self.add_weight(shape=(input_shape[-1], self.size), initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.size,), initializer="zeros", name="bias")
        self.log_std = self.add_weight(shape=(self.size,), initializer=start, name="log_std")

    def call(self, x: Any) -> Any:
        mean = keras.ops.matmul(x, self.kernel) + self.bias
        return keras.ops.concatenate([mean, keras.ops.zeros_like(mean) + self.log_std], axis=-1)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], 2 * self.size)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size, "initial_std": self.initial_std}


def gaussian_policy(
    observation_size: int = 2, action_size: int = 2, hidden: Sequence[int] = (100, 100), initial_std: float = 1.0
) -> keras.Model:
    """The paper's policy: hidden layers of ReLU, then a `GaussianHead`.

    Args:
        observation_size: O.
        action_size: A.
        hidden: widths.
        initial_std: σ before training.

    Returns:
        A functional model from `(B, O)` to `(B, 2 A)`.

    Example:

    >>> gaussian_policy(2, 2, (8,)).output_shape
    (None, 4)
    """
    inputs = keras.Input((observation_size,), name="observation")
    x = inputs
    for width in hidden:
        x = keras.layers.Dense(width, "relu")(x)
    return keras.Model(inputs, GaussianHead(action_size, initial_std, name="head")(x), name="policy")


@keras.saving.register_keras_serializable("metagpt_tf")
class RecurrentPolicy(keras.Model):
    """A GRU that reads observations, last actions and last rewards, with a head that acts and one that foresees.

    Args:
        outputs: numbers that describe the distribution of one action.
        units: int >= 1, width of the GRU.

    Call arguments:
        inputs: `(B, T, F)`.

    Returns:
        `(B, T, outputs)`, and expected returns `(B, T)`.

    Raises:
        ValueError: a size below 1.

    Example:

    >>> outputs, values = RecurrentPolicy(5, units=4)(keras.ops.ones((2, 3, 6)))
    >>> outputs.shape, values.shape
    (TensorShape([2, 3, 5]), TensorShape([2, 3]))
    """

    def __init__(self, outputs: int, units: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_whole("outputs", outputs, 1)
        check_whole("units", units, 1)
        self.outputs_size, self.units = outputs, units
        self.memory_layer = keras.layers.GRU(units, return_sequences=True, name="memory")
        # Nearly uniform at first: an opinion before the first reward would have to be unlearned.
        small = keras.initializers.VarianceScaling(1e-4)
        self.actor = keras.layers.Dense(outputs, kernel_initializer=small, name="head")
        self.critic = keras.layers.Dense(1, name="critic")

    def build(self, input_shape: tuple) -> None:
        self.memory_layer.build(input_shape)
        for head in (self.actor, self.critic):
            head.build((*input_shape[:-1], self.units))

    def call(self, inputs: Any) -> tuple[Any, Any]:
        x = self.memory_layer(inputs)
        return self.actor(x), keras.ops.squeeze(self.critic(x), -1)

    def start(self, batch: int) -> tf.Tensor:
        """Memory `(B, units)` before the first step."""
        return tf.zeros([batch, self.units])

    def step(self, inputs: tf.Tensor, memory: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One step of the same network: inputs `(B, F)` to outputs `(B, outputs)` and the new memory."""
        x, _ = self.memory_layer.cell(inputs, [memory])
        return self.actor(x), x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "outputs": self.outputs_size, "units": self.units}


def recurrent_inputs(previous: Previous, actions: Any) -> tf.Tensor:
    """What a recurrent policy reads: observation, features of the last action, last reward, joined to `(…, F)`."""
    return tf.concat([previous.observation, actions.features(previous.action), previous.reward[..., None]], axis=-1)
