"""Ready-made models, their presets, losses, metrics and schedules; word vectors, sample texts, attention maps."""

from metagpt_tf.models.adversarial import AdversarialTraining
from metagpt_tf.models.attention_maps import attention_maps, attention_tokens
from metagpt_tf.models.drawing import Drawing
from metagpt_tf.models.elastic import ElasticGPT
from metagpt_tf.models.fused import FusedGPT, FusedModel
from metagpt_tf.models.glyph_judge import GlyphJudge
from metagpt_tf.models.image_autoencoder import ImageAutoencoder
from metagpt_tf.models.image_metrics import CodesInUse, PeakSignalToNoise, kernel_distance, structural_similarity
from metagpt_tf.models.losses import BitsPerToken, MaskedCrossentropy, TokenAccuracy, token_crossentropy
from metagpt_tf.models.meta_classifier import MetaClassifier
from metagpt_tf.models.meta_gpt import MetaGPT
from metagpt_tf.models.mixing import Mixing
from metagpt_tf.models.samples import ImageSamples, TextSamples
from metagpt_tf.models.schedules import InverseSquareRoot, cosine_annealing
from metagpt_tf.models.sizes import SIZES
from metagpt_tf.models.word_vectors import (
    embedding_from_vectors,
    load_word_vectors,
    set_embedding,
)

__all__ = [
    "SIZES",
    "AdversarialTraining",
    "BitsPerToken",
    "CodesInUse",
    "Drawing",
    "ElasticGPT",
    "FusedGPT",
    "FusedModel",
    "GlyphJudge",
    "ImageAutoencoder",
    "ImageSamples",
    "InverseSquareRoot",
    "MaskedCrossentropy",
    "MetaClassifier",
    "MetaGPT",
    "Mixing",
    "PeakSignalToNoise",
    "TextSamples",
    "TokenAccuracy",
    "attention_maps",
    "attention_tokens",
    "cosine_annealing",
    "embedding_from_vectors",
    "kernel_distance",
    "load_word_vectors",
    "set_embedding",
    "structural_similarity",
    "token_crossentropy",
]
