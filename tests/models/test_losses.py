"""Losses and metrics against NumPy."""

import keras
import numpy as np
import pytest

from metagpt_tf.models import BitsPerToken, MaskedCrossentropy, TokenAccuracy, token_crossentropy

B, T, V = 3, 5, 7
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(B, T, V), scale=3.0).astype("float32")
LABELS = RNG.integers(1, V, (B, T)).astype("int32")
LABELS[0, 3:] = LABELS[1, 1:] = 0
REAL = LABELS != 0
WEIGHTS = {
    "none": None,
    "rows": np.array([1.0, 0.0, 2.5], "float32"),
    "column": np.array([[1.0], [0.5], [2.5]], "float32"),
    "tokens": RNG.random((B, T)).astype("float32"),
}


def crossentropy(smoothing: float = 0.0) -> np.ndarray:
    """(B, T) in float64, by the definition."""
    z = LOGITS.astype("float64")
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    q = (1 - smoothing) * np.eye(V)[LABELS] + smoothing / V
    return -(q * log_p).sum(-1)


def mean(of: np.ndarray, weights: np.ndarray | None) -> float:
    w = np.ones((B, T)) if weights is None else weights if weights.ndim == 2 else weights[:, None]
    w = np.broadcast_to(w, (B, T)) * REAL
    return float((of * w).sum() / w.sum())


every_weight = pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_token_crossentropy(smoothing: float):
    result = token_crossentropy(LABELS, LOGITS, smoothing)
    np.testing.assert_allclose(result, crossentropy(smoothing), rtol=1e-5, atol=1e-5)


def test_token_crossentropy_equals_keras():
    theirs = keras.losses.sparse_categorical_crossentropy(LABELS, LOGITS, from_logits=True)
    np.testing.assert_allclose(token_crossentropy(LABELS, LOGITS), theirs, rtol=1e-5, atol=1e-5)


def test_half_precision_logits_are_scored_in_float32():
    result = token_crossentropy(LABELS, LOGITS.astype("float16"))
    assert result.dtype == "float32"
    np.testing.assert_allclose(result, crossentropy(), atol=0.02)


@every_weight
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_masked_crossentropy(weights: np.ndarray | None, smoothing: float):
    loss = MaskedCrossentropy(label_smoothing=smoothing)(LABELS, LOGITS, sample_weight=weights)
    assert loss.shape == ()
    assert float(loss) == pytest.approx(mean(crossentropy(smoothing), weights), rel=1e-5)


@every_weight
def test_token_accuracy(weights: np.ndarray | None):
    metric = TokenAccuracy()
    metric.update_state(LABELS, LOGITS, sample_weight=weights)
    assert float(metric.result()) == pytest.approx(mean(LOGITS.argmax(-1) == LABELS, weights), rel=1e-5)


@every_weight
def test_bits_per_token(weights: np.ndarray | None):
    metric = BitsPerToken()
    metric.update_state(LABELS, LOGITS, sample_weight=weights)
    assert float(metric.result()) == pytest.approx(mean(crossentropy(), weights) / np.log(2), rel=1e-5)


@pytest.mark.parametrize("metric", [TokenAccuracy, BitsPerToken])
def test_metrics_average_tokens_and_not_batches(metric: type):
    whole, parts = metric(), metric()
    whole.update_state(LABELS, LOGITS)
    for row in range(B):  # of 3, 1 and 5 real tokens
        parts.update_state(LABELS[row : row + 1], LOGITS[row : row + 1])
    assert float(parts.result()) == pytest.approx(float(whole.result()), rel=1e-5)
    parts.reset_state()
    assert float(parts.result()) == 0.0


@pytest.mark.parametrize("made", [MaskedCrossentropy, TokenAccuracy, BitsPerToken])
def test_another_padding(made: type):
    labels = np.where(LABELS == 0, 6, LABELS)
    other = float(made(pad_id=6)(labels, LOGITS))
    assert other != pytest.approx(float(made()(labels, LOGITS)))
    assert other == pytest.approx(float(made()(labels, LOGITS, sample_weight=labels != 6)), rel=1e-5)


@pytest.mark.parametrize("made", [MaskedCrossentropy, TokenAccuracy, BitsPerToken])
def test_predictions_of_padding_change_nothing(made: type):
    changed = np.where(REAL[..., None], LOGITS, 7.0 * np.arange(V, dtype="float32"))
    assert float(made()(LABELS, changed)) == pytest.approx(float(made()(LABELS, LOGITS)), rel=1e-6)


def test_nothing_but_padding_is_zero_and_not_nan():
    assert float(MaskedCrossentropy()(np.zeros((2, 3), "int32"), LOGITS[:2, :3])) == 0.0


@pytest.mark.parametrize(
    "made", [MaskedCrossentropy(0.1, 2, name="some"), TokenAccuracy("a", pad_id=3), BitsPerToken("b", pad_id=4)]
)
def test_config_round_trip(made):
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert type(twin) is type(made) and twin.get_config() == made.get_config()
    assert twin.pad_id == made.pad_id and twin.name == made.name
    assert float(twin(LABELS, LOGITS)) == pytest.approx(float(made(LABELS, LOGITS)))
    assert "label_smoothing" not in made.get_config() or twin.label_smoothing == 0.1


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 1\), received 1.0"):
        MaskedCrossentropy(1.0)
    with pytest.raises(ValueError, match="mean over real tokens, received reduction='sum'"):
        MaskedCrossentropy(reduction="sum")
    with pytest.raises(ValueError, match=r"labels \(..., T\) .* received shapes \(3, 5, 7\) and \(3, 5, 7\)"):
        token_crossentropy(LOGITS, LOGITS)
