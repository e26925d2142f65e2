"""Images to codes and back: every kind learns, codes are used, what is wrong is said."""

import keras
import numpy as np
import pytest

from metagpt_tf.models import CodesInUse, ImageAutoencoder, PeakSignalToNoise, structural_similarity
from metagpt_tf.saving import load_model

SMALL = {"code_dim": 8, "filters": 16, "num_blocks": 1}


def squares(count, seed=0):
    """White squares on black, anywhere."""
    draw = np.random.default_rng(seed)
    images = np.zeros((count, 28, 28, 1), "float32")
    for image in images:
        row, column, size = draw.integers(2, 16), draw.integers(2, 16), draw.integers(4, 10)
        image[row : row + size, column : column + size] = 1.0
    return images


@pytest.fixture(scope="module", params=["vq", "plain", "vae"])
def trained(request):
    keras.utils.set_random_seed(0)
    model = ImageAutoencoder(kind=request.param, num_codes=64, **SMALL)
    model.compile(keras.optimizers.Adam(3e-3))
    images = squares(256)
    model.fit(images, images, batch_size=64, epochs=15, verbose=0)
    return model


def test_each_kind_learns(trained):
    images = squares(64, seed=1)
    figures = trained.evaluate(images, images, verbose=0, return_dict=True)
    empty = float(np.mean(-10 * np.log10(np.mean(images**2, axis=(1, 2, 3)))))
    assert figures["psnr"] > empty + 4
    assert structural_similarity(images, trained.predict(images, verbose=0)).mean() > 0.6


def test_saved_and_loaded(trained, tmp_path):
    images = squares(4, seed=2)
    trained.save(tmp_path / "m.keras")
    trained.save_to_preset(tmp_path / "preset", {"name": "squares"})
    for again in (load_model(tmp_path / "m.keras"), ImageAutoencoder.from_preset(tmp_path / "preset")):
        np.testing.assert_allclose(again(images), trained(images), atol=1e-6)


def test_codes_there_and_back(trained):
    images = squares(300, seed=3)
    if trained.kind != "vq":
        with pytest.raises(ValueError, match="has no codes"):
            trained.encode(images)
        return
    codes = trained.encode(images)
    assert codes.shape == (300, 7, 7) and codes.dtype == "int32"
    np.testing.assert_allclose(trained.decode(codes[:8]), trained(images[:8]), atol=1e-5)
    used = trained.codes_in_use(images)
    assert used.used >= 8 and used.perplexity > 2  # not all places are the same code
    assert trained.encode(images[:0]).shape == (0, 7, 7)


def test_what_is_refused():
    model = ImageAutoencoder(num_codes=8, **SMALL)
    for images, words in (
        (np.zeros((1, 20, 28, 1)), "received \\(1, 20, 28, 1\\)"),
        (np.full((1, 28, 28, 1), 255.0), "Divide by 255"),
    ):
        with pytest.raises(ValueError, match=words):
            model.encode(images)
    with pytest.raises(ValueError, match="from 0 to 7, received 0 to 8"):
        model.decode(np.full((1, 7, 7), 8) * np.eye(7, dtype=int))
    with pytest.raises(ValueError, match=r"codes \(B, 7, 7\)"):
        model.decode(np.zeros((7, 7)))
    with pytest.raises(ValueError, match="Unknown kind 'vqvae'.*vq"):
        ImageAutoencoder(kind="vqvae")
    with pytest.raises(ValueError, match="multiples of 4"):
        ImageAutoencoder((30, 28, 1))


def test_metrics():
    assert CodesInUse.of([[0, 1], [2, 3]], 8) == CodesInUse(4, 0.5, pytest.approx(4.0))
    images = squares(3)
    metric = PeakSignalToNoise()
    metric.update_state(images, np.clip(images + 0.1, 0, 1.1))
    assert float(metric.result()) == pytest.approx(20.0, abs=0.1)
    assert structural_similarity(images, images).tolist() == [1.0] * 3
    assert (structural_similarity(images, 1 - images) < 0.2).all()
    with pytest.raises(ValueError, match="of one shape"):
        structural_similarity(images, images[:2])
