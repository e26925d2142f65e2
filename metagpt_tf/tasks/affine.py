"""Small random distortions of images, so that one drawing of a letter becomes many examples of it."""

import math

import tensorflow as tf


def random_affine(
    images: tf.Tensor,
    seed: tf.Tensor,
    rotation: float = 15.0,
    scale: tuple[float, float] = (0.8, 1.15),
    shear: float = 0.2,
    shift: float = 2.0,
) -> tf.Tensor:
    """Turn, scale, shear and shift each image about its centre by random numbers of its own, linearly interpolated.

        output(p) = input(A (p - c) + c + t),   A = R(α) · [[1, k], [0, 1]] / s

    with α ~ U[-rotation, rotation], k ~ U[-shear, shear], s ~ U[scale], t ~ U[-shift, shift]². What comes from outside
    of an image is 0.

    Args:
        images: `(B, H, W, C) float32`.
        seed: `(2,) int32` stateless seed.
        rotation: largest angle, degrees.
        scale: least and largest factor of size.
        shear: largest k.
        shift: largest shift, pixels.

    Returns:
        `(B, H, W, C) float32`.

    Raises:
        ValueError: images that have not four axes.

    Example:

    >>> random_affine(tf.zeros([2, 28, 28, 1]), tf.constant([0, 0])).shape
    TensorShape([2, 28, 28, 1])

    Reference: Simard et al. 2003, "Best Practices for Convolutional Neural Networks Applied to Visual Document
        Analysis".
    """
    images = tf.convert_to_tensor(images)
    if images.shape.rank != 4:
        raise ValueError(f"random_affine takes images (B, H, W, C), received shape {images.shape}.")
    limits = (math.radians(rotation), shear, shift, shift)
    height, width = images.shape[1:3]
    transforms = _transforms(tf.shape(images)[0], seed, limits, scale, ((width - 1) / 2, (height - 1) / 2))
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=[height, width],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )
    return tf.ensure_shape(moved, images.shape)


def _transforms(
    count: tf.Tensor,
    seed: tf.Tensor,
    limits: tuple[float, ...],
    scale: tuple[float, float],
    centre: tuple[float, float],
) -> tf.Tensor:
    """`(B, 8)` rows of a projection, output pixel to input pixel: the matrix by rows, each followed by its offset."""
    unit = tf.random.stateless_uniform([count, 5], seed)
    angle, tilt, right, down = tf.unstack((2.0 * unit[:, :4] - 1.0) * tf.constant(limits), axis=1)
    size = scale[0] + unit[:, 4] * (scale[1] - scale[0])
    cos, sin = tf.cos(angle) / size, tf.sin(angle) / size
    first, second = (cos, cos * tilt - sin), (sin, sin * tilt + cos)
    (x, y), nothing = centre, tf.zeros_like(cos)
    offset_x = x + right - first[0] * x - first[1] * y
    offset_y = y + down - second[0] * x - second[1] * y
    return tf.stack([*first, offset_x, *second, offset_y, nothing, nothing], axis=1)
