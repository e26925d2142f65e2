"""From an image to one feature vector by convolutions: a backbone of `MetaClassifier`.

Axes in comments: B batch, H height, W width, C channels, F filters, D features.
"""

import math
from typing import Any

import keras
from keras import ops

from metagpt_tf.layers import Projection
from metagpt_tf.layers.arguments import check_at_least, check_choice, check_rank
from metagpt_tf.layers.feed_forward import relu

NORMALIZATIONS: dict[str, tuple[int, ...]] = {"layer": (1, 2, 3), "batch": (0, 1, 2)}
SIDE = 3


@keras.saving.register_keras_serializable("metagpt_tf")
class ConvBlock(keras.layers.Layer):
    """3x3 convolution, normalisation, `max(x, 0)` and 2x2 max-pooling: four of them are the classic network.

    The convolution is one product, `y = [x_{-1,-1} … x_{+1,+1}] W`, of the nine neighbours of each pixel: a task has
    filters of its own, and TensorFlow's convolution runs tasks with filters of their own one after the other, and has a
    filter gradient that LiteRT lacks. A product has neither fault.

    Normalisation keeps no running statistics. `"layer"` takes mean and variance over an image's H, W and F, so that a
    prediction depends on its own image alone and a phone sees what training saw. `"batch"` takes them over B, H and W
    of the examples at hand, as MAML's reference code does: queries then help to classify each other.

    Args:
        filters: int, F.
        normalization: `"layer"` (default) or `"batch"`.
        epsilon: float, added to the variance; default 1e-5.

    Call arguments:
        x: `(B, H, W, C)` float, static H and W of at least 2.

    Returns:
        `(B, H // 2, W // 2, F)`.

    Raises:
        ValueError: `filters` below 1, an unknown normalisation, or images too small to be halved.

    Example:

    >>> keras.ops.shape(ConvBlock(8)(keras.ops.ones((2, 7, 6, 3))))
    (2, 3, 3, 8)

    Reference: Vinyals et al., 2016, "Matching Networks for One Shot Learning", section 4.1.
    """

    def __init__(self, filters: int, normalization: str = "layer", epsilon: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_at_least(self, 1, filters=filters)
        self.filters, self.epsilon = filters, epsilon
        self.normalization = check_choice(self, "normalization", normalization, NORMALIZATIONS)

    def build(self, input_shape: tuple) -> None:
        check_rank(self, "x", input_shape, "(B, H, W, C)")
        if None in input_shape[1:] or min(input_shape[1:3]) < 2:
            raise ValueError(f"{self.name}: expected images of at least 2 x 2 pixels, received shape {input_shape}.")
        self.convolution = Projection(self.filters, name="convolution", dtype=self.dtype_policy)
        self.convolution.build((None, SIDE * SIDE * input_shape[-1]))
        self.gamma = self.add_weight(shape=(self.filters,), initializer="ones", name="gamma", autocast=False)
        self.beta = self.add_weight(shape=(self.filters,), initializer="zeros", name="beta", autocast=False)

    def call(self, x: Any) -> Any:
        return halved(relu(self._normalized(self.convolution(neighbours(x)))))

    def _normalized(self, x: Any) -> Any:
        axes = NORMALIZATIONS[self.normalization]
        centred = ops.cast(x, "float32")
        centred = centred - ops.mean(centred, axis=axes, keepdims=True)
        variance = ops.mean(centred * centred, axis=axes, keepdims=True)
        return ops.cast(centred * ops.rsqrt(variance + self.epsilon) * self.gamma + self.beta, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0], input_shape[1] // 2, input_shape[2] // 2, self.filters)

    def get_config(self) -> dict[str, Any]:
        own = {"filters": self.filters, "normalization": self.normalization, "epsilon": self.epsilon}
        return {**super().get_config(), **own}


def neighbours(x: Any) -> Any:
    """The 3x3 neighbours of each pixel, zeros beyond the border: `(B, H, W, C)` to `(B, H, W, 9 C)`."""
    x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    for axis in (2, 1):  # channels in the order of a kernel (3, 3, C, F)
        x = ops.concatenate([_cut(x, axis, start, x.shape[axis] - SIDE + 1) for start in range(SIDE)], axis=-1)
    return x


def halved(x: Any) -> Any:
    """The maximum of each 2x2 square, an odd last row or column left out: `(B, H, W, C)` to `(B, H/2, W/2, C)`."""
    height, width, channels = x.shape[1] // 2, x.shape[2] // 2, x.shape[3]
    x = _cut(_cut(x, 1, 0, 2 * height), 2, 0, 2 * width)
    x = ops.max(ops.reshape(x, (-1, height, 2, 2 * width, channels)), axis=2)
    return ops.max(ops.reshape(x, (-1, height, width, 2, channels)), axis=3)


def _cut(x: Any, axis: int, start: int, size: int) -> Any:
    """`size` entries of an axis from `start` on, by an operation whose gradient has a LiteRT form."""
    if x.shape[axis] == size:
        return x
    starts, sizes = [0] * len(x.shape), [ops.shape(x)[0], *x.shape[1:]]
    starts[axis], sizes[axis] = start, size
    return ops.slice(x, starts, sizes)


@keras.saving.register_keras_serializable("metagpt_tf")
class ConvBackbone(keras.layers.Layer):
    """Conv blocks one on the other, then flattened: with four blocks of 64 filters the network of few-shot papers.

    Args:
        filters: int, F of every block; default 64.
        num_blocks: int, blocks, each halving the image; default 4.
        normalization: see `ConvBlock`; default `"layer"`.

    Call arguments:
        x: `(B, H, W, C)` float, H and W at least `2 ** num_blocks`.
        training: bool, without effect.

    Returns:
        `(B, D)` with `D = F · (H // 2^n) · (W // 2^n)`, 64 for images of 28 x 28.

    Raises:
        ValueError: a size below 1, an unknown normalisation, or images too small for so many blocks.

    Example:

    >>> keras.ops.shape(ConvBackbone(8)(keras.ops.ones((2, 28, 28, 1))))
    (2, 8)

    Reference: Finn et al., 2017, "Model-Agnostic Meta-Learning", section 5.2.
    """

    def __init__(self, filters: int = 64, num_blocks: int = 4, normalization: str = "layer", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_at_least(self, 1, filters=filters, num_blocks=num_blocks)
        self.filters, self.num_blocks = filters, num_blocks
        self.normalization = check_choice(self, "normalization", normalization, NORMALIZATIONS)

    def build(self, input_shape: tuple) -> None:
        check_rank(self, "x", input_shape, "(B, H, W, C)")
        if min(input_shape[1:3]) < 2**self.num_blocks:
            raise ValueError(
                f"{self.name}: {self.num_blocks} blocks halve an image {self.num_blocks} times; received images of "
                f"{input_shape[1]} x {input_shape[2]}. Give larger images or a smaller num_blocks."
            )
        self.blocks = [
            ConvBlock(self.filters, self.normalization, name=f"block_{i}", dtype=self.dtype_policy)
            for i in range(self.num_blocks)
        ]
        for block in self.blocks:
            block.build(input_shape)
            input_shape = block.compute_output_shape(input_shape)

    def call(self, x: Any, training: bool = False) -> Any:
        x = ops.cast(x, self.compute_dtype)
        for block in self.blocks:
            x = block(x)
        return ops.reshape(x, (-1, math.prod(x.shape[1:])))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        height, width = (size // 2**self.num_blocks for size in input_shape[1:3])
        return (input_shape[0], height * width * self.filters)

    def get_config(self) -> dict[str, Any]:
        own = {"filters": self.filters, "num_blocks": self.num_blocks, "normalization": self.normalization}
        return {**super().get_config(), **own}
