"""Encoder and decoder against their formulas, written with the library's smaller layers."""

import keras
import numpy as np
import pytest

from metagpt_tf.layers import (
    Decoder,
    DecoderLayer,
    Encoder,
    EncoderLayer,
    FeedForward,
    MultiHeadAttention,
    Residual,
    causal_mask,
    padding_mask,
)

from .arrays import noise, randomise, values

B, T, S, D, H = 2, 5, 4, 8, 2
X, MEMORY = noise(B, T, D), noise(B, S, D, seed=1)
KEEP = np.array([[True] * 5, [True] * 3 + [False] * 2])
KEEP_MEMORY = np.array([[True] * 3 + [False], [True] * 4])
MASK, CROSS_MASK = padding_mask(KEEP), padding_mask(KEEP_MEMORY)

every_norm = pytest.mark.parametrize("norm", ["pre", "post"])


def framed(residual: Residual, x: np.ndarray, function) -> np.ndarray:
    """The frame's formula in NumPy, round any function."""

    def normalise(h: np.ndarray) -> np.ndarray:
        gamma, beta = (values(w) for w in residual.normalization.weights)
        return (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-5) * gamma + beta

    if residual.norm == "pre":
        return x + values(function(normalise(x)))
    return normalise(x + values(function(x)))


def built(layer, *inputs):
    layer(*inputs)
    return randomise(layer)


@every_norm
def test_residual(norm: str):
    residual = Residual(norm)
    residual(X, function=np.tanh)
    randomise(residual)
    np.testing.assert_allclose(values(residual(X, function=np.tanh)), framed(residual, X, np.tanh), atol=1e-5)


@every_norm
def test_encoder_layer(norm: str):
    layer = built(EncoderLayer(H, 12, norm=norm, activation="gelu", low_rank=2), X)
    h = framed(layer.attention_residual, X, lambda h: layer.attention(h, attention_mask=MASK))
    expected = framed(layer.feed_forward_residual, h, layer.feed_forward)
    np.testing.assert_allclose(values(layer(X, attention_mask=MASK)), expected, atol=1e-5)


@every_norm
def test_decoder_layer(norm: str):
    layer = built(DecoderLayer(H, 12, norm=norm), X, MEMORY)
    mask = causal_mask(T)
    h = framed(layer.self_residual, X, lambda h: layer.self_attention(h, attention_mask=mask))
    h = framed(layer.cross_residual, h, lambda h: layer.cross_attention(h, MEMORY, attention_mask=CROSS_MASK))
    expected = framed(layer.feed_forward_residual, h, layer.feed_forward)
    output = layer(X, MEMORY, self_mask=mask, cross_mask=CROSS_MASK)
    np.testing.assert_allclose(values(output), expected, atol=1e-5)


@every_norm
def test_encoder_is_its_layers_in_a_row(norm: str):
    encoder = built(Encoder(3, H, 12, norm=norm), X)
    h = X
    for layer in encoder.layers:
        h = layer(h, attention_mask=MASK)
    assert hasattr(encoder, "final_norm") == (norm == "pre")
    expected = encoder.final_norm(h) if norm == "pre" else h
    np.testing.assert_allclose(values(encoder(X, attention_mask=MASK)), values(expected), atol=1e-6)
    assert len({w.path for w in encoder.weights}) == len(encoder.weights)


@every_norm
def test_decoder_is_its_layers_in_a_row(norm: str):
    decoder = built(Decoder(2, H, 12, norm=norm), X, MEMORY)
    h, masks = X, {"self_mask": causal_mask(T), "cross_mask": CROSS_MASK}
    for layer in decoder.layers:
        h = layer(h, MEMORY, **masks)
    np.testing.assert_allclose(values(decoder(X, MEMORY, **masks)), values(h), atol=1e-6)


@every_norm
@pytest.mark.parametrize("low_rank", [0, 2])
def test_cached_steps_equal_the_causal_pass(norm: str, low_rank: int):
    decoder = built(Decoder(2, H, 12, norm=norm, low_rank=low_rank), X, MEMORY)
    memory = decoder.project_memory(MEMORY)
    cache = [(np.zeros((B, H, T, D // H), "float32"),) * 2 for _ in decoder.layers]
    steps = []
    for position in range(T):
        mask = np.where(np.arange(T) > position, -1e9, 0.0).astype("float32")[None, None, None]
        step = X[:, position : position + 1]
        output, cache = decoder(step, memory, self_mask=mask, cross_mask=CROSS_MASK, cache=cache, position=position)
        steps.append(values(output))
    expected = decoder(X, MEMORY, self_mask=causal_mask(T), cross_mask=CROSS_MASK)
    np.testing.assert_allclose(np.concatenate(steps, axis=1), values(expected), atol=1e-5)


def layers_in(owner) -> list[keras.layers.Layer]:
    return [value for value in vars(owner).values() if isinstance(value, keras.layers.Layer)]


@pytest.mark.parametrize("stack", [Encoder, Decoder])
def test_arguments_reach_every_sub_layer(stack: type):
    made = stack(2, H, 12, dropout=0.3, norm="post", activation="gelu", low_rank=2, dtype="mixed_bfloat16")
    made.build((None, T, D))
    parts = [part for layer in made.layers for part in layers_in(layer)]
    given = {
        MultiHeadAttention: {"num_heads": H, "dropout": 0.3, "low_rank": 2},
        FeedForward: {"hidden_dim": 12, "activation": "gelu", "dropout": 0.0},
        Residual: {"norm": "post", "dropout": 0.3},
    }
    assert len(parts) == 2 * (4 if stack is Encoder else 6)
    for part in parts:
        config = part.get_config()
        assert {name: config[name] for name in given[type(part)]} == given[type(part)]
        assert {leaf.dtype_policy.name for leaf in [part, *layers_in(part)]} == {"mixed_bfloat16"}
        assert part.dropout_layer.rate == given[type(part)]["dropout"]


def test_every_layer_of_a_stack_learns_its_own_weights():
    encoder = Encoder(2, H, 12)
    encoder(X)
    first, second = (layer.get_weights() for layer in encoder.layers)
    assert any((a != b).any() for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("layer", [EncoderLayer, DecoderLayer])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"norm": "pree"}, "unknown norm 'pree'. Did you mean 'pre'"),
        ({"norm": None}, "unknown norm None. .*pre"),
        ({"activation": "reul"}, "unknown activation 'reul'. Did you mean 'relu'"),
        ({"hidden_dim": 0}, "expected hidden_dim to be an integer >= 1, received 0"),
        ({"num_heads": True}, "expected num_heads to be an integer >= 1, received True"),
        ({"low_rank": -2}, "expected low_rank to be an integer >= 0, received -2"),
        ({"dropout": 1.5}, r"expected dropout to be in \[0, 1\), received 1.5"),
    ],
)
def test_bad_arguments(layer: type, arguments: dict, message: str):
    with pytest.raises(ValueError, match=f"{layer.__name__}: {message}"):
        layer(**{"num_heads": 2, "hidden_dim": 8, **arguments})


@pytest.mark.parametrize("stack", [Encoder, Decoder])
def test_bad_stacks(stack: type):
    with pytest.raises(ValueError, match=f"{stack.__name__}: expected num_layers to be an integer >= 1, received 0"):
        stack(0, 2, 8)
    with pytest.raises(ValueError, match=f"{stack.__name__}: unknown norm 'none'"):
        stack(1, 2, 8, norm="none")


def test_bad_residual():
    with pytest.raises(ValueError, match="Residual: unknown norm 'posts'. Did you mean 'post'"):
        Residual("posts")
