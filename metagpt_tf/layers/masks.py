"""Additive attention masks: 0 where a position may be looked at, a large negative number where not."""

from typing import Any

import numpy as np
from keras import ops

# Large enough to vanish in a softmax; two of them added together still fit float16, to which Keras casts what enters a
# layer under mixed precision.
MASKED = -3e4


def padding_mask(keep: Any) -> Any:
    """Turn a boolean "is a real token" map into an additive mask over keys, `(1 − keep) · −3e4`.

    Args:
        keep: `(B, S)` bool, True where the token counts.

    Returns:
        `(B, 1, 1, S)` float32, ready to be added to scores `(B, H, T, S)`.

    Example:

    >>> padding_mask(np.array([[True, False]])).numpy().tolist()
    [[[[-0.0, -30000.0]]]]
    """
    return (1.0 - ops.cast(keep, "float32"))[:, None, None, :] * MASKED


def causal_mask(length: int) -> np.ndarray:
    """Constant additive mask that hides the future: position t sees 0…t.

    A constant, because converters drop or refuse a mask that is computed with band-part operations.

    Args:
        length: int, T.

    Returns:
        `(1, 1, T, T)` float32, 0 on and below the diagonal, -3e4 above.

    Example:

    >>> causal_mask(2)[0, 0].tolist()
    [[0.0, -30000.0], [0.0, 0.0]]
    """
    return np.triu(np.full((length, length), MASKED, "float32"), 1)[None, None]
