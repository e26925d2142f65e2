"""Masked loss and metrics against NumPy."""

import keras
import numpy as np
import pytest

from metagpt_tf.models import BitsPerToken, MaskedCrossentropy, TokenAccuracy

LABELS = np.array([[3, 1, 0, 0], [2, 2, 1, 3]], "int32")


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(size=(2, 4, 5)).astype("float32")


def token_losses(logits, smoothing=0.0):
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    target = (1 - smoothing) * np.eye(5)[LABELS] + smoothing / 5
    return -(target * log_p).sum(-1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_mean_over_real_tokens(logits, smoothing):
    keep = LABELS != 0
    expected = token_losses(logits, smoothing)[keep].mean()
    assert float(MaskedCrossentropy(smoothing)(LABELS, logits)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("weights", [np.array([1.0, 3.0]), np.array([[1.0, 2.0, 5.0, 5.0], [0.0, 1.0, 1.0, 1.0]])])
def test_sample_weights(logits, weights):
    spread = np.broadcast_to(weights if weights.ndim == 2 else weights[:, None], LABELS.shape) * (LABELS != 0)
    expected = (token_losses(logits) * spread).sum() / spread.sum()
    assert float(MaskedCrossentropy()(LABELS, logits, sample_weight=weights)) == pytest.approx(expected, rel=1e-5)


def test_padding_changes_nothing(logits):
    changed = logits.copy()
    changed[0, 2:] += 7.0 * np.arange(5)
    for function in (MaskedCrossentropy(), TokenAccuracy(), BitsPerToken()):
        assert float(function(LABELS, logits)) == pytest.approx(float(function(LABELS, changed)), rel=1e-6)


def test_metrics(logits):
    keep = LABELS != 0
    accuracy, bits = TokenAccuracy(), BitsPerToken()
    for half in (slice(0, 1), slice(1, 2)):
        accuracy.update_state(LABELS[half], logits[half])
        bits.update_state(LABELS[half], logits[half])
    assert float(accuracy.result()) == pytest.approx((logits.argmax(-1) == LABELS)[keep].mean())
    assert float(bits.result()) == pytest.approx(token_losses(logits)[keep].mean() / np.log(2), rel=1e-5)


def test_only_padding_is_zero_and_not_nan(logits):
    assert float(MaskedCrossentropy()(np.zeros_like(LABELS), logits)) == 0.0


def test_config_round_trip():
    loss = keras.losses.deserialize(keras.losses.serialize(MaskedCrossentropy(0.2, pad_id=7)))
    assert (loss.label_smoothing, loss.pad_id) == (0.2, 7)
    with pytest.raises(ValueError, match="label_smoothing must be in"):
        MaskedCrossentropy(1.0)
