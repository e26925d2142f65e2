"""TensorFlow in this process, without Keras."""

import os
import statistics
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.export.readers.base import Answer, Reader


class TensorFlowReader(Reader):
    """`tf.saved_model.load`: what TF Serving does in C++."""

    name = "saved_model"

    def __init__(self, directory: str | os.PathLike) -> None:
        super().__init__(directory)
        self._loaded: Any = tf.saved_model.load(str(directory))

    def call(self, signature: str, inputs: Mapping[str, np.ndarray], repeats: int = 0) -> Answer:
        """Run a signature, see `Reader.call`."""
        function = self._loaded.signatures[signature]
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        return timed(lambda: {name: value.numpy() for name, value in function(**tensors).items()}, repeats)


def timed(run: Any, repeats: int) -> Answer:
    """What `run()` returns, and the median time of further runs."""
    outputs, times = run(), []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - start))
    return Answer(outputs, statistics.median(times) if times else 0.0)
