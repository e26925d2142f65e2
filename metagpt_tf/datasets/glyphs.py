"""Letters and digits of free font families as small images, bundled with the package: a style is a task."""

import functools
import io
import json
import re
from importlib import resources
from typing import NamedTuple

import numpy as np

from metagpt_tf.datasets.splits import split_tasks

ASSET = "glyphs.npz"
SIDE = 28
CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# The first word: "Cabin Sketch", "CabinSketch" and "Cabin" are relatives, and stay on one side of a split.
FIRST_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


class Glyphs(NamedTuple):
    """The characters of all styles.

    Args:
        images: `(styles, 62, 28, 28) uint8`, 0 for paper to 255 for ink.
        styles: name of each style, `"family style"`, unique.
        families: the family of each style.
        notices: copyright notice that each style's font carries, with its Debian package; a few carry none.
        splits: split -> names of its styles; whole families, and families that share their first word, are held out.
    """

    images: np.ndarray
    styles: list[str]
    families: list[str]
    notices: list[str]
    splits: dict[str, list[str]]


@functools.lru_cache(maxsize=1)
def load_glyphs() -> Glyphs:
    """Load the bundled glyphs: 26 capital and 26 small letters and 10 digits (`CHARACTERS`) of each style.

    Use it for tasks of style: some characters of a style are shown, the others are to be drawn. All fonts are under the
    SIL Open Font License; up to three styles of a family are there (regular, bold, slanted, ...). The characters of a
    style share one scale and one base line; each is centred by its width. Tones are of sixteen steps.

    A family's split is that of its first word (`splits.split_tasks`): the same on every machine.

    Returns:
        The arrays, read-only and shared between calls.

    Raises:
        FileNotFoundError: the package was installed without its asset.

    Example:

    >>> glyphs = load_glyphs()
    >>> glyphs.images.shape[1:], len(set(glyphs.families)) >= 100
    ((62, 28, 28), True)

    Reference: https://openfontlicense.org; the families, their packages and notices are listed in the asset itself.
    """
    asset = resources.files("metagpt_tf.datasets") / "assets" / ASSET
    if not asset.is_file():
        raise FileNotFoundError(
            f"The bundled glyphs are not at {asset}. Install the package again: datasets/assets/{ASSET} is part of it."
        )
    with np.load(io.BytesIO(asset.read_bytes()), allow_pickle=False) as file:
        about, packed = json.loads(file["about"].tobytes()), file["nibbles"]
    images = np.stack([packed >> 4, packed & 15], axis=-1).reshape(*packed.shape[:2], SIDE, SIDE) * np.uint8(17)
    images.flags.writeable = False
    families = [str(one["family"]) for one in about]
    styles = _unique([f"{one['family']} {one['style'].strip()}" for one in about])
    return Glyphs(
        images,
        styles,
        families,
        [f"{one['copyright']} ({one['package']})".strip() for one in about],
        _splits(styles, families),
    )


def _unique(names: list[str]) -> list[str]:
    """Names with a number from the second of its kind on."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return found


def _splits(styles: list[str], families: list[str]) -> dict[str, list[str]]:
    groups = [match.group().lower() if (match := FIRST_WORD.search(name)) else name for name in families]
    return {
        split: [style for style, group in zip(styles, groups, strict=True) if group in set(names)]
        for split, names in split_tasks(groups).items()
    }
