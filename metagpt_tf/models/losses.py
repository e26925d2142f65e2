"""Loss and metrics over padded token sequences; every figure is a mean over real tokens."""

import math
from typing import Any

import keras
from keras import ops


def token_crossentropy(labels: Any, logits: Any, label_smoothing: float = 0.0) -> Any:
    """Cross-entropy of each token in nats, `-Σ_v q_v log p_v`, with `q_v = (1 − ε) [v = label] + ε / V`.

    Written with one-hot products and not with the fused operation: its second derivative exists and it converts to
    LiteRT.

    Args:
        labels: `(..., T)` int32, each in [0, V).
        logits: `(..., T, V)` float.
        label_smoothing: float, ε; default 0.

    Returns:
        `(..., T)` float32.

    Raises:
        ValueError: labels have not one axis less than the logits.

    Example:

    >>> import numpy as np
    >>> [round(float(x), 3) for x in token_crossentropy(np.array([1, 0]), np.array([[0.0, 0.0], [5.0, 0.0]]))]
    [0.693, 0.007]
    """
    if len(labels.shape) != len(logits.shape) - 1:
        raise ValueError(
            f"Expected labels (..., T) and logits (..., T, V), "
            f"received shapes {tuple(labels.shape)} and {tuple(logits.shape)}."
        )
    log_p = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    picked = -ops.sum(ops.one_hot(labels, logits.shape[-1], dtype="float32") * log_p, axis=-1)
    if not label_smoothing:
        return picked
    return (1.0 - label_smoothing) * picked - label_smoothing * ops.mean(log_p, axis=-1)


def _weights(labels: Any, pad_id: int, sample_weight: Any) -> Any:
    keep = ops.cast(ops.not_equal(labels, pad_id), "float32")
    if sample_weight is None:
        return keep
    sample_weight = ops.cast(sample_weight, "float32")
    while len(sample_weight.shape) < len(keep.shape):
        sample_weight = sample_weight[..., None]
    return keep * sample_weight


@keras.saving.register_keras_serializable("metagpt_tf")
class MaskedCrossentropy(keras.losses.Loss):
    """Mean cross-entropy in nats over the tokens that are not padding, `Σ w · ce / Σ w` with `w = 0` where padded.

    Use it for batches of padded sequences: every real token counts the same, however long its row.

    Args:
        label_smoothing: float in [0, 1), ε; default 0.
        pad_id: int, label of padding; default 0.
        name: str, key in the logs.

    Call arguments:
        y_true: `(B, T)` int32 labels.
        y_pred: `(B, T, V)` float logits.
        sample_weight: `(B,)` or `(B, T)` float, optional.

    Returns:
        `()` float32; 0 for a batch of nothing but padding.

    Raises:
        ValueError: `label_smoothing` outside [0, 1), or a `reduction` other than the mean.

    Example:

    >>> import numpy as np
    >>> round(float(MaskedCrossentropy()(np.array([[3, 0]]), np.zeros((1, 2, 4)))), 3)
    1.386

    Reference: Szegedy et al., 2016, "Rethinking the Inception Architecture" (label smoothing).
    """

    def __init__(self, label_smoothing: float = 0.0, pad_id: int = 0, name: str = "masked_crossentropy", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(f"label_smoothing must be in [0, 1), received {label_smoothing}.")
        if self.reduction != "sum_over_batch_size":
            raise ValueError(
                f"MaskedCrossentropy is the mean over real tokens, received reduction={self.reduction!r}. "
                "Leave reduction out, or sum token_crossentropy(labels, logits) yourself."
            )
        self.label_smoothing = label_smoothing
        self.pad_id = pad_id

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        # The base class averages over rows; a padded batch must be averaged over its real tokens.
        weights = _weights(y_true, self.pad_id, sample_weight)
        total = ops.sum(self.call(y_true, y_pred) * weights)
        return total / ops.maximum(ops.sum(weights), 1e-6)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return token_crossentropy(y_true, y_pred, self.label_smoothing)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "label_smoothing": self.label_smoothing, "pad_id": self.pad_id}


class _TokenMean(keras.metrics.Mean):
    """A mean over real tokens of something computed from labels and logits."""

    def __init__(self, pad_id: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pad_id = pad_id

    def token_values(self, y_true: Any, y_pred: Any) -> Any:
        """What is averaged: one float32 for each token, `(B, T)`."""
        raise NotImplementedError(f"{type(self).__name__} must define token_values(y_true, y_pred).")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        weights = _weights(y_true, self.pad_id, sample_weight)
        super().update_state(self.token_values(y_true, y_pred), sample_weight=weights)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pad_id": self.pad_id}


@keras.saving.register_keras_serializable("metagpt_tf")
class TokenAccuracy(_TokenMean):
    """Share of real tokens whose likeliest prediction is right, `Σ w · [argmax y_pred = y_true] / Σ w`.

    Args:
        name: str, key in the logs.
        pad_id: int, label of padding; default 0.

    Call arguments:
        y_true, y_pred, sample_weight: as in `MaskedCrossentropy`.

    Returns:
        `()` float32 in [0, 1].

    Example:

    >>> import numpy as np
    >>> float(TokenAccuracy()(np.array([[1, 1, 0]]), np.array([[[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]])))
    0.5
    """

    def __init__(self, name: str = "token_accuracy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def token_values(self, y_true: Any, y_pred: Any) -> Any:
        return ops.cast(ops.equal(ops.argmax(y_pred, axis=-1), y_true), "float32")


@keras.saving.register_keras_serializable("metagpt_tf")
class BitsPerToken(_TokenMean):
    """Mean cross-entropy of real tokens in bits; with byte tokens, bits per byte (the end mark counts as one).

    `Σ w · ce / (ln 2 · Σ w)`. Use it to compare models: it does not depend on label smoothing.

    Args:
        name: str, key in the logs.
        pad_id: int, label of padding; default 0.

    Call arguments:
        y_true, y_pred, sample_weight: as in `MaskedCrossentropy`.

    Returns:
        `()` float32.

    Example:

    >>> import numpy as np
    >>> round(float(BitsPerToken()(np.array([[3, 0]]), np.zeros((1, 2, 4)))), 3)
    2.0
    """

    def __init__(self, name: str = "bits_per_token", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def token_values(self, y_true: Any, y_pred: Any) -> Any:
        return token_crossentropy(y_true, y_pred) / math.log(2.0)
