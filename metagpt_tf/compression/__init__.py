"""Smaller models that still learn: pruning, quantization, clustering, distillation, and what each costs after K steps.

tfmot's engines work on Keras 3 variables here. Every report says what is left of the ability to adapt.
"""

from metagpt_tf.compression.clustering import WeightClustering, cluster
from metagpt_tf.compression.distillation import distill
from metagpt_tf.compression.importance import importance
from metagpt_tf.compression.keep_zeros import KeepZeros
from metagpt_tf.compression.pruning import MagnitudePruning, prune
from metagpt_tf.compression.quantization import quantize
from metagpt_tf.compression.quantization_aware import train_for_quantization
from metagpt_tf.compression.recipes import CompressionRecipe
from metagpt_tf.compression.report import CompressionReport, compression_report
from metagpt_tf.compression.structured import shrink
from metagpt_tf.kept_zeros import sparsity

__all__ = [
    "CompressionRecipe",
    "CompressionReport",
    "KeepZeros",
    "MagnitudePruning",
    "WeightClustering",
    "cluster",
    "compression_report",
    "distill",
    "importance",
    "prune",
    "quantize",
    "shrink",
    "sparsity",
    "train_for_quantization",
]
