import numpy as np
import pytest

from metagpt_tf.layers import ContextTokens, LowRankAdapter, causal_mask, padding_mask

from .arrays import noise, randomise, values, weight

X = noise(2, 3, 6)


def test_adapter_is_zero_until_a_task_moves_it():
    layer = LowRankAdapter(4, rank=2)
    np.testing.assert_array_equal(values(layer(X)), np.zeros((2, 3, 4)))
    assert np.abs(weight(layer, "low_rank_down")).min() > 0.0  # or the gradient of `up` would be zero too


@pytest.mark.parametrize(("alpha", "factor"), [(None, 1.0), (5.0, 2.5)])
@pytest.mark.parametrize("x", [X, X[0]], ids=["rank 3", "rank 2"])
def test_adapter_equals_the_formula(alpha: float | None, factor: float, x: np.ndarray):
    layer = LowRankAdapter(4, rank=2, alpha=alpha)
    layer(x)
    randomise(layer)
    expected = x @ weight(layer, "low_rank_down") @ weight(layer, "low_rank_up") * factor
    np.testing.assert_allclose(values(layer(x)), expected, atol=1e-5)
    assert sum(w.shape[0] * w.shape[1] for w in layer.weights) == 2 * (6 + 4)


@pytest.mark.parametrize(("arguments", "name"), [({"units": 4, "rank": 0}, "rank"), ({"units": 0}, "units")])
def test_bad_adapters(arguments: dict, name: str):
    with pytest.raises(ValueError, match=f"LowRankAdapter: expected {name} to be an integer >= 1, received 0"):
        LowRankAdapter(**arguments)


def test_context_is_appended():
    layer = ContextTokens(2)
    np.testing.assert_array_equal(values(layer(X))[:, 3:], 0.0)
    assert [(w.name, w.shape) for w in layer.weights] == [("context", (2, 6))]
    randomise(layer)
    y = values(layer(X))
    np.testing.assert_array_equal(y[:, :3], X)
    np.testing.assert_array_equal(y[:, 3:], np.stack([weight(layer, "context")] * 2))


def test_bad_context():
    with pytest.raises(ValueError, match="ContextTokens: expected num_tokens to be an integer >= 1, received 0"):
        ContextTokens(0)
    with pytest.raises(ValueError, match=r"ContextTokens: expected x of shape \(B, S, D\), received shape \(3, 6\)"):
        ContextTokens(2)(X[0])


def test_padding_mask():
    mask = values(padding_mask(np.array([[True, True, False], [False, True, True]])))
    assert mask.shape == (2, 1, 1, 3) and mask.dtype == np.float32
    np.testing.assert_array_equal(mask[:, 0, 0] == 0.0, [[True, True, False], [False, True, True]])
    assert mask.min() == np.float32(-3e4)


def test_causal_mask():
    mask = causal_mask(4)
    assert isinstance(mask, np.ndarray)  # a constant: converters keep it
    assert mask.shape == (1, 1, 4, 4) and mask.dtype == np.float32
    np.testing.assert_array_equal(mask[0, 0] == 0.0, np.tri(4, dtype=bool))
