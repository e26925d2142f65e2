"""More styles out of those there are: slanted, narrowed, emboldened, the same for every image of a style.

Axes: n images of a style, H height, W width, C channels.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

SLANT, WIDTH, HEIGHT, SHIFT, STROKE = 0.3, (0.8, 1.1), (0.85, 1.1), 1.0, (-0.5, 0.8)


class Variant(NamedTuple):
    """How a style is changed.

    Args:
        slant: pixels to the right for each pixel up.
        width, height: factors.
        right, down: pixels.
        stroke: share of a pixel that strokes grow by on all sides; they shrink below 0.
    """

    slant: float
    width: float
    height: float
    right: float
    down: float
    stroke: float

    @classmethod
    def draw(cls, random: np.random.Generator) -> "Variant":
        """One at random, such that glyphs stay readable."""
        between = random.uniform
        shape = between(-SLANT, SLANT), between(*WIDTH), between(*HEIGHT)
        return cls(*shape, between(-SHIFT, SHIFT), between(-SHIFT, SHIFT), between(*STROKE))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Images `(n, H, W, C)` in [0, 1], 0 the ground, changed."""
        height, width = images.shape[1:3]
        x, y = (width - 1) / 2, (height - 1) / 2
        # where a pixel comes from: [x', y'] = A [x, y] + b, about the centre
        a, b, d = 1 / self.width, self.slant / self.width, 1 / self.height
        place = [a, b, x - a * x - b * y - self.right, 0.0, d, y - d * y - self.down, 0.0, 0.0]
        rows = np.tile(np.array(place, "float32"), (len(images), 1))
        moved = keras.ops.image.affine_transform(images, rows, interpolation="bilinear", fill_mode="constant")
        sign = 1.0 if self.stroke > 0 else -1.0
        grown = sign * tf.nn.max_pool2d(sign * moved, 3, 1, "SAME")
        return np.clip(ops.convert_to_numpy(moved + abs(self.stroke) * (grown - moved)), 0.0, 1.0)


def varied_styles(
    images: Mapping[str, np.ndarray], descriptions: Mapping[str, Sequence[str]], variants: int, seed: int = 0
) -> tuple[dict[str, np.ndarray], dict[str, Sequence[str]]]:
    """Styles, and so many variants of each beside it, named `"Karla Light ~1"`.

    Use it for the training split alone: few styles are soon known by heart, and a style that is known by heart has
    nothing to teach about learning a style.

    Args:
        images: style -> `(n, H, W, C)` float in [0, 1], 0 the ground.
        descriptions: style -> n texts.
        variants: of each style, at least 0.
        seed: of the variants.

    Raises:
        ValueError: a negative number of variants.

    Example:

    >>> import numpy as np
    >>> found, texts = varied_styles({"a": np.zeros((2, 28, 28, 1), "float32")}, {"a": ["x", "y"]}, variants=2)
    >>> sorted(found), texts["a ~2"]
    (['a', 'a ~1', 'a ~2'], ['x', 'y'])
    """
    if variants < 0:
        raise ValueError(f"variants must be at least 0, received {variants}.")
    random = np.random.default_rng(seed)
    found, texts = dict(images), dict(descriptions)
    for style, rows in images.items():
        for number in range(1, variants + 1):
            found[f"{style} ~{number}"] = Variant.draw(random)(np.asarray(rows, "float32"))
            texts[f"{style} ~{number}"] = descriptions[style]
    return found, texts
