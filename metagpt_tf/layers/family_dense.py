"""A dense layer of which each family of tasks has its own."""

from typing import Any

import keras
from keras import ops

from metagpt_tf.layers.arguments import check_at_least
from metagpt_tf.layers.projection import matmul_last_axis


@keras.saving.register_keras_serializable("metagpt_tf")
class FamilyDense(keras.layers.Layer):
    """A dense layer with one kernel and bias for each family: `y = x W_f + b_f`, f being the family of the row.

    Use it as the head of a model that several families of tasks share (`metagpt_tf.meta.MultiTask`): the body is
    common, the heads are not.

    Args:
        units: int, width F of the output.
        families: int, number of families.

    Call arguments:
        x: `(N, D)` float.
        family: `(N,)` or `(N, 1)` integers in [0, families); an index outside of that range gives zeros.

    Returns:
        `(N, F)`.

    Raises:
        ValueError: `units` or `families` below 1.

    Example:

    >>> layer = FamilyDense(3, families=2)
    >>> layer(keras.ops.ones((4, 5)), keras.ops.array([0, 1, 1, 0])).shape
    TensorShape([4, 3])
    """

    def __init__(self, units: int, families: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_at_least(self, 1, units=units, families=families)
        self.units, self.families = units, families

    def build(self, x_shape: tuple, family_shape: tuple | None = None) -> None:
        width = x_shape[-1]
        # Fans of one family's matrix: an initializer would count the families into them.
        limit = (6.0 / (width + self.units)) ** 0.5
        initializer = keras.initializers.RandomUniform(-limit, limit)
        self.kernel = self.add_weight(shape=(self.families * width, self.units), initializer=initializer, name="kernel")
        self.bias = self.add_weight(shape=(self.families, self.units), initializer="zeros", name="bias")

    def call(self, x: Any, family: Any) -> Any:
        # One product with the row in its family's place and zeros in all others: a gather of kernels would copy one for
        # each row, and its gradient has no LiteRT form.
        mine = ops.one_hot(ops.reshape(family, (-1,)), self.families, dtype=x.dtype)
        placed = ops.expand_dims(mine, 2) * ops.expand_dims(x, 1)
        placed = ops.reshape(placed, (-1, self.families * x.shape[-1]))
        return matmul_last_axis(placed, self.kernel) + matmul_last_axis(mine, self.bias)

    def compute_output_shape(self, x_shape: tuple, family_shape: tuple | None = None) -> tuple:
        return (*x_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "families": self.families}
