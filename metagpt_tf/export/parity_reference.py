"""What Keras answers to every signature: the inputs that all readers get, and the outputs that they should return.

Axes: K support, B rows, S source, T target, P state.
"""

from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.export.serving_signatures import saved_model_signatures
from metagpt_tf.export.signatures import Exported
from metagpt_tf.generation.per_request import Settings
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import ImageAutoencoder
from metagpt_tf.models.drawing import Drawing

Arrays = dict[str, np.ndarray]

# Greedy, then drawn with each setting: the last row of several ends early.
SETTINGS: dict[str, list[float]] = {
    "temperature": [0.0, 0.7, 1.3],
    "top_k": [0, 5, 0],
    "top_p": [1.0, 1.0, 0.9],
    "seed": [0, 1, 2],
    "max_length": [10**6, 10**6, 5],
}


class Reference:
    """A learner in memory as the measure of its exports.

    Args:
        learner: compiled.
        support: `(x, y)`, leading axis K.
        inputs: `(B, …)`; `None` for the first two of the support.
        autoencoder: that the file was exported with.
    """

    def __init__(
        self, learner: MetaLearner, support: tuple[Any, Any], inputs: Any, autoencoder: ImageAutoencoder | None = None
    ) -> None:
        exported = Exported(learner)
        self.support = (_narrow(support[0]), _narrow(support[1]))
        self.inputs = self.support[0][:2] if inputs is None else _narrow(inputs)
        self._tokenizer: Any = exported.model.tokenizer if exported.is_generator else None
        y = self.support[1]
        target = None if exported.is_generator else tf.TensorSpec(y.shape[1:], tf.as_dtype(y.dtype))
        drawing = None if autoencoder is None else Drawing(autoencoder, exported.model)
        self._functions = saved_model_signatures(exported, target, drawing)
        self.state = np.asarray(learner.adapt(self.support))
        self._outputs: dict[str, Arrays] = {"adapt": {"state": self.state}}

    @property
    def signatures(self) -> list[str]:
        """Names of all."""
        return sorted(self._functions)

    @property
    def adapted_answer(self) -> tuple[str, str]:
        """What a LiteRT file calls the answer with a state, and what a SavedModel calls it."""
        return ("predict", "predict_adapted") if self._tokenizer is None else ("generate", "generate_adapted_ids")

    def inputs_of(self, signature: str) -> Arrays:
        """What each reader is given, by name."""
        return {spec.name: self._value(spec) for spec in self._functions[signature].input_signature}

    def outputs_of(self, signature: str) -> Arrays:
        """What Keras answers to that: of `adapt` what the learner's own method returns."""
        if signature not in self._outputs:
            tensors = [tf.constant(value) for value in self.inputs_of(signature).values()]
            found = self._functions[signature](*tensors)
            self._outputs[signature] = {name: value.numpy() for name, value in found.items()}
        return self._outputs[signature]

    def piece(self, index: int) -> str:
        """What a token stands for."""
        if self._tokenizer is None:
            return ""
        known = 0 <= index < self._tokenizer.vocabulary_size
        return self._tokenizer.pieces[index].decode("utf-8", errors="replace") if known else "no token"

    def _value(self, spec: tf.TensorSpec) -> np.ndarray:
        if spec.name in Settings._fields:
            return np.resize(SETTINGS[spec.name], len(self.inputs)).astype(spec.dtype.as_numpy_dtype)
        kind = "texts" if spec.dtype == tf.string else "arrays"
        return self._known[kind][spec.name]

    @cached_property
    def _known(self) -> dict[str, Arrays]:
        """Values by the names that signatures give them, as arrays and as texts."""
        x, y = self.support
        targets = np.take(y, np.arange(len(self.inputs)) % len(y), axis=0)
        arrays = {"source": self.inputs, "x": self.inputs, "y": targets, "state": self.state}
        arrays |= {"support_x": x, "support_y": y}
        if self._tokenizer is None:
            return {"arrays": arrays, "texts": {}}
        text, target = self._texts(self.inputs), self._texts(targets)
        texts = {"text": text, "prompt": text, "source": text, "target": target}
        texts |= {"support_source": self._texts(x), "support_target": self._texts(y)}
        return {"arrays": arrays, "texts": texts}

    def _texts(self, rows: np.ndarray) -> np.ndarray:
        return np.array([self._tokenizer.decode_bytes(row) for row in rows], object)


def _narrow(values: Any) -> np.ndarray:
    """NumPy's types of 64 bits as those of 32, which models compute in."""
    array = np.asarray(values)
    return array.astype({"f": "float32", "i": "int32"}.get(array.dtype.kind, array.dtype))
