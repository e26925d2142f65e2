"""The affine map that every other layer is made of."""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

_SHARED_LAYOUT = contextvars.ContextVar("metagpt_tf_shared_weight_layout", default=False)


@contextlib.contextmanager
def shared_weight_layout() -> Iterator[None]:
    """Trace projections so that a LiteRT file stores each weight once.

    A rank-2 product becomes `FULLY_CONNECTED`, which wants the transposed matrix and leaves the backward pass with a
    second copy. A rank-3 product stays `BATCH_MATMUL`, whose `adj_y` flag reads the same buffer both ways. The rank-2
    form is about a fifth faster in training, hence a layout chosen while tracing and not a property of the layer.
    """
    token = _SHARED_LAYOUT.set(True)
    try:
        yield
    finally:
        _SHARED_LAYOUT.reset(token)


@keras.saving.register_keras_serializable("metagpt_tf")
class Projection(keras.layers.Layer):
    """Affine map of the last axis, `y = x W + b`.

    Use it in place of `keras.layers.Dense` in models whose `adapt` runs inside a LiteRT file.

    Args:
        units: width F of the output.
        use_bias: whether to add `b`.
        kernel_initializer: Keras initializer of `W` `(D, F)`.

    Call arguments:
        x: `(B, T, D)` or `(N, D)`.

    Returns:
        `(B, T, F)` or `(N, F)`.

    Example:

    >>> Projection(8)(keras.ops.ones((2, 3, 4))).shape
    (2, 3, 8)
    """

    def __init__(
        self, units: int, use_bias: bool = True, kernel_initializer: Any = "glorot_uniform", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: tuple) -> None:
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units), initializer=self.kernel_initializer, name="kernel"
        )
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, x: Any) -> Any:
        y = matmul_last_axis(x, self.kernel)
        return y + ops.cast(self.bias, y.dtype) if self.use_bias else y

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def matmul_last_axis(x: Any, kernel: Any, transpose: bool = False) -> Any:
    """Multiply `(…, D)` by `(D, F)`, or by the transpose of `(F, D)`, in the layout in force (see `shared_weight_layout`)."""
    kernel = ops.convert_to_tensor(kernel)
    if transpose:
        kernel = ops.transpose(kernel)
    if _SHARED_LAYOUT.get():
        # Axes are added by expanding and removed by reshaping: the gradient of indexing has no LiteRT form.
        stacked = ops.matmul(ops.expand_dims(x, 0) if len(x.shape) == 2 else x, ops.expand_dims(kernel, 0))
        return ops.reshape(stacked, (-1, kernel.shape[-1])) if len(x.shape) == 2 else stacked
    if len(x.shape) == 2:
        return ops.matmul(x, kernel)
    return restore_axes(ops.matmul(merge_axes(x), kernel), x)


def merge_axes(x: Any) -> Any:
    """`(B, T, D)` to `(B · T, D)`: one large product instead of B small ones."""
    return ops.reshape(x, (-1, x.shape[-1]))


def restore_axes(flat: Any, like: Any) -> Any:
    """`(B · T, F)` to `(B, T, F)`, with B and T as in `like`."""
    length = ops.shape(like)[-2] if like.shape[-2] is None else like.shape[-2]
    return ops.reshape(flat, (-1, length, flat.shape[-1]))
