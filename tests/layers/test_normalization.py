import keras
import numpy as np
import pytest

from metagpt_tf.layers import LayerNorm

from .arrays import noise, randomise, values


@pytest.mark.parametrize("shape", [(4, 7), (2, 3, 16), (2, 3, 4, 5)])
@pytest.mark.parametrize("epsilon", [1e-5, 1e-3])
def test_equals_keras(shape: tuple, epsilon: float):
    x = 5.0 * noise(*shape) + 2.0
    ours, theirs = LayerNorm(epsilon), keras.layers.LayerNormalization(epsilon=epsilon)
    ours(x), theirs(x)
    theirs.set_weights(randomise(ours).get_weights())
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights] == ["gamma", "beta"]
    np.testing.assert_allclose(values(ours(x)), values(theirs(x)), atol=1e-6)


def test_mean_and_variance():
    y = values(LayerNorm()(3.0 * noise(5, 64) + 10.0))
    np.testing.assert_allclose(y.mean(-1), 0.0, atol=1e-5)
    np.testing.assert_allclose(y.var(-1), 1.0, atol=1e-4)


def test_equal_inputs_stay_finite():
    np.testing.assert_array_equal(values(LayerNorm()(np.full((2, 8), 3.0, "float32"))), 0.0)


def test_half_precision_is_normalised_in_float32():
    x = np.float16(1e-3) * noise(4, 512).astype("float16")  # its squares vanish in float16
    y = values(LayerNorm(epsilon=1e-12, dtype="mixed_float16")(x))
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.astype("float32").var(-1), 1.0, atol=0.02)


def test_bad_epsilon():
    with pytest.raises(ValueError, match="LayerNorm: expected epsilon > 0 .* received 0.0"):
        LayerNorm(0.0)
