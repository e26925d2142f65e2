import keras
import numpy as np
import pytest

from metagpt_tf.layers import TokenAndPositionEmbedding, TokenHead, sinusoidal_positions

from .arrays import noise, randomise, values, weight

V, D, LONGEST = 11, 6, 8
IDS = np.array([[1, 5, 5, 0], [10, 2, 3, 4]], "int32")


@pytest.mark.parametrize(("length", "dim"), [(1, 2), (7, 8), (5, 7), (3, 1)])
def test_sinusoidal_positions_equal_the_formula(length: int, dim: int):
    expected = np.zeros((length, dim))
    for t in range(length):
        for j in range(dim):
            angle = t / 10000 ** (2 * (j // 2) / dim)
            expected[t, j] = np.cos(angle) if j % 2 else np.sin(angle)
    table = sinusoidal_positions(length, dim)
    assert table.dtype == np.float32
    np.testing.assert_allclose(table, expected, atol=1e-6)


@pytest.fixture(scope="module", params=["sinusoidal", "learned"])
def embedding(request: pytest.FixtureRequest) -> TokenAndPositionEmbedding:
    layer = TokenAndPositionEmbedding(V, D, LONGEST, request.param)
    layer(IDS)
    return randomise(layer)


def positions_of(layer: TokenAndPositionEmbedding) -> np.ndarray:
    return weight(layer, "/positions") if layer.positions == "learned" else sinusoidal_positions(LONGEST, D)


def test_embedding_equals_the_formula(embedding):
    expected = np.sqrt(D) * weight(embedding, "embeddings")[IDS] + positions_of(embedding)[: IDS.shape[1]]
    np.testing.assert_allclose(values(embedding(IDS)), expected, atol=1e-5)


def test_one_step_at_a_time_equals_the_whole(embedding):
    steps = [values(embedding(IDS[:, t : t + 1], position=t)) for t in range(IDS.shape[1])]
    np.testing.assert_allclose(np.concatenate(steps, axis=1), values(embedding(IDS)), atol=1e-6)


def test_new_embeddings_have_unit_variance():
    layer = TokenAndPositionEmbedding(500, 64, 4)
    tokens = values(layer(np.arange(500, dtype="int32")[:, None])) - sinusoidal_positions(4, 64)[0]
    assert 0.95 < tokens.std() < 1.05


def test_bad_sequences(embedding):
    with pytest.raises(ValueError, match=r"length 9 given to an embedding with max_length=8.*Shorten"):
        embedding(np.zeros((1, 9), "int32"))
    with pytest.raises(ValueError, match=r"integer token ids \(B, T\), received float32 of shape \(2, 4\)"):
        embedding(IDS.astype("float32"))


def test_bad_arguments():
    with pytest.raises(ValueError, match="unknown positions 'sinusoid'. Did you mean 'sinusoidal'"):
        TokenAndPositionEmbedding(V, D, LONGEST, "sinusoid")
    with pytest.raises(ValueError, match="expected max_length to be an integer >= 1, received 0"):
        TokenAndPositionEmbedding(V, D, 0)


def normalised(layer: TokenHead, x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    y = centred / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return y * weight(layer, "norm/gamma") + weight(layer, "norm/beta")


@pytest.mark.parametrize("tied", [True, False])
def test_head_equals_the_formula(tied: bool):
    x, table, layer = noise(2, 3, D), noise(V, D, seed=5), TokenHead(V, tied)
    arguments = (x, table) if tied else (x,)
    layer(*arguments)
    randomise(layer)
    kernel = table.T if tied else weight(layer, "projection/kernel")
    bias = values(layer.bias)
    np.testing.assert_allclose(values(layer(*arguments)), normalised(layer, x) @ kernel + bias, atol=1e-5)
    assert len(layer.weights) == (3 if tied else 4)


def test_head_gives_float32_logits_under_every_policy():
    layer = TokenHead(V, tied=False, dtype="mixed_bfloat16")
    assert layer(noise(1, 2, D)).dtype == "float32"
    assert layer(keras.Input((2, D))).dtype == "float32"


def test_bad_heads():
    with pytest.raises(ValueError, match=r"tied TokenHead needs the embedding's matrix \(11, 6\)"):
        TokenHead(V)(noise(1, 2, D))
    with pytest.raises(ValueError, match="TokenHead: expected vocabulary_size to be an integer >= 1"):
        TokenHead(-1)
