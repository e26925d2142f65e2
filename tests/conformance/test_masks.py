"""Content that a layer must not see, or must not mix in, does not change what it gives for the rest."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from metagpt_tf.layers import ContextTokens, causal_mask, padding_mask

from .cases import CASES, IDS, MEMORY, B, D, S, T, V, X, built, noise, values

KEEP = np.array([[True] * 3 + [False] * 2, [True] * 4 + [False]])
KEEP_MEMORY = np.array([[True] * 5 + [False] * 2, [True] * 2 + [False] * 5])
OTHER = 10.0 * noise(B, T, D, seed=8)
OTHER_MEMORY = 10.0 * noise(B, S, D, seed=9)

SELF = ["self_attention", "encoder_layer", "encoder_layer_rich", "encoder", "encoder_rich"]
CROSS = {"cross_attention": "attention_mask"} | dict.fromkeys(
    ["decoder_layer", "decoder_layer_rich", "decoder", "decoder_rich"], "cross_mask"
)
CAUSAL = {"self_attention": "attention_mask", **{name: "self_mask" for name in CROSS if "decoder" in name}}
POSITION_WISE = sorted(set(CASES) - {*SELF, *CROSS, "self_attention", "head_tied", "family_dense"})


def changed(x: np.ndarray, other: np.ndarray, keep: np.ndarray) -> np.ndarray:
    return np.where(keep[..., None], x, other)


def assert_only(difference: np.ndarray, where: np.ndarray) -> None:
    """The outputs differ at the places in `where`, so the change was seen, and nowhere else."""
    assert difference[where].max() > 1e-3
    np.testing.assert_allclose(difference[~where], 0.0, atol=1e-5)


def compare(run: Callable[[Any], Any], first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(B, T) largest absolute difference of two outputs."""
    return np.abs(values(run(first)) - values(run(second))).max(axis=-1)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("name", SELF)
def test_padding_in_the_sequence(name: str, policy: str):
    layer = built(CASES[name], dtype=policy)
    difference = compare(lambda x: layer(x, attention_mask=padding_mask(KEEP)), X, changed(X, OTHER, KEEP))
    assert_only(difference, ~KEEP)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", ["self_attention", "encoder"])
def test_two_masks_and_nothing_to_see_stay_finite(name: str, policy: str):
    """Keras casts masks to the compute dtype on their way in; the sum of two must not become infinite there."""
    layer = built(CASES[name], dtype=policy)
    mask = padding_mask(np.zeros((B, T), bool)) + causal_mask(T)
    assert np.isfinite(values(layer(X, attention_mask=mask))).all()


@pytest.mark.parametrize("name", SELF)
def test_more_padding(name: str):
    """A sequence gives the same outputs in a longer row."""
    layer = built(CASES[name])
    longer = np.concatenate([X, OTHER], axis=1)
    keep = np.concatenate([KEEP, np.zeros((B, T), bool)], axis=1)
    output = values(layer(longer, attention_mask=padding_mask(keep)))[:, :T]
    expected = values(layer(X, attention_mask=padding_mask(KEEP)))
    np.testing.assert_allclose(output[KEEP], expected[KEEP], atol=1e-5)


@pytest.mark.parametrize("name", CROSS)
def test_padding_in_the_memory(name: str):
    layer, mask = built(CASES[name]), {CROSS[name]: padding_mask(KEEP_MEMORY)}
    difference = compare(lambda m: layer(X, m, **mask), MEMORY, changed(MEMORY, OTHER_MEMORY, KEEP_MEMORY))
    np.testing.assert_allclose(difference, 0.0, atol=1e-5)
    seen = compare(lambda m: layer(X, m, **mask), MEMORY, changed(MEMORY, OTHER_MEMORY, ~KEEP_MEMORY))
    assert seen.min() > 1e-3


@pytest.mark.parametrize("name", CAUSAL)
def test_the_future(name: str):
    case = CASES[name]
    layer, mask = built(case), {CAUSAL[name]: causal_mask(T)}
    past = np.tile(np.arange(T) < 3, (B, 1))
    difference = compare(lambda x: layer(x, *case.tensors[1:], **mask), X, changed(X, OTHER, past))
    assert_only(difference, ~past)


@pytest.mark.parametrize("name", POSITION_WISE)
def test_position_wise_layers_mix_nothing(name: str):
    case = CASES[name]
    layer = built(case)
    if case.tensors[0] is IDS:
        first, second = IDS, np.where(KEEP, IDS, (IDS + 1) % V).astype("int32")
    else:
        first, second = X, changed(X, OTHER, KEEP)
    difference = compare(lambda x: layer(x, **case.options), first, second)
    assert_only(difference[:, :T], ~KEEP)
    np.testing.assert_array_equal(difference[:, T:], 0.0)


def test_context_tokens_are_always_kept():
    extended = np.asarray(ContextTokens(2).extend_keep(KEEP))
    np.testing.assert_array_equal(extended, np.concatenate([KEEP, np.ones((B, 2), bool)], axis=1))
