"""The parts of a Transformer as pure Keras 3 layers (Vaswani et al., 2017), with adaptation points for meta-learning.

Axes in comments: B batch, S source, T target, D model width, H heads, E width of a head, F hidden width, V vocabulary.
"""

from metagpt_tf.layers.adapters import ContextTokens, LowRankAdapter
from metagpt_tf.layers.attention import MultiHeadAttention
from metagpt_tf.layers.decoder import Decoder, DecoderLayer
from metagpt_tf.layers.embedding import TokenAndPositionEmbedding, TokenHead, sinusoidal_positions
from metagpt_tf.layers.encoder import Encoder, EncoderLayer
from metagpt_tf.layers.family_dense import FamilyDense
from metagpt_tf.layers.feed_forward import FeedForward
from metagpt_tf.layers.initial_state import InitialState
from metagpt_tf.layers.masks import causal_mask, padding_mask
from metagpt_tf.layers.normalization import LayerNorm
from metagpt_tf.layers.projection import Projection, projection_arithmetic, shared_weight_layout
from metagpt_tf.layers.residual import Residual
from metagpt_tf.layers.vector_quantizer import VectorQuantizer

__all__ = [
    "ContextTokens",
    "Decoder",
    "DecoderLayer",
    "Encoder",
    "EncoderLayer",
    "FamilyDense",
    "FeedForward",
    "InitialState",
    "LayerNorm",
    "LowRankAdapter",
    "MultiHeadAttention",
    "Projection",
    "Residual",
    "TokenAndPositionEmbedding",
    "TokenHead",
    "VectorQuantizer",
    "causal_mask",
    "padding_mask",
    "projection_arithmetic",
    "shared_weight_layout",
    "sinusoidal_positions",
]
