"""Layer normalisation in few operations."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("metagpt_tf")
class LayerNorm(keras.layers.Layer):
    """Normalise the last axis: `y = (x − μ) / √(σ² + ε) · γ + β`.

    Equal to `keras.layers.LayerNormalization` to rounding, with half the operations: under second-order meta-gradients
    every operation is traced several times over, and a Transformer is full of this one.

    Args:
        epsilon: float > 0, ε; default 1e-5.

    Call arguments:
        x: `(…, D)` float. Computed in float32 whatever the policy.

    Returns:
        `(…, D)` of the compute dtype.

    Raises:
        ValueError: `epsilon` is not positive.

    Example:

    >>> float(keras.ops.abs(keras.ops.mean(LayerNorm()(keras.ops.array([[1.0, 3.0]]))))) < 1e-6
    True

    Reference: Ba et al., 2016, "Layer Normalization".
    """

    def __init__(self, epsilon: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not epsilon > 0.0:
            raise ValueError(f"LayerNorm: expected epsilon > 0 (it keeps equal inputs finite), received {epsilon!r}.")
        self.epsilon = epsilon

    def build(self, input_shape: tuple) -> None:
        width = input_shape[-1]
        self.gamma = self.add_weight(shape=(width,), initializer="ones", name="gamma", autocast=False)
        self.beta = self.add_weight(shape=(width,), initializer="zeros", name="beta", autocast=False)

    def call(self, x: Any) -> Any:
        centred = ops.cast(x, "float32")
        centred = centred - ops.mean(centred, axis=-1, keepdims=True)
        variance = ops.mean(centred * centred, axis=-1, keepdims=True)
        y = centred * ops.rsqrt(variance + self.epsilon) * self.gamma + self.beta
        return ops.cast(y, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon}
