"""The affine map that every other layer is made of."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import ops

from metagpt_tf.layers.arguments import check_at_least

Arithmetic = Callable[["Projection", Any], Any]
_ARITHMETIC: contextvars.ContextVar[Arithmetic | None] = contextvars.ContextVar("metagpt_tf_arithmetic", default=None)
_SHARED_LAYOUT = contextvars.ContextVar("metagpt_tf_shared_weight_layout", default=False)


@contextlib.contextmanager
def shared_weight_layout() -> Iterator[None]:
    """Trace projections so that a LiteRT file stores each weight once; the numbers stay the same.

    Use it round the tracing of a graph that is to be converted. A rank-2 product becomes `FULLY_CONNECTED`, which wants
    the transposed matrix and leaves the backward pass with a second copy. A rank-3 product stays `BATCH_MATMUL`, whose
    `adj_y` flag reads the same buffer both ways. The rank-2 form is about a fifth faster in training, hence a layout
    chosen while tracing and not a property of the layer.

    Example:

    >>> with shared_weight_layout():
    ...     y = Projection(8)(keras.ops.ones((2, 3, 4)))
    >>> keras.ops.shape(y)
    (2, 3, 8)
    """
    token = _SHARED_LAYOUT.set(True)
    try:
        yield
    finally:
        _SHARED_LAYOUT.reset(token)


@contextlib.contextmanager
def projection_arithmetic(compute: Arithmetic) -> Iterator[None]:
    """Within, every `Projection` returns `compute(layer, x)` in place of `layer.affine(x, layer.kernel)`.

    Use it round the tracing of a graph or round eager calls: to watch activations, or to round what is multiplied.

    Args:
        compute: `(layer, x (…, D))` to `(…, F)`.

    Example:

    >>> with projection_arithmetic(lambda layer, x: layer.affine(2 * x, layer.kernel)):
    ...     y = Projection(1, kernel_initializer="ones")(keras.ops.ones((1, 3)))
    >>> float(y[0, 0])
    6.0
    """
    token = _ARITHMETIC.set(compute)
    try:
        yield
    finally:
        _ARITHMETIC.reset(token)


@keras.saving.register_keras_serializable("metagpt_tf")
class Projection(keras.layers.Layer):
    """Affine map of the last axis, `y = x W + b`.

    Use it in place of `keras.layers.Dense` in models whose `adapt` runs inside a LiteRT file.

    Args:
        units: int, width F of the output.
        use_bias: bool, whether to add `b`; default True.
        kernel_initializer: Keras initializer of `W` `(D, F)`; default `"glorot_uniform"`.

    Call arguments:
        x: `(B, T, D)` or `(N, D)` float.

    Returns:
        `(B, T, F)` or `(N, F)`.

    Raises:
        ValueError: `units` below 1.

    Example:

    >>> keras.ops.shape(Projection(8)(keras.ops.ones((2, 3, 4))))
    (2, 3, 8)

    Reference: Glorot & Bengio, 2010, "Understanding the Difficulty of Training Deep Feedforward Neural Networks" (`W`).
    """

    def __init__(
        self, units: int, use_bias: bool = True, kernel_initializer: Any = "glorot_uniform", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_at_least(self, 1, units=units)
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
        compute = _ARITHMETIC.get()
        return self.affine(x, self.kernel) if compute is None else compute(self, x)

    def affine(self, x: Any, kernel: Any) -> Any:
        """`x W + b` with another matrix in the place of the layer's own."""
        y = matmul_last_axis(x, kernel)
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
    """`(…, D)` times `(D, F)`, or times the transpose of `(F, D)`, in the layout in force (`shared_weight_layout`)."""
    kernel = ops.convert_to_tensor(kernel)
    flat = merge_axes(x) if len(x.shape) > 2 else x
    if _SHARED_LAYOUT.get():
        y = _shared_product(flat, kernel, transpose)
    else:
        y = ops.matmul(flat, ops.transpose(kernel) if transpose else kernel)
    return restore_axes(y, x)


def _shared_product(flat: Any, kernel: Any, transpose: bool) -> Any:
    # Axes are added by expanding and removed by reshaping: the gradient of indexing has no LiteRT form.
    kernel = ops.expand_dims(kernel, 0)
    if transpose:
        # (E xᵀ)ᵀ and not x Eᵀ: a converter would keep the transposed constant beside the embedding itself.
        y = ops.transpose(ops.matmul(kernel, ops.expand_dims(ops.transpose(flat), 0)), (0, 2, 1))
    else:
        y = ops.matmul(ops.expand_dims(flat, 0), kernel)
    return ops.reshape(y, (-1, y.shape[-1]))


def merge_axes(x: Any) -> Any:
    """`(B, T, D)` to `(B · T, D)`: one large product instead of B small ones."""
    return ops.reshape(x, (-1, x.shape[-1]))


def restore_axes(flat: Any, like: Any) -> Any:
    """`(B · T, F)` to `(B, T, F)`, with the inner axes as in `like`."""
    inner = like.shape[1:-1]
    if None in inner:
        inner = ops.shape(like)[1:-1]
    return ops.reshape(flat, (-1, *inner, flat.shape[-1])) if len(like.shape) > 2 else flat
