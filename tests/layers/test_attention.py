"""Attention against Keras's own layer, against its cached form, and against what a user may get wrong."""

import keras
import numpy as np
import pytest

from metagpt_tf.layers import MultiHeadAttention, causal_mask, padding_mask

from .arrays import noise, randomise, values

B, T, S, D, H = 3, 6, 4, 12, 3
X, MEMORY = noise(B, T, D), noise(B, S, D, seed=1)
KEEP = np.arange(T) < np.array([[6], [4], [1]])
KEEP_MEMORY = np.arange(S) < np.array([[2], [4], [3]])


@pytest.fixture(scope="module")
def pair() -> tuple[MultiHeadAttention, keras.layers.MultiHeadAttention]:
    """Our layer and Keras's, with the same weights."""
    ours, theirs = MultiHeadAttention(H), keras.layers.MultiHeadAttention(H, key_dim=D // H)
    ours(X), theirs(X, X)
    randomise(ours)
    kernels = {w.path.split("/", 1)[-1]: values(w) for w in ours.weights}
    shapes = {w.path.split("/", 1)[-1]: w.shape for w in theirs.weights}
    renamed = {path: path.replace("attention_output", "output") for path in shapes}
    theirs.set_weights([kernels[renamed[path]].reshape(shape) for path, shape in shapes.items()])
    return ours, theirs


def check(ours: tuple, theirs: tuple) -> None:
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(values(a), values(b), atol=1e-5)


def test_self_attention_equals_keras(pair):
    ours, theirs = pair
    check(ours(X, return_weights=True), theirs(X, X, return_attention_scores=True))


def test_cross_attention_equals_keras(pair):
    ours, theirs = pair
    check(ours(X, MEMORY, return_weights=True), theirs(X, MEMORY, return_attention_scores=True))


def test_causal_attention_equals_keras(pair):
    ours, theirs = pair
    mine = ours(X, attention_mask=causal_mask(T), return_weights=True)
    check(mine, theirs(X, X, use_causal_mask=True, return_attention_scores=True))
    assert np.abs(values(mine[0]) - values(ours(X))).max() > 1e-3


@pytest.mark.parametrize("causal", [False, True])
def test_padded_attention_equals_keras(pair, causal: bool):
    ours, theirs = pair
    mask = padding_mask(KEEP) + (causal_mask(T) if causal else 0.0)
    boolean = np.repeat(KEEP[:, None], T, axis=1)
    mine = ours(X, attention_mask=mask, return_weights=True)
    check(mine, theirs(X, X, attention_mask=boolean, use_causal_mask=causal, return_attention_scores=True))


def test_padded_cross_attention_equals_keras(pair):
    ours, theirs = pair
    boolean = np.repeat(KEEP_MEMORY[:, None], T, axis=1)
    mine = ours(X, MEMORY, attention_mask=padding_mask(KEEP_MEMORY), return_weights=True)
    check(mine, theirs(X, MEMORY, attention_mask=boolean, return_attention_scores=True))


def test_weights_are_a_distribution_over_what_may_be_seen(pair):
    _, weights = pair[0](X, attention_mask=padding_mask(KEEP) + causal_mask(T), return_weights=True)
    weights = values(weights)
    assert weights.shape == (B, H, T, T) and weights.min() >= 0.0
    np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-6)
    hidden = ~(KEEP[:, None, :] & np.tri(T, dtype=bool))
    assert values(weights)[np.repeat(hidden[:, None], H, axis=1)].max() == 0.0


def test_a_row_of_nothing_but_padding_stays_finite(pair):
    output = pair[0](X, attention_mask=padding_mask(np.zeros((B, T), bool)))
    assert np.isfinite(values(output)).all()


def test_a_single_key_gets_all_the_attention(pair):
    """Without Keras's warning of a softmax over one number, which is an error in these tests."""
    output, weights = pair[0](X, MEMORY[:, :1], return_weights=True)
    np.testing.assert_array_equal(values(weights), 1.0)
    expected = pair[0].output_projection(pair[0].value_projection(MEMORY[:, :1]))
    np.testing.assert_allclose(values(output), np.repeat(values(expected), T, axis=1), atol=1e-5)


@pytest.mark.parametrize("low_rank", [0, 2])
def test_cached_steps_equal_the_causal_pass(low_rank: int):
    layer = MultiHeadAttention(H, low_rank=low_rank)
    layer(X)
    randomise(layer)
    length = T + 2  # room that is never used
    cache = tuple(np.full((B, H, length, D // H), 7.0, "float32") for _ in range(2))  # rubbish, to be hidden
    steps = []
    for position in range(T):
        mask = np.where(np.arange(length) > position, -1e9, 0.0).astype("float32")[None, None, None]
        output, cache, weights = layer(
            X[:, position : position + 1], attention_mask=mask, cache=cache, position=position, return_weights=True
        )
        assert weights.shape == (B, H, 1, length)
        steps.append(values(output))
    expected = layer(X, attention_mask=causal_mask(T))
    np.testing.assert_allclose(np.concatenate(steps, axis=1), values(expected), atol=1e-5)


def test_projected_memory_gives_the_same_as_the_memory():
    layer = MultiHeadAttention(H, low_rank=2)
    layer(X, MEMORY)
    randomise(layer)
    output, _ = layer.attend(X, *layer.project_memory(MEMORY), None)
    np.testing.assert_array_equal(values(output), values(layer(X, MEMORY)))


def test_adapters_stand_on_query_and_value():
    layer = MultiHeadAttention(H, low_rank=2)
    layer(X)
    names = sorted(w.path.split("/", 1)[1] for w in layer.weights if w.name.startswith("low_rank"))
    assert names == [f"{p}_adapter/low_rank_{d}" for p in ("query", "value") for d in ("down", "up")]
    plain = values(layer(X))
    layer.value_adapter.up.assign(np.ones(layer.value_adapter.up.shape))
    assert np.abs(values(layer(X)) - plain).max() > 1e-3


def test_functional_models_know_the_weights_too():
    query, value = keras.Input((T, D)), keras.Input((S, D))
    output, weights = MultiHeadAttention(H)(query, value, return_weights=True)
    assert output.shape == (None, T, D) and weights.shape == (None, H, T, S)
    assert [x.shape for x in keras.Model([query, value], [output, weights])([X, MEMORY])] == [(B, T, D), (B, H, T, S)]


def test_heads_that_do_not_divide_the_width():
    with pytest.raises(ValueError, match=r"width 12 .*\(3, 6, 12\).* not divisible by num_heads=5"):
        MultiHeadAttention(5)(X)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_heads": 0}, "num_heads to be an integer >= 1, received 0"),
        ({"num_heads": 2.0}, "num_heads to be an integer >= 1, received 2.0"),
        ({"num_heads": 2, "low_rank": -1}, "low_rank to be an integer >= 0, received -1"),
        ({"num_heads": 2, "dropout": 1.0}, r"dropout to be in \[0, 1\), received 1.0"),
    ],
)
def test_bad_arguments(arguments: dict, message: str):
    with pytest.raises(ValueError, match=f"MultiHeadAttention: expected {message}"):
        MultiHeadAttention(**arguments)


def test_bad_inputs(pair):
    with pytest.raises(ValueError, match=r"expected query of shape \(B, T, D\), received shape \(6, 12\)"):
        MultiHeadAttention(2)(X[0])
    with pytest.raises(ValueError, match=r"expected value of shape \(B, S, D\), received shape \(4, 12\)"):
        MultiHeadAttention(2)(X, MEMORY[0])
    cache = (np.zeros((B, H, T, D // H), "float32"),) * 2
    with pytest.raises(ValueError, match=r"query is one step \(B, 1, D\) .* query \(3, 6, 12\), position=0"):
        pair[0](X, cache=cache, position=0)
    with pytest.raises(ValueError, match=r"position says where it is written; received .* position=None"):
        pair[0](X[:, :1], cache=cache)
