"""Variants of a style are other styles: the same change for all its images, in the direction that was asked."""

import numpy as np
import pytest

from metagpt_tf.applications.image import load_image_data
from metagpt_tf.applications.image_variants import Variant, varied_styles

SAME = Variant(slant=0.0, width=1.0, height=1.0, right=0.0, down=0.0, stroke=0.0)


@pytest.fixture(scope="module")
def glyphs() -> np.ndarray:
    return load_image_data()[0]["meta_train"]["Carlito Regular"]


def _centre(images: np.ndarray, axis: int) -> np.ndarray:
    places = np.arange(images.shape[axis]).reshape([-1 if a == axis else 1 for a in range(4)])
    return (images * places).sum(axis=(1, 2, 3)) / images.sum(axis=(1, 2, 3))


def test_no_change_changes_nothing(glyphs: np.ndarray) -> None:
    np.testing.assert_allclose(SAME(glyphs), glyphs, atol=1e-5)


@pytest.mark.parametrize(("change", "axis", "moved"), [({"right": 1.0}, 2, 1.0), ({"down": -1.0}, 1, -1.0)])
def test_images_move(glyphs: np.ndarray, change: dict[str, float], axis: int, moved: float) -> None:
    found = SAME._replace(**change)(glyphs)
    np.testing.assert_allclose(_centre(found, axis) - _centre(glyphs, axis), moved, atol=0.1)


def test_strokes_slants_and_sizes(glyphs: np.ndarray) -> None:
    ink = glyphs.sum()
    assert (
        SAME._replace(stroke=0.5)(glyphs).sum() > 1.15 * ink and SAME._replace(stroke=-0.5)(glyphs).sum() < 0.85 * ink
    )
    narrow = SAME._replace(width=0.8)(glyphs)
    assert narrow.sum() == pytest.approx(0.8 * ink, rel=0.03)
    slanted = SAME._replace(slant=0.3)(glyphs)
    top, bottom = ((slanted[:, half] - glyphs[:, half]) for half in (slice(0, 14), slice(14, 28)))
    right = np.arange(28)[None, None, :, None]
    assert (top * right).sum() > 0 > (bottom * right).sum()  # up is to the right


def test_names_seeds_and_the_originals(glyphs: np.ndarray) -> None:
    texts = [f"letter {n}" for n in range(len(glyphs))]
    images, described = varied_styles({"a": glyphs, "b": glyphs}, {"a": texts, "b": texts}, variants=2, seed=3)
    assert list(images) == ["a", "b", "a ~1", "a ~2", "b ~1", "b ~2"] and described["b ~2"] == texts
    np.testing.assert_array_equal(images["a"], glyphs)
    assert np.abs(images["a ~1"] - images["b ~1"]).max() > 0.1  # each is its own
    assert all(rows.dtype == np.float32 and rows.min() >= 0 and rows.max() <= 1 for rows in images.values())
    again = varied_styles({"a": glyphs, "b": glyphs}, {"a": texts, "b": texts}, variants=2, seed=3)[0]
    np.testing.assert_array_equal(again["b ~2"], images["b ~2"])
    with pytest.raises(ValueError, match="at least 0, received -1"):
        varied_styles({"a": glyphs}, {"a": texts}, variants=-1)
