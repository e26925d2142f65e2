"""How good images are: peak signal to noise, structural similarity, and how many codes are in use.

Axes: B batch, H height, W width, C channels.
"""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable("metagpt_tf")
class PeakSignalToNoise(keras.metrics.MeanMetricWrapper):
    """Mean over images of `-10 log₁₀(mean (x - x̂)²)` in decibels, for pixels in [0, 1].

    Args:
        name: of the metric.
        dtype: of its sums.

    Example:

    >>> metric = PeakSignalToNoise()
    >>> metric.update_state(np.zeros((1, 4, 4, 1)), np.full((1, 4, 4, 1), 0.1))
    >>> round(float(metric.result()), 3)
    20.0
    """

    def __init__(self, name: str = "psnr", dtype: Any = None) -> None:
        super().__init__(_decibels, name=name, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {"name": self.name, "dtype": self.dtype}


def _decibels(images: Any, found: Any) -> Any:
    error = ops.mean(ops.square(ops.cast(images, found.dtype) - found), axis=(1, 2, 3))
    return -10.0 * ops.log10(ops.maximum(error, 1e-10))


def structural_similarity(images: Any, found: Any) -> np.ndarray:
    """SSIM of each pair, `(B,)` in [-1, 1], 1 for equal images; windows of 7 x 7, which fit small ones.

    Args:
        images, found: `(B, H, W, C)` float in [0, 1].

    Raises:
        ValueError: shapes that differ.

    Example:

    >>> structural_similarity(np.ones((1, 28, 28, 1)), np.ones((1, 28, 28, 1))).tolist()
    [1.0]

    Reference: Wang et al., 2004, "Image quality assessment: from error visibility to structural similarity".
    """
    images, found = np.asarray(images, "float32"), np.asarray(found, "float32")
    if images.shape != found.shape or images.ndim != 4:
        raise ValueError(f"Expected two arrays (B, H, W, C) of one shape, received {images.shape} and {found.shape}.")
    return tf.image.ssim(images, found, max_val=1.0, filter_size=7).numpy()


def kernel_distance(features: Any, found: Any) -> float:
    """How far two sets of images are apart in a classifier's features: the unbiased squared maximum mean discrepancy.

    With the kernel `k(x, y) = (x · y / F + 1)³`, over pairs of different rows within a set and all pairs between sets:

        mean k(x, x') + mean k(y, y') - 2 mean k(x, y)

    0 is expected for two samples of one distribution; a small one may come out negative. Distances compare only under
    one judge (`GlyphJudge`), and not with published figures, whose features are an Inception network's.

    Args:
        features, found: `(N, F)` and `(M, F)` float, N and M at least 2.

    Raises:
        ValueError: fewer rows, or different widths.

    Example:

    >>> rows = np.eye(4)
    >>> kernel_distance(rows, rows) < 0 < kernel_distance(rows, rows + 1.0)
    True

    Reference: Binkowski et al., 2018, "Demystifying MMD GANs", https://arxiv.org/abs/1801.01401.
    """
    x, y = np.asarray(features, "float64"), np.asarray(found, "float64")
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(
            f"Expected features (N, F) and (M, F), at least two of each, received {x.shape} and {y.shape}."
        )

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1.0) ** 3

    def within(a: np.ndarray) -> float:
        own = kernel(a, a)
        return float((own.sum() - np.trace(own)) / (len(a) * (len(a) - 1)))

    return within(x) + within(y) - 2.0 * float(kernel(x, y).mean())


class CodesInUse(NamedTuple):
    """Which codes images are made of.

    Args:
        used: how many codes occur.
        share: of all codes.
        perplexity: `exp(-Σ p ln p)` of their frequencies: as many codes in equal use would be as uncertain.

    Example:

    >>> CodesInUse.of([0, 1, 0, 1], num_codes=4)
    CodesInUse(used=2, share=0.5, perplexity=2.0)
    """

    used: int
    share: float
    perplexity: float

    @classmethod
    def of(cls, codes: Any, num_codes: int) -> "CodesInUse":
        """Count codes, integers of any shape.

        Args:
            codes: of images.
            num_codes: how many there are.
        """
        counts = np.bincount(np.asarray(codes).ravel(), minlength=num_codes)
        used = int((counts > 0).sum())
        p = counts[counts > 0] / max(counts.sum(), 1)
        return cls(used, used / num_codes, float(np.exp(-(p * np.log(p)).sum())))
