"""Ready-made models, their presets, losses, metrics and learning-rate schedules."""

from metagpt_tf.models.losses import BitsPerToken, MaskedCrossentropy, TokenAccuracy, token_crossentropy
from metagpt_tf.models.meta_classifier import MetaClassifier
from metagpt_tf.models.meta_gpt import MetaGPT
from metagpt_tf.models.presets import SIZES
from metagpt_tf.models.schedules import InverseSquareRoot, cosine_annealing

__all__ = [
    "SIZES",
    "BitsPerToken",
    "InverseSquareRoot",
    "MaskedCrossentropy",
    "MetaClassifier",
    "MetaGPT",
    "TokenAccuracy",
    "cosine_annealing",
    "token_crossentropy",
]
