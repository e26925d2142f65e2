"""Labelled sets of images that others keep: scikit-learn's digits, files of the IDX format, TensorFlow Datasets."""

import gzip
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from metagpt_tf.datasets.image_files import Descriptions, Images, load_images
from metagpt_tf.datasets.splits import split_tasks
from metagpt_tf.datasets.text_files import TFDS_NAME

DIGITS = "digits"
IDX_BYTES, IDX_IMAGES, IDX_LABELS = 0x08, 3, 1  # type and number of axes in the magic number
GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601


def load_image_sets(
    source: str | os.PathLike,
    image_shape: tuple[int, int, int] = (28, 28, 1),
    label_names: list[str] | None = None,
    examples_per_class: int | None = 200,
) -> tuple[Images, Descriptions]:
    """Images by class: a class is a task, its name the description of its images; whole classes are held out.

    Use it for plain images; where images come in styles, a folder for each style is better (`load_images`).

    Args:
        source: `"digits"` for scikit-learn's 1,797 (8 x 8), where no folder has that name; a folder with a folder for
            each task (`load_images`); a folder with IDX files (`…images-idx3-ubyte.gz`,
            `…labels-idx1-ubyte.gz`, as those of Debian's `dataset-fashion-mnist`), all of which are read;
            or the name of a set of TensorFlow Datasets, which must be on this machine or be downloaded by
            it.
        image_shape: `(H, W, C)`, C 1 or 3. Images of digits, IDX files and TFDS are resized to it, and made grey or
            repeated in three channels; files of a folder must have it.
        label_names: of IDX files, which only have numbers; by default "class 0" and so on.
        examples_per_class: how many are kept, the first ones; `None` for all.

    Returns:
        Split -> task -> `(n, H, W, C)` float32 in [0, 1]; split -> task -> n descriptions.

    Raises:
        FileNotFoundError: no such folder, and TFDS knows no such set (the closest is suggested).
        ValueError: files that are damaged or do not fit each other, fewer than three classes, or a set of TFDS without
            images and labels.
        ImportError: digits without scikit-learn.

    Example:

    >>> images, texts = load_image_sets("digits", examples_per_class=5)
    >>> sum(len(tasks) for tasks in images.values()), {len(rows) for rows in images["meta_test"].values()}
    (10, {5})
    """
    path = Path(source)
    if source == DIGITS and not path.is_dir():
        by_class = _digits()
    elif not path.is_dir():
        by_class = _tfds(os.fspath(source), examples_per_class, image_shape)
    elif files := _idx_files(path):
        by_class = _idx(files, label_names)
    else:
        return load_images(source, image_shape)
    kept = {name: _resized(images[:examples_per_class], image_shape) for name, images in sorted(by_class.items())}
    splits = split_tasks(kept)
    arrays = {split: {name: kept[name] for name in names} for split, names in splits.items()}
    return arrays, {
        split: {name: [name] * len(images) for name, images in tasks.items()} for split, tasks in arrays.items()
    }


def _idx_files(path: Path) -> list[Path]:
    """Those of images; of a file that is there packed and unpacked, the unpacked one."""
    files = sorted(path.glob("*images-idx3-ubyte*"))
    return [file for file in files if file.suffix != ".gz" or file.with_suffix("") not in files]


def _digits() -> dict[str, np.ndarray]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(f"The digits come with scikit-learn: pip install scikit-learn ({error})") from error
    digits = load_digits()
    images = digits.images[..., None].astype("float32") / 16.0
    return {f"digit {label}": images[digits.target == label] for label in range(10)}


def _idx(files: list[Path], label_names: list[str] | None) -> dict[str, np.ndarray]:
    """Images of all files by the name of their label."""
    images, labels = [], []
    for file in files:
        partner = file.with_name(file.name.replace("images-idx3", "labels-idx1"))
        if not partner.is_file():
            raise FileNotFoundError(f"{file} has no labels beside it: expected {partner.name}.")
        images.append(_idx_array(file, IDX_IMAGES))
        labels.append(_idx_array(partner, IDX_LABELS))
        if len(images[-1]) != len(labels[-1]):
            raise ValueError(f"{file} holds {len(images[-1])} images and {partner.name} {len(labels[-1])} labels.")
    pixels, numbers = np.concatenate(images)[..., None].astype("float32") / 255.0, np.concatenate(labels)
    names = label_names or [f"class {label}" for label in range(int(numbers.max()) + 1)]
    if len(names) <= numbers.max():
        raise ValueError(f"label_names has {len(names)} names, and the labels go up to {numbers.max()}.")
    return {name: pixels[numbers == label] for label, name in enumerate(names) if (numbers == label).any()}


def _idx_array(file: Path, axes: int) -> np.ndarray:
    content = file.read_bytes()
    try:
        content = gzip.decompress(content) if file.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{file} cannot be unpacked, it is damaged: {error}") from error
    start = 4 * (1 + axes)
    header = np.frombuffer(content[:start], ">i4") if len(content) >= start else np.zeros(0, ">i4")
    if len(header) != 1 + axes or header[0] != (IDX_BYTES << 8 | axes) or len(content) != start + header[1:].prod():
        raise ValueError(f"{file} is no IDX file of bytes with {axes} axes, or is cut off ({len(content)} bytes).")
    return np.frombuffer(content, np.uint8, offset=start).reshape(header[1:])


def _tfds(name: str, examples_per_class: int | None, image_shape: tuple[int, int, int]) -> dict[str, np.ndarray]:
    if not TFDS_NAME.fullmatch(name):
        raise FileNotFoundError(f"No folder at {name!r}, and it cannot be the name of a TFDS data set.")
    from metagpt_tf.datasets.tfds_rows import tfds_rows  # imports tensorflow_datasets, which is slow

    found: dict[str, list[np.ndarray]] = {}

    def parse(row: dict[str, Any]) -> None:
        if not {"image", "label"} <= set(row):
            raise ValueError("it has no 'image' and 'label'")
        images = found.setdefault(str(row["label"]), [])
        if examples_per_class is None or len(images) < examples_per_class:
            image = np.asarray(row["image"])
            largest = np.iinfo(image.dtype).max if np.issubdtype(image.dtype, np.integer) else 1.0
            images.append(_resized((image / largest).astype("float32")[None], image_shape)[0])

    tfds_rows(name, parse, ["image", "label"])
    return {label: np.stack(images) for label, images in found.items()}


def _resized(images: np.ndarray, image_shape: tuple[int, int, int]) -> np.ndarray:
    """To that height, width and number of channels."""
    import tensorflow as tf  # slow to import, and no other loader needs it

    height, width, channels = image_shape
    if images.shape[-1] != channels:
        grey = images if images.shape[-1] == 1 else (images[..., :3] @ np.array(GREY, "float32"))[..., None]
        images = grey if channels == 1 else grey.repeat(channels, axis=-1)
    if images.shape[1:3] != (height, width):
        images = tf.image.resize(images, (height, width), antialias=True).numpy()
    return np.clip(images, 0.0, 1.0).astype("float32")
