"""Checks of token ids at the model's door."""

from typing import Any

import numpy as np


def check_ids(name: str, ids: Any, longest: int, vocabulary_size: int) -> None:
    """Refuse what is not a `(B, length)` array of token ids.

    Args:
        name: what the ids are, for the message.
        ids: array or tensor to check.
        longest: most tokens a row may hold.
        vocabulary_size: V; ids must be in [0, V).

    Raises:
        ValueError: wrong type, rank, length or value.
    """
    array = np.asarray(ids)
    expected = (
        f"Expected {name} as integer token ids of shape (batch, length <= {longest}), each in [0, {vocabulary_size})"
    )
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"{expected}; received shape {array.shape}, dtype {array.dtype}. tokenizer.pack(texts, length) makes them."
        )
    if array.shape[1] > longest:
        raise ValueError(
            f"{expected}; received shape {array.shape}. Shorten the {name}, or build the model with "
            f"{name}_length={array.shape[1]}."
        )
    if array.size and (array.min() < 0 or array.max() >= vocabulary_size):
        raise ValueError(
            f"{expected}; received values from {array.min()} to {array.max()}. Use the tokenizer that the model was "
            "built with."
        )
