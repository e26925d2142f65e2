import math

import numpy as np
import pytest

from metagpt_tf.layers import FeedForward, Projection

from .arrays import noise, randomise, values, weight

X = noise(2, 5, 6)

FORMULAS = {
    "relu": lambda x: np.maximum(x, 0.0),
    "gelu": lambda x: 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))),
}


def affine(x: np.ndarray, layer: FeedForward, name: str) -> np.ndarray:
    return x @ weight(layer, f"{name}/kernel") + weight(layer, f"{name}/bias")


@pytest.mark.parametrize("activation", FORMULAS)
@pytest.mark.parametrize("x", [X, X[0]], ids=["rank 3", "rank 2"])
def test_equals_the_formula(activation: str, x: np.ndarray):
    layer = FeedForward(9, activation)
    layer(x)
    randomise(layer)
    expected = affine(FORMULAS[activation](affine(x, layer, "up")), layer, "down")
    np.testing.assert_allclose(values(layer(x)), expected, atol=1e-5)


def test_dropout_acts_on_the_hidden_units():
    layer = FeedForward(400, dropout=0.25)
    layer(X)
    layer.up.set_weights([np.zeros((6, 400)), np.ones(400)])
    layer.down.set_weights([np.full((400, 6), 1 / 400), np.zeros(6)])
    y = values(layer(X, training=True))
    np.testing.assert_allclose(y.mean(), 1.0, atol=0.02)  # what is kept is scaled up
    assert 0.005 < y.std() < 0.1
    np.testing.assert_allclose(values(layer(X)), 1.0, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 3), (2, 4, 3), (2, 5, 4, 3)])
def test_projection_of_any_rank(shape: tuple):
    x, layer = noise(*shape), Projection(7)
    layer(x)
    randomise(layer)
    np.testing.assert_allclose(values(layer(x)), x @ weight(layer, "kernel") + weight(layer, "bias"), atol=1e-5)
    assert layer.compute_output_shape(shape) == (*shape[:-1], 7)


def test_unknown_activation_suggests_a_known_one():
    with pytest.raises(ValueError, match="FeedForward: unknown activation 'gellu'. Did you mean 'gelu'.*relu"):
        FeedForward(8, "gellu")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"hidden_dim": 0}, "hidden_dim to be an integer >= 1"), ({"hidden_dim": 4, "dropout": -0.1}, "dropout to be in")],
)
def test_bad_arguments(arguments: dict, message: str):
    with pytest.raises(ValueError, match=f"FeedForward: expected {message}"):
        FeedForward(**arguments)
