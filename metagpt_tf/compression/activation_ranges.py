"""What a projection multiplies, rounded as a file of integers will have it, while a model trains."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from metagpt_tf.compression._tfmot import AllValuesQuantizer
from metagpt_tf.layers.projection import Projection, projection_arithmetic

BITS = 8
CALIBRATION_BATCHES = 8
Ends = tuple[float, float]


class ActivationRanges:
    """The ranges of what each `Projection` of a model reads and returns, and its arithmetic with these rounded.

    tfmot's `AllValuesQuantizer` sees the first batches and sets the ranges. What trains is plain arithmetic of the same
    values, which has the second derivatives and the form over tasks that tfmot's operation lacks.

    Args:
        model: built.
        examples: batches `(x, y)`.
        bits, per_channel: of weights, see `straight_through`.
        weights: whether the matrix is rounded as well.

    Attributes:
        used: whether a projection has computed so.
        ranges: path of each projection's kernel to the ends of what it read and of what it returned, zero between them.

    Raises:
        ValueError: no projection in the model, or no examples.
    """

    def __init__(
        self,
        model: keras.Model,
        examples: tf.data.Dataset,
        bits: int = 8,
        per_channel: bool = True,
        weights: bool = True,
    ) -> None:
        self.bits, self.per_channel, self.weights, self.used = bits, per_channel, weights, False
        self.ranges = _observed(model, examples.take(CALIBRATION_BATCHES))
        if not self.ranges:
            raise ValueError(
                f"Rounding activations needs examples and a model of metagpt_tf.layers.Projection; {model.name!r} has "
                "read nothing with one. MetaGPT is made of them; in a model of your own use them in place of Dense."
            )

    def __call__(self, layer: Projection, x: Any) -> Any:
        """What a projection returns, rounded; one that was never seen computes as it does."""
        if layer.kernel.path not in self.ranges:
            return layer.affine(x, layer.kernel)
        read, returned = self.ranges[layer.kernel.path]
        self.used = True
        kernel = tf.convert_to_tensor(layer.kernel)
        if self.weights:
            kernel = straight_through(kernel, self.bits, self.per_channel)
        return rounded_activations(layer.affine(rounded_activations(tf.convert_to_tensor(x), *read), kernel), *returned)

    def check_used(self) -> None:
        """See that a training was rounded.

        Raises:
            RuntimeError: it was not.
        """
        if not self.used:
            raise RuntimeError(
                "No projection was rounded: train without tf.distribute, which runs replicas in threads."
            )


def _observed(model: keras.Model, examples: tf.data.Dataset) -> dict[str, tuple[Ends, Ends]]:
    """What each projection read and returned, by tfmot's quantizer."""
    quantizer = AllValuesQuantizer(num_bits=BITS, per_axis=False, symmetric=False, narrow_range=False)
    seen: dict[str, list[dict[str, tf.Variable]]] = {}

    def watch(layer: Projection, x: Any) -> Any:
        path, y = layer.kernel.path, layer.affine(x, layer.kernel)
        if path not in seen:
            seen[path] = [quantizer.build(x.shape, path, _Variables()) for _ in range(2)]
        for values, ends in zip((x, y), seen[path], strict=True):
            quantizer(tf.cast(values, tf.float32), True, ends)
        return y

    with projection_arithmetic(watch):
        for x, y in examples:
            model(getattr(model, "training_inputs", lambda x, y: x)(x, y), training=False)
    return {path: (_ends(read), _ends(returned)) for path, (read, returned) in seen.items()}


def _ends(found: dict[str, tf.Variable]) -> Ends:
    return float(found["min_var"].numpy()), float(found["max_var"].numpy())


class _Variables:
    """Makes a tfmot quantizer's variables, as a layer of Keras 2 would."""

    def add_weight(self, name: str, initializer: Any, trainable: bool, shape: Any = ()) -> tf.Variable:
        """A variable with the initializer's value."""
        return tf.Variable(initializer(shape or (), tf.float32), trainable=trainable)


def rounded_activations(x: tf.Tensor, low: float, high: float, bits: int = BITS) -> tf.Tensor:
    """Values on a grid of `2^bits` points from low to high, one of which is 0; the gradient is 1 between them.

    With `s = (high − low) / (2^bits − 1)` and the grid moved so that 0 is on it: `s ⌊(clip(x) − low) / s + ½⌋ + low`.

    Args:
        x: any shape, float.
        low, high: range, `low ≤ 0 ≤ high`.
        bits: of the integers.

    Reference: Jacob et al., 2018, section 3.1.
    """
    if high <= low:
        return x
    largest = 2**bits - 1
    scale = (np.float32(high) - np.float32(low)) / np.float32(largest)  # in tfmot's precision: ties go its way
    zero = np.clip(np.floor(-np.float32(low) / scale + np.float32(0.5)), 0, largest)
    low, high = float(-zero * scale), float((largest - zero) * scale)
    clipped = tf.minimum(tf.maximum(x, tf.cast(low, x.dtype)), tf.cast(high, x.dtype))
    exact = tf.cast(clipped, tf.float32)
    value = tf.floor((exact - low) / scale + 0.5) * scale + low
    return clipped + tf.stop_gradient(tf.cast(value, x.dtype) - clipped)


def straight_through(weight: tf.Tensor, bits: int, per_channel: bool = True) -> tf.Tensor:
    """The value of `export.weight_quantization.rounded(weight)`, with the gradient of `weight`."""
    axes = list(range(len(weight.shape) - 1)) if per_channel else None
    largest = tf.stop_gradient(tf.reduce_max(tf.abs(weight), axis=axes))
    largest = tf.where(largest > 0, largest, tf.ones_like(largest))
    steps = float(2 ** (bits - 1) - 1)
    value = tf.round(weight * (steps / largest)) * (largest / steps)
    return weight + tf.stop_gradient(value - weight)
