"""The judge reads glyphs it has never seen; the distance of features says what is alike."""

from pathlib import Path

import keras
import numpy as np
import pytest

from metagpt_tf.datasets import load_glyphs
from metagpt_tf.datasets.glyphs import CHARACTERS
from metagpt_tf.models import GlyphJudge, kernel_distance
from metagpt_tf.presets import PRETRAINED, Preset


@pytest.fixture(scope="module")
def glyphs() -> np.ndarray:
    """All characters of the held-out styles, `(24, 62, 28, 28, 1)`."""
    loaded = load_glyphs()
    places = [loaded.styles.index(style) for style in loaded.splits["meta_test"]]
    return loaded.images[places][..., None].astype("float32") / 255.0


def test_reads_what_its_card_says(glyphs: np.ndarray) -> None:
    judge, card = GlyphJudge.from_preset(), Preset(PRETRAINED / "glyph_judge").card
    read = judge.read(glyphs.reshape(-1, 28, 28, 1)).reshape(len(glyphs), -1)
    found = (read == np.arange(len(CHARACTERS))).mean()
    assert found == pytest.approx(card["figures"]["meta_test"]["read"], abs=2e-3)
    assert (judge.read(1.0 - glyphs[0]) == np.arange(len(CHARACTERS))).mean() < 0.5  # it does look at the picture


def test_features_are_nearer_within_a_style_than_between_two(glyphs: np.ndarray) -> None:
    judge, names = GlyphJudge.from_preset(), load_glyphs().splits["meta_test"]
    light, heavy = (judge.features(glyphs[names.index(name)]) for name in ("Karla Light", "Cantarell Extra Bold"))
    assert kernel_distance(light[::2], light[1::2]) < 0.25 * kernel_distance(light, heavy)


def test_saved_and_loaded(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    judge = GlyphJudge(num_styles=3, filters=4, num_features=8)
    images = np.random.default_rng(0).random((5, 28, 28, 1), "float32")
    judge.save(tmp_path / "judge.keras")
    np.testing.assert_allclose(
        keras.models.load_model(tmp_path / "judge.keras").features(images), judge.features(images), rtol=1e-5
    )
    judge.save_to_preset(tmp_path / "preset")
    np.testing.assert_allclose(
        GlyphJudge.from_preset(tmp_path / "preset").features(images), judge.features(images), rtol=2e-2, atol=2e-3
    )


def test_what_is_refused() -> None:
    judge = GlyphJudge(num_styles=3, filters=4, num_features=8)
    with pytest.raises(ValueError, match=r"Expected images \(B, 28, 28, 1\), received \(2, 8, 8, 1\)"):
        judge.read(np.zeros((2, 8, 8, 1), "float32"))
    with pytest.raises(ValueError, match="num_features"):
        GlyphJudge(num_features=0)
    with pytest.raises(ValueError, match="at least two of each"):
        kernel_distance(np.zeros((1, 4)), np.zeros((2, 4)))
    assert judge.features(np.zeros((0, 28, 28, 1), "float32")).shape == (0, 8)


def test_kernel_distance_is_unbiased() -> None:
    draw = np.random.default_rng(0)
    same = [kernel_distance(draw.normal(size=(20, 3)), draw.normal(size=(20, 3))) for _ in range(200)]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(len(same))
    assert kernel_distance(draw.normal(size=(200, 3)), draw.normal(1.0, 1.0, (200, 3))) > 1.0
