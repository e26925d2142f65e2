"""Arrays and weights for the tests of this room."""

from typing import Any

import keras
import numpy as np


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def randomise(owner: Any, seed: int = 0, scale: float = 0.3) -> Any:
    """Give every weight a random value: what starts at zero or one would hide mistakes."""
    rng = np.random.default_rng(seed)
    owner.set_weights([rng.normal(size=weight.shape, scale=scale).astype("float32") for weight in owner.weights])
    return owner


def values(x: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(x)


def weight(layer: keras.layers.Layer, end: str) -> np.ndarray:
    """The one weight whose path ends with `end`."""
    found = [w for w in layer.weights if w.path.endswith(end)]
    assert len(found) == 1, [w.path for w in layer.weights]
    return values(found[0])
