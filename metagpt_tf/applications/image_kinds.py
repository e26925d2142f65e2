"""The kinds of image task: what of an image is given, beside its description, to draw it.

Axes: N images, H height, W width, C channels.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from metagpt_tf.models import ImageAutoencoder
from metagpt_tf.registry import closest
from metagpt_tf.tokenizers.image_codes import codes_to_text

ImageData = Mapping[str, Mapping[str, np.ndarray]]
Texts = dict[str, dict[str, list[str]]]
Condition = Callable[[ImageAutoencoder, ImageData, str, str, np.random.Generator], list[str]]

HIDDEN = "_"  # a place that is not shown
NOISE = 0.3  # standard deviation of what denoising has to take away
HALF = 2


class CodedImages(NamedTuple):
    """Images as texts.

    Attributes:
        targets: split -> task -> the codes of each image.
        given: split -> task -> what is shown of each image, codes too; empty texts where nothing is.
    """

    targets: Texts
    given: Texts


def _nothing(autoencoder: ImageAutoencoder, data: ImageData, split: str, task: str, draw: Any) -> list[str]:
    return [""] * len(data[split][task])


def _around_a_hole(autoencoder: ImageAutoencoder, data: ImageData, split: str, task: str, draw: Any) -> list[str]:
    """Codes, a rectangle of about a third of the sides hidden."""
    rows, columns = autoencoder.code_shape
    high, wide = max(1, rows // 3 + 1), max(1, columns // 3 + 1)
    shown = []
    for text in codes_to_text(autoencoder.encode(data[split][task])):
        grid = np.array(list(text), object).reshape(rows, columns)
        top, left = draw.integers(0, rows - high + 1), draw.integers(0, columns - wide + 1)
        grid[top : top + high, left : left + wide] = HIDDEN
        shown.append("".join(grid.ravel()))
    return shown


def _with_noise(autoencoder: ImageAutoencoder, data: ImageData, split: str, task: str, draw: Any) -> list[str]:
    images = data[split][task]
    noisy = np.clip(images + draw.normal(0.0, NOISE, images.shape), 0.0, 1.0)
    return codes_to_text(autoencoder.encode(noisy))


def _half_as_fine(autoencoder: ImageAutoencoder, data: ImageData, split: str, task: str, draw: Any) -> list[str]:
    """Pixels of two by two."""
    images = np.asarray(data[split][task])
    count, height, width, channels = images.shape
    coarse = images.reshape(count, height // HALF, HALF, width // HALF, HALF, channels).mean(axis=(2, 4))
    return codes_to_text(autoencoder.encode(coarse.repeat(HALF, axis=1).repeat(HALF, axis=2)))


def _in_another_style(autoencoder: ImageAutoencoder, data: ImageData, split: str, task: str, draw: Any) -> list[str]:
    """The same thing as another task of the split shows it."""
    others = [name for name in data[split] if name != task and len(data[split][name]) == len(data[split][task])]
    if not others:
        raise ValueError(
            f"style_transfer shows what {task!r} of {split!r} draws as another task draws it, and no other task there "
            f"has {len(data[split][task])} images. Give tasks that hold the same things in the same order."
        )
    other = data[split][others[int(draw.integers(len(others)))]]
    return codes_to_text(autoencoder.encode(other))


IMAGE_KINDS: dict[str, Condition] = {
    "generation": _nothing,
    "inpainting": _around_a_hole,
    "denoising": _with_noise,
    "super_resolution": _half_as_fine,
    "style_transfer": _in_another_style,
}


def coded_images(data: ImageData, task: str, autoencoder: ImageAutoencoder, seed: int) -> CodedImages:
    """Every image as codes, and what is given of it; see `preprocess_image_data`."""
    if task not in IMAGE_KINDS:
        raise ValueError(f"Unknown image task {task!r}. {closest(str(task), IMAGE_KINDS)}")
    draw, targets, given = np.random.default_rng(seed), {}, {}
    for split, tasks in data.items():
        targets[split] = {name: codes_to_text(autoencoder.encode(images)) for name, images in tasks.items()}
        given[split] = {name: IMAGE_KINDS[task](autoencoder, data, split, name, draw) for name in tasks}
    return CodedImages(targets, given)
