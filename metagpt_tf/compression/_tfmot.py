"""The one door to tfmot: its engines. Its front door refuses Keras 3 models.

Importing tfmot sets `TF_USE_LEGACY_KERAS`, which child processes inherit, and turns `tf.keras` to Keras 2 unless that
was settled before. Here it is settled first, and the environment is put back.
"""

import os
import warnings
from typing import Any

import tensorflow as tf

VARIABLE = "TF_USE_LEGACY_KERAS"


def _imported() -> Any:
    version, before = tf.keras.__version__, os.environ.get(VARIABLE)
    try:
        with warnings.catch_warnings():  # it compares versions with a class that is deprecated
            warnings.simplefilter("ignore", DeprecationWarning)
            import tensorflow_model_optimization as tfmot
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before
    if tf.keras.__version__ != version:
        raise ImportError(
            f"Importing tensorflow_model_optimization turned tf.keras from {version} to {tf.keras.__version__}. "
            "Import metagpt_tf.compression before anything else that imports it."
        )
    return tfmot


tfmot = _imported()

from tensorflow_model_optimization.python.core.clustering.keras import clustering_centroids  # noqa: E402
from tensorflow_model_optimization.python.core.clustering.keras.clustering_algorithm import (  # noqa: E402
    ClusteringAlgorithm,
)
from tensorflow_model_optimization.python.core.quantization.keras.quantizers import (  # noqa: E402
    AllValuesQuantizer,
    LastValueQuantizer,
)
from tensorflow_model_optimization.python.core.sparsity.keras.pruning_impl import Pruning  # noqa: E402
from tensorflow_model_optimization.python.core.sparsity.keras.pruning_schedule import PruningSchedule  # noqa: E402

ConstantSparsity = tfmot.sparsity.keras.ConstantSparsity
PolynomialDecay = tfmot.sparsity.keras.PolynomialDecay
CENTROIDS = {
    "kmeans++": clustering_centroids.KmeansPlusPlusCentroidsInitialisation,
    "linear": clustering_centroids.LinearCentroidsInitialisation,
    "density": clustering_centroids.DensityBasedCentroidsInitialisation,
}

__all__ = [
    "CENTROIDS",
    "AllValuesQuantizer",
    "ClusteringAlgorithm",
    "ConstantSparsity",
    "LastValueQuantizer",
    "PolynomialDecay",
    "Pruning",
    "PruningSchedule",
]
