"""Labelled images of others: digits, IDX files, TFDS; damaged files are refused by name."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from metagpt_tf.datasets import load_image_sets


def _idx(path: Path, array: np.ndarray, magic: int | None = None) -> None:
    header = np.array([0x0800 | array.ndim if magic is None else magic, *array.shape], ">i4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five classes of 4 x 6 images, two files as MNIST and its kin have them."""
    draw = np.random.default_rng(0)
    for part, count in (("train", 20), ("t10k", 10)):
        labels = np.arange(count, dtype="uint8") % 5
        images = draw.integers(0, 256, (count, 4, 6)).astype("uint8")
        images[:, 0, 0] = labels * 50
        _idx(tmp_path / f"{part}-images-idx3-ubyte.gz", images)
        _idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", labels)
    return tmp_path


def test_digits_are_resized_and_whole_classes_are_held_out() -> None:
    images, texts = load_image_sets("digits", examples_per_class=9)
    names = [name for tasks in images.values() for name in tasks]
    assert sorted(names) == [f"digit {n}" for n in range(10)] and all(images.values())
    for split, tasks in images.items():
        for name, rows in tasks.items():
            assert rows.shape == (9, 28, 28, 1) and rows.dtype == np.float32 and 0 <= rows.min() < rows.max() <= 1
            assert texts[split][name] == [name] * 9


def test_idx_files_keep_pixels_and_labels(folder: Path) -> None:
    images, _ = load_image_sets(folder, (4, 6, 1), ["shirt", "bag", "boot", "coat", "cap"])
    found = {name: rows for tasks in images.values() for name, rows in tasks.items()}
    assert set(found) == {"shirt", "bag", "boot", "coat", "cap"} and all(len(rows) == 6 for rows in found.values())
    np.testing.assert_allclose(found["boot"][:, 0, 0, 0], 100 / 255, atol=1e-6)
    assert load_image_sets(folder, (8, 8, 3))[0]["meta_test"].popitem()[1].shape == (6, 8, 8, 3)


def test_damaged_idx_files(folder: Path) -> None:
    labels, images = folder / "t10k-labels-idx1-ubyte.gz", folder / "t10k-images-idx3-ubyte.gz"
    with pytest.raises(ValueError, match="label_names has 2 names"):
        load_image_sets(folder, (4, 6, 1), ["shirt", "bag"])
    _idx(labels, np.zeros(9, "uint8"))
    with pytest.raises(ValueError, match="holds 10 images and t10k-labels-idx1-ubyte.gz 9 labels"):
        load_image_sets(folder, (4, 6, 1))
    _idx(labels, np.zeros(10, "uint8"), magic=0x0D01)
    with pytest.raises(ValueError, match="no IDX file of bytes with 1 axes"):
        load_image_sets(folder, (4, 6, 1))
    labels.write_bytes(labels.read_bytes()[:20])
    with pytest.raises(ValueError, match="cannot be unpacked"):
        load_image_sets(folder, (4, 6, 1))
    labels.unlink()
    with pytest.raises(FileNotFoundError, match="has no labels beside it"):
        load_image_sets(folder, (4, 6, 1))
    images.write_bytes(b"")
    labels.write_bytes(b"")
    with pytest.raises(ValueError, match="t10k-images-idx3-ubyte.gz"):
        load_image_sets(folder, (4, 6, 1))


def test_a_set_of_tfds() -> None:
    import tensorflow_datasets as tfds

    with tfds.testing.mock_data(num_examples=60):
        images, texts = load_image_sets("cifar10", (8, 8, 1))
    assert {rows.shape[1:] for tasks in images.values() for rows in tasks.values()} == {(8, 8, 1)}
    names = {name for tasks in texts.values() for name in tasks}
    assert len(names) == 10 and {len(rows) for rows in texts["meta_train"].values()} != {0}
    with pytest.raises(FileNotFoundError, match="cifar10"):
        load_image_sets("cifar_10")


def test_a_folder_of_folders_is_left_to_load_images(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="three"):
        load_image_sets(tmp_path)
