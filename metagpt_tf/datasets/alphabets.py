"""Letters of 142 scripts as small images, bundled with the package: few-shot classification without a download."""

import functools
import io
from importlib import resources
from typing import NamedTuple

import numpy as np

from metagpt_tf.datasets.splits import split_tasks

ASSET = "alphabets.npz"
SIDE = 28


class Alphabets(NamedTuple):
    """The drawings of all letters, letter by letter and script by script.

    Args:
        images: `(n, 28, 28) uint8`, 1 where there is ink.
        letter: `(n,) int32`, the class of each drawing: a place in `codes`.
        script: `(n,) int32`, the script of each drawing: a place in `names`.
        codes: `(classes,) int32`, Unicode code point of each letter.
        names: names of the scripts, in alphabetical order.
        splits: split -> names of its scripts; whole scripts are held out.
    """

    images: np.ndarray
    letter: np.ndarray
    script: np.ndarray
    codes: np.ndarray
    names: list[str]
    splits: dict[str, list[str]]


@functools.lru_cache(maxsize=1)
def load_alphabets() -> Alphabets:
    """Load the bundled letters: 142 scripts, 6,193 letters, 10,744 drawings.

    Use it for Omniglot-like tasks (`metagpt_tf.tasks.few_shot`). A script has 16 to 64 letters, a letter 1 to 4
    drawings: the regular, bold, sans and serif styles of the Noto fonts, where they exist and differ. Each drawing is
    scaled to fill a square of 22 x 22 pixels and centred. Small and capital letters are not both there where Unicode
    pairs them, nor are letters with accents that it composes; of equal drawings in a script one is kept.

    A script's split is that of its name (`splits.split_tasks`): the same on every machine.

    Returns:
        The arrays, read-only and shared between calls.

    Raises:
        FileNotFoundError: the package was installed without its asset.

    Example:

    >>> alphabets = load_alphabets()
    >>> alphabets.images.shape, len(alphabets.names)
    ((10744, 28, 28), 142)
    >>> {split: len(names) for split, names in alphabets.splits.items()}
    {'meta_train': 104, 'meta_validation': 21, 'meta_test': 17}

    Reference: Lake et al. 2015, "Human-level concept learning through probabilistic program induction" (Omniglot, whose
        letters were drawn by hand); https://fonts.google.com/noto (the fonts, SIL Open Font License 1.1).
    """
    asset = resources.files("metagpt_tf.datasets") / "assets" / ASSET
    if not asset.is_file():
        raise FileNotFoundError(
            f"The bundled letters are not at {asset}. Install the package again: datasets/assets/{ASSET} is part of it."
        )
    with np.load(io.BytesIO(asset.read_bytes()), allow_pickle=False) as file:
        letter, script_of_letter = file["letter"].astype("int32"), file["script"].astype("int32")
        images = np.unpackbits(file["bits"], axis=1).reshape(-1, SIDE, SIDE)
        codes, names = file["code"], [str(name) for name in file["names"]]
    arrays = (images, letter, script_of_letter[letter], codes)
    for array in arrays:
        array.flags.writeable = False
    return Alphabets(*arrays, names, split_tasks(names))
