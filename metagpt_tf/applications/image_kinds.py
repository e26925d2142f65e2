"""The kinds of image task: what of an image is given, beside its description, to draw it.

Axes: N images, H height, W width, C channels.
"""

import dataclasses
import functools
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
MIXED = "mixed"


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


@dataclasses.dataclass
class Styles:
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

    @functools.cached_property
    def described(self) -> dict[tuple[str, str], list[tuple[str, int]]]:
        """Split and description to the images that have it, by task and place."""
        found: dict[tuple[str, str], list[tuple[str, int]]] = {}
        for split, tasks in (self.descriptions or {}).items():
            for task, texts in tasks.items():
                for place, text in enumerate(texts):
                    found.setdefault((split, text), []).append((task, place))
        return found

    def only(self, split: str, task: str, places: np.ndarray) -> "Styles":
        """The same with some of one task's images; other tasks stay."""
        images = {split: {**self.images[split], task: self.images[split][task][places]}}
        texts = self.descriptions
        if texts is not None:
            texts = {split: {**texts[split], task: [texts[split][task][place] for place in places]}}
        few = Styles(images, texts, self.autoencoder, self.draw)
        few.described = self.described
        return few

    def is_alone(self, split: str, task: str, text: str) -> bool:
        """Whether no other task has an image of that description."""
        return all(one == task for one, _ in self.described.get((split, text), []))

    def other(self, split: str, task: str, text: str) -> np.ndarray | None:
        """An image of that description of another task, drawn at random; `None` if no other has one."""
        if self.is_alone(split, task, text):
            return None
        known = self.described[split, text]
        while True:
            one, place = known[int(self.draw.integers(len(known)))]
            if one != task:
                return self.images[split][one][place]


def hidden_text(text: str, hidden: np.ndarray) -> str:
    """A text of codes with `_` at the places that are hidden `(rows, columns)` bool."""
    return "".join(HIDDEN if hide else code for code, hide in zip(text, np.ravel(hidden), strict=True))


def _nothing(styles: Styles, split: str, task: str) -> list[str]:
    return [""] * len(styles.images[split][task])


def _around_a_hole(styles: Styles, split: str, task: str) -> list[str]:
    """Codes, a rectangle of about a third of the sides hidden.

    Codes are hidden, not pixels: those at the edge of a hole have seen a few pixels beyond it.
    """
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
    chosen = []
    for text in styles.descriptions[split][task]:
        image = styles.other(split, task, text)
        if image is None:
            raise ValueError(
                f"style_transfer shows what {task!r} of {split!r} draws as another task draws it, and none there draws "
                f"{text!r}. Leave it out, or give tasks that draw the same things."
            )
        chosen.append(image)
    return codes_to_text(styles.autoencoder.encode(np.stack(chosen)))


def _one_of_all(styles: Styles, split: str, task: str) -> list[str]:
    """Each image as one of the kinds shows it, drawn anew for each; about a fifth as generation does, with nothing."""
    kinds = [show for name, show in IMAGE_KINDS.items() if name != MIXED]
    count = len(styles.images[split][task])
    drawn, shown = styles.draw.integers(len(kinds), size=count), [""] * count
    if styles.descriptions is not None:  # what no other style draws cannot be shown in one
        alone = [styles.is_alone(split, task, text) for text in styles.descriptions[split][task]]
        drawn[alone] %= kinds.index(_in_another_style)
    for kind, show in enumerate(kinds):
        places = np.flatnonzero(drawn == kind)
        if not len(places):
            continue
        for place, text in zip(places, show(styles.only(split, task, places), split, task), strict=True):
            shown[place] = text
    return shown


IMAGE_KINDS: dict[str, Condition] = {
    "generation": _nothing,
    "inpainting": _around_a_hole,
    "denoising": _with_noise,
    "super_resolution": _half_as_fine,
    "style_transfer": _in_another_style,
    MIXED: _one_of_all,
}


def coded_images(styles: Styles, task: str) -> CodedImages:
    """Every image as codes, and what is given of it; see `preprocess_image_data`."""
    targets = {
        split: {name: _codes_of(styles, split, name) for name in tasks} for split, tasks in styles.images.items()
    }
    return CodedImages(targets, shown_of(styles, task), styles.autoencoder)


def _codes_of(styles: Styles, split: str, task: str) -> list[str]:
    try:
        return codes_to_text(styles.autoencoder.encode(styles.images[split][task]))
    except ValueError as error:
        raise ValueError(f"Images of {task!r} of {split!r}: {error}") from error


def shown_of(styles: Styles, task: str) -> Texts:
    """What a kind of task gives of every image.

    Raises:
        ValueError: an unknown kind, or no other style to show for one of them.
    """
    if task not in IMAGE_KINDS:
        raise ValueError(f"Unknown image task {task!r}. {closest(str(task), IMAGE_KINDS)}")
    return {
        split: {name: IMAGE_KINDS[task](styles, split, name) for name in tasks}
        for split, tasks in styles.images.items()
    }
