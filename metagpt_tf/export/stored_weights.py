"""Weights of a SavedModel in fewer bits: integers or half floats as variables, made float32 where they are read."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from metagpt_tf.export.weight_quantization import is_rounded, rounded, to_integers
from metagpt_tf.registry import closest

STORAGES = ("float32", "float16", "weight_int8")


class StoredWeights:
    """Variables that stand in for a model's matrices in an exported graph.

    Args:
        variables: the model's Keras variables.
        storage: `"float32"` (none stands in), `"float16"`, or `"weight_int8"`, with one scale for each channel of the
            last axis.

    Raises:
        ValueError: an unknown storage.

    Example:

    >>> model = keras.Sequential([keras.Input((32,)), keras.layers.Dense(16)])
    >>> stored = StoredWeights(model.variables, "weight_int8")
    >>> [v.dtype.name for v in stored.variables()]
    ['int8', 'float32', 'float32']
    """

    def __init__(self, variables: list[Any], storage: str = "float32") -> None:
        if storage not in STORAGES:
            raise ValueError(f"A SavedModel stores weights as {', '.join(STORAGES)}. {closest(storage, STORAGES)}")
        chosen = [v for v in variables if storage != "float32" and v.dtype == "float32" and is_rounded(v)]
        self._replaced = {id(v) for v in chosen}
        self._others = [v for v in variables if id(v) not in self._replaced]
        self._stored = [(v, *_parts(v.numpy(), storage)) for v in chosen]

    def variables(self) -> list[tf.Variable]:
        """What the SavedModel tracks."""
        stored = [part for _, values, scales in self._stored for part in (values, scales) if part is not None]
        return [*stored, *(v.value for v in self._others)]

    def mapping(self) -> list[tuple[Any, tf.Tensor]]:
        """Pairs for `keras.StatelessScope(state_mapping=…)`: each matrix as it is stored, in float32."""
        pairs = []
        for variable, values, scales in self._stored:
            weight = tf.cast(values, tf.float32)
            pairs.append((variable, weight if scales is None else weight * scales))
        return pairs

    def scope(self) -> keras.StatelessScope:
        """Within it, the model reads the stored weights."""
        return keras.StatelessScope(state_mapping=self.mapping())


def as_read(weight: np.ndarray, storage: str) -> np.ndarray:
    """A matrix as a graph reads what was stored."""
    if storage == "float32" or not is_rounded(weight):
        return weight
    return weight.astype("float16").astype("float32") if storage == "float16" else rounded(weight)


def _parts(weight: np.ndarray, storage: str) -> tuple[tf.Variable, tf.Variable | None]:
    if storage == "float16":
        return tf.Variable(weight.astype("float16"), trainable=False), None
    integers, scales = to_integers(weight.reshape(-1, weight.shape[-1]), 8)
    return tf.Variable(integers.reshape(weight.shape), trainable=False), tf.Variable(scales, trainable=False)
