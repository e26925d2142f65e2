"""A user's own images: a folder for each task, a description for each image."""

import csv
import os
import re
from pathlib import Path

import numpy as np

from metagpt_tf.datasets.rows import read_lines
from metagpt_tf.datasets.splits import split_tasks

CAPTIONS = "captions.csv"
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
NOTHING_SAID = re.compile(r"\d{2,}")
NUMBER = re.compile(r"-\d+$")  # "letter_g-2.png" is another letter g, "digit_2.png" a digit 2
PNG, BIT_DEPTH = b"\x89PNG", 24  # the depth's place in the first chunk
CHANNELS = {1: "grey", 3: "RGB"}

Images = dict[str, dict[str, np.ndarray]]
Descriptions = dict[str, dict[str, list[str]]]


def load_images(
    path: str | os.PathLike, image_shape: tuple[int, int, int] = (28, 28, 1)
) -> tuple[Images, Descriptions]:
    """Read images and their descriptions, whole tasks held out.

    Each folder in `path` is a task. An image is described by the column `text` of `captions.csv` in its folder, whose
    column `file` names it, or else by its name: without `-2` and the like at its end, `_` for blanks (`letter_g-2.png`
    is "letter g"). A name that is a number of two digits or more says nothing, and the folder's name is taken
    (`cats/0001.png` is "cats").

    Args:
        path: a folder of folders of PNG, JPEG or BMP files.
        image_shape: `(height, width, channels)` that every image must have; channels 1 (grey) or 3 (RGB).

    Returns:
        Split -> task -> `(n, H, W, C)` float32 in [0, 1]; split -> task -> n descriptions.

    Raises:
        FileNotFoundError: no such folder, or no images in one.
        ValueError: fewer than three tasks, a file that is no image, of another size, mode or bit depth, or an image
            that `captions.csv` does not describe; names the file.
    """
    root = Path(path)
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root}. load_images reads a folder with a folder for each task.")
    folders = {f.name: f for f in sorted(root.iterdir()) if f.is_dir() and not f.name.startswith(".")}
    splits = split_tasks(folders)
    images: Images = {split: {} for split in splits}
    texts: Descriptions = {split: {} for split in splits}
    for split, tasks in splits.items():
        for task in tasks:
            images[split][task], texts[split][task] = load_image_folder(folders[task], image_shape)
    return images, texts


def load_image_folder(
    folder: str | os.PathLike, image_shape: tuple[int, int, int] = (28, 28, 1)
) -> tuple[np.ndarray, list[str]]:
    """Read the images of one task and their descriptions; see `load_images`.

    Args:
        folder: of PNG, JPEG or BMP files.
        image_shape: that every image must have.

    Returns:
        `(n, H, W, C)` float32 in [0, 1], and n descriptions.

    Raises:
        FileNotFoundError, ValueError: as `load_images`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}.")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise FileNotFoundError(f"{folder} holds no images ({', '.join(SUFFIXES)}).")
    captions = _captions(folder)
    return np.stack([_image(file, image_shape) for file in files]), [_text(file, captions) for file in files]


def _captions(folder: Path) -> dict[str, str] | None:
    file = folder / CAPTIONS
    if not file.is_file():
        return None
    reader = csv.DictReader(text for _, text in read_lines(file))
    try:
        columns = list(reader.fieldnames or ["none"])
        if not {"file", "text"} <= set(columns):
            raise ValueError(f"{file} needs the columns file and text, has {', '.join(columns)}.")
        found = {row["file"]: row["text"] for row in reader}
    except csv.Error as error:
        raise ValueError(f"{file} is no CSV file that can be read: {error}") from error
    unknown = [
        name for name in found if not (folder / str(name)).is_file() or Path(name).suffix.lower() not in SUFFIXES
    ]
    if unknown:
        raise ValueError(f"{file} describes {unknown[0]!r}, and there is no such image ({', '.join(SUFFIXES)}).")
    return found


def _text(file: Path, captions: dict[str, str] | None) -> str:
    if captions is not None:
        if not captions.get(file.name):
            raise ValueError(f"{file.parent / CAPTIONS} does not describe {file.name}. Add a row for it.")
        return captions[file.name]
    name = file.parent.name if NOTHING_SAID.fullmatch(file.stem) else NUMBER.sub("", file.stem)
    text = name.replace("_", " ").strip()
    if not text:
        raise ValueError(f"{file} has no description: name it by what it shows, or write {CAPTIONS} beside it.")
    return text


def _image(file: Path, image_shape: tuple[int, int, int]) -> np.ndarray:
    import tensorflow as tf  # slow to import, and no other loader needs it

    content = file.read_bytes()
    if (
        content.startswith(PNG) and len(content) > BIT_DEPTH and content[BIT_DEPTH] > 8
    ):  # which would be cut to eight without a word
        raise ValueError(f"{file} has {content[BIT_DEPTH]} bits a channel, expected 8. Convert it.")
    try:
        pixels = tf.io.decode_image(content, channels=0, expand_animations=False).numpy()
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(f"{file} is no image that can be read, or damaged: {error.message[:120]}") from error
    if pixels.shape != tuple(image_shape):
        mode = CHANNELS.get(pixels.shape[-1], f"{pixels.shape[-1]} channels")
        raise ValueError(
            f"{file} is {pixels.shape[0]} x {pixels.shape[1]}, {mode}; expected {image_shape[0]} x {image_shape[1]}, "
            f"{CHANNELS.get(image_shape[2], image_shape[2])}. Convert it, or give image_shape=… of your images."
        )
    return pixels.astype("float32") / 255.0
