"""One line for every public layer: how it is made and what it is called with. Adding a line covers a new layer."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from metagpt_tf import layers

B, T, S, D, V = 2, 5, 7, 8, 11


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


X, MEMORY, TABLE = noise(B, T, D), noise(B, S, D, seed=1), noise(V, D, seed=2)
ROWS, FAMILIES = noise(B, D), np.array([1, 0], "int32")
IDS = np.random.default_rng(3).integers(0, V, (B, T)).astype("int32")


@dataclasses.dataclass(frozen=True)
class Case:
    """A layer, its constructor's arguments, its tensors in order, and what else it is called with."""

    layer: type[keras.layers.Layer]
    arguments: Mapping[str, Any]
    tensors: tuple[np.ndarray, ...] = (X,)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def make(self, **extra: Any) -> keras.layers.Layer:
        return self.layer(**{**self.arguments, **extra})

    def call(self, layer: keras.layers.Layer, **extra: Any) -> Any:
        return layer(*self.tensors, **{**self.options, **extra})

    def model(self, **extra: Any) -> keras.Model:
        """A functional model around a new layer."""
        inputs = [keras.Input(tensor.shape[1:], dtype=str(tensor.dtype)) for tensor in self.tensors]
        return keras.Model(inputs, self.make(**extra)(*inputs, **self.options))

    @property
    def has_dropout(self) -> bool:
        return bool(self.arguments.get("dropout"))


STACK = {"num_layers": 2, "num_heads": 2, "hidden_dim": 12}
BLOCK = {"num_heads": 2, "hidden_dim": 12}
RICH = {"norm": "post", "activation": "gelu", "low_rank": 2, "dropout": 0.4}

CASES = {
    "projection": Case(layers.Projection, {"units": 6}),
    "projection_bare": Case(layers.Projection, {"units": 6, "use_bias": False, "kernel_initializer": "he_normal"}),
    "layer_norm": Case(layers.LayerNorm, {"epsilon": 1e-3}),
    "feed_forward": Case(layers.FeedForward, {"hidden_dim": 12}),
    "feed_forward_gelu": Case(layers.FeedForward, {"hidden_dim": 12, "activation": "gelu", "dropout": 0.4}),
    "residual_pre": Case(
        layers.Residual, {"norm": "pre", "dropout": 0.4}, options={"function": keras.activations.tanh}
    ),
    "residual_post": Case(layers.Residual, {"norm": "post"}, options={"function": keras.activations.tanh}),
    "low_rank": Case(layers.LowRankAdapter, {"units": 6, "rank": 2, "alpha": 3.0}),
    "context": Case(layers.ContextTokens, {"num_tokens": 3}),
    "family_dense": Case(layers.FamilyDense, {"units": 6, "families": 2}, (ROWS, FAMILIES)),
    "self_attention": Case(layers.MultiHeadAttention, {"num_heads": 2, "dropout": 0.4}),
    "cross_attention": Case(layers.MultiHeadAttention, {"num_heads": 4, "low_rank": 2}, (X, MEMORY)),
    "embedding": Case(layers.TokenAndPositionEmbedding, {"vocabulary_size": V, "dim": D, "max_length": 9}, (IDS,)),
    "embedding_learned": Case(
        layers.TokenAndPositionEmbedding,
        {"vocabulary_size": V, "dim": D, "max_length": 9, "positions": "learned"},
        (IDS,),
    ),
    "head_tied": Case(layers.TokenHead, {"vocabulary_size": V}, (X, TABLE)),
    "head_untied": Case(layers.TokenHead, {"vocabulary_size": V, "tied": False}),
    "encoder_layer": Case(layers.EncoderLayer, BLOCK),
    "encoder_layer_rich": Case(layers.EncoderLayer, {**BLOCK, **RICH}),
    "encoder": Case(layers.Encoder, STACK),
    "encoder_rich": Case(layers.Encoder, {**STACK, **RICH}),
    "decoder_layer": Case(layers.DecoderLayer, BLOCK, (X, MEMORY)),
    "decoder_layer_rich": Case(layers.DecoderLayer, {**BLOCK, **RICH}, (X, MEMORY)),
    "decoder": Case(layers.Decoder, STACK, (X, MEMORY)),
    "decoder_rich": Case(layers.Decoder, {**STACK, **RICH}, (X, MEMORY)),
}


def randomise(owner: Any, seed: int = 0, scale: float = 0.3) -> Any:
    """Give every weight of a layer or model a random value: what starts at zero or one would hide mistakes."""
    rng = np.random.default_rng(seed)
    owner.set_weights([rng.normal(size=weight.shape, scale=scale).astype("float32") for weight in owner.weights])
    return owner


def built(case: Case, **extra: Any) -> keras.layers.Layer:
    """A layer of the case with random weights."""
    layer = case.make(**extra)
    case.call(layer)
    return randomise(layer)


def values(x: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(keras.ops.cast(x, "float32"))
