"""The kinds of image task: what of an image is given, beside its description, to draw it.

Axes: N images, H height, W width, C channels.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from metagpt_tf.models import ImageAutoencoder
from metagpt_tf.registry import closest
from metagpt_tf.tokenizers.image_codes import codes_to_text

ImageData = Mapping[str, Mapping[str, np.ndarray]]
Texts = dict[str, dict[str, list[str]]]
Condition = Callable[["Styles", str, str], list[str]]

HIDDEN = "_"  # a place that is not shown
NOISE = 0.3  # standard deviation of what denoising has to take away
HALF = 2


class CodedImages(NamedTuple):
    """Images as texts.

    Attributes:
        targets: split -> task -> the codes of each image.
        given: split -> task -> what is shown of each image, codes too; empty texts where nothing is.
        autoencoder: whose codes these are.
    """

    targets: Texts
    given: Texts
    autoencoder: ImageAutoencoder


class Styles(NamedTuple):
    """All that a condition may look at.

    Attributes:
        images: split -> task -> images.
        descriptions: of them, where they were given.
        autoencoder: makes codes.
        draw: random numbers.
    """

    images: ImageData
    descriptions: Mapping[str, Mapping[str, Sequence[str]]] | None
    autoencoder: ImageAutoencoder
    draw: np.random.Generator


def hidden_text(text: str, hidden: np.ndarray) -> str:
    """A text of codes with `_` at the places that are hidden `(rows, columns)` bool."""
    return "".join(HIDDEN if hide else code for code, hide in zip(text, np.ravel(hidden), strict=True))


def _nothing(styles: Styles, split: str, task: str) -> list[str]:
    return [""] * len(styles.images[split][task])


def _around_a_hole(styles: Styles, split: str, task: str) -> list[str]:
    """Codes, a rectangle of about a third of the sides hidden."""
    rows, columns = styles.autoencoder.code_shape
    high, wide = max(1, rows // 3 + 1), max(1, columns // 3 + 1)
    shown = []
    for text in codes_to_text(styles.autoencoder.encode(styles.images[split][task])):
        hidden = np.zeros((rows, columns), bool)
        top, left = styles.draw.integers(0, rows - high + 1), styles.draw.integers(0, columns - wide + 1)
        hidden[top : top + high, left : left + wide] = True
        shown.append(hidden_text(text, hidden))
    return shown


def _with_noise(styles: Styles, split: str, task: str) -> list[str]:
    images = styles.images[split][task]
    noisy = np.clip(images + styles.draw.normal(0.0, NOISE, images.shape), 0.0, 1.0)
    return codes_to_text(styles.autoencoder.encode(noisy))


def _half_as_fine(styles: Styles, split: str, task: str) -> list[str]:
    """Pixels of two by two."""
    images = np.asarray(styles.images[split][task])
    count, height, width, channels = images.shape
    coarse = images.reshape(count, height // HALF, HALF, width // HALF, HALF, channels).mean(axis=(2, 4))
    return codes_to_text(styles.autoencoder.encode(coarse.repeat(HALF, axis=1).repeat(HALF, axis=2)))


def _in_another_style(styles: Styles, split: str, task: str) -> list[str]:
    """What has the same description in another task of the split."""
    if styles.descriptions is None:
        raise ValueError("style_transfer pairs images that have one description: give text_descriptions.")
    known: dict[str, list[np.ndarray]] = {}
    for other, texts in styles.descriptions[split].items():
        for text, image in zip(texts, styles.images[split][other], strict=True) if other != task else ():
            known.setdefault(text, []).append(image)
    chosen = []
    for text in styles.descriptions[split][task]:
        if text not in known:
            raise ValueError(
                f"style_transfer shows what {task!r} of {split!r} draws as another task draws it, and none there draws "
                f"{text!r}. Leave it out, or give tasks that draw the same things."
            )
        chosen.append(known[text][int(styles.draw.integers(len(known[text])))])
    return codes_to_text(styles.autoencoder.encode(np.stack(chosen)))


IMAGE_KINDS: dict[str, Condition] = {
    "generation": _nothing,
    "inpainting": _around_a_hole,
    "denoising": _with_noise,
    "super_resolution": _half_as_fine,
    "style_transfer": _in_another_style,
}


def coded_images(styles: Styles, task: str) -> CodedImages:
    """Every image as codes, and what is given of it; see `preprocess_image_data`."""
    if task not in IMAGE_KINDS:
        raise ValueError(f"Unknown image task {task!r}. {closest(str(task), IMAGE_KINDS)}")
    targets: Texts = {}
    given: Texts = {}
    for split, tasks in styles.images.items():
        targets[split] = {name: codes_to_text(styles.autoencoder.encode(images)) for name, images in tasks.items()}
        given[split] = {name: IMAGE_KINDS[task](styles, split, name) for name in tasks}
    return CodedImages(targets, given, styles.autoencoder)
