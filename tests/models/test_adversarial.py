"""Training against a discriminator: both learn, and weight 0 is the autoencoder's own training."""

from typing import Any

import keras
import numpy as np
import pytest

from metagpt_tf.models import AdversarialTraining, ImageAutoencoder

SIZES: dict[str, Any] = {"num_codes": 8, "code_dim": 4, "filters": 8, "num_blocks": 1}


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((32, 28, 28, 1), "float32")


def _autoencoder(kind: str) -> ImageAutoencoder:
    keras.utils.set_random_seed(0)
    return ImageAutoencoder(kind=kind, **SIZES)


@pytest.mark.parametrize("kind", ["vq", "plain"])
def test_both_learn(kind: str, images: np.ndarray) -> None:
    autoencoder = _autoencoder(kind)
    before = [weight.copy() for weight in autoencoder.get_weights()]
    training = AdversarialTraining(autoencoder, weight=0.1)
    training.compile("adam", discriminator_optimizer=keras.optimizers.Adam(1e-2))
    history = training.fit(images, images, batch_size=16, epochs=6, verbose=0).history
    assert history["discriminator_loss"][-1] < history["discriminator_loss"][0]
    assert any(np.abs(new - old).max() > 1e-3 for new, old in zip(autoencoder.get_weights(), before, strict=True))
    assert np.isfinite(training.evaluate(images, images, verbose=0))
    assert autoencoder.predict(images, verbose=0).shape == images.shape


def test_without_weight_it_is_the_autoencoder_by_itself(images: np.ndarray) -> None:
    alone, with_other = _autoencoder("plain"), _autoencoder("plain")
    alone.compile(keras.optimizers.SGD(0.1))
    alone.fit(images, images, batch_size=16, epochs=2, shuffle=False, verbose=0)
    training = AdversarialTraining(with_other, weight=0.0)
    training.compile(keras.optimizers.SGD(0.1))
    training.fit(images, images, batch_size=16, epochs=2, shuffle=False, verbose=0)
    for first, second in zip(alone.get_weights(), with_other.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)


def test_a_negative_weight() -> None:
    with pytest.raises(ValueError, match="at least 0, received -1"):
        AdversarialTraining(_autoencoder("plain"), weight=-1.0)
