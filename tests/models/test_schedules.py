"""Learning-rate schedules against their formulas."""

import math

import keras
import numpy as np
import pytest

from metagpt_tf.models import InverseSquareRoot, cosine_annealing


@pytest.mark.parametrize("step", [1, 2, 39, 40, 41, 1000])
@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_inverse_square_root(step: int, scale: float):
    rate = InverseSquareRoot(dim=64, warmup_steps=40, scale=scale)
    expected = scale * 64**-0.5 * min(step**-0.5, step * 40**-1.5)
    assert float(rate(step)) == pytest.approx(expected, rel=1e-5)


def test_inverse_square_root_peaks_where_the_warm_up_ends():
    rate = InverseSquareRoot(dim=64, warmup_steps=40)
    rates = [float(rate(step)) for step in range(200)]
    assert int(np.argmax(rates)) == 40
    assert rates[0] == rates[1] > 0.0  # Keras counts from 0


@pytest.mark.parametrize("step", [0, 1, 9, 10, 11, 60, 109, 110, 500])
@pytest.mark.parametrize("warmup", [0, 10])
@pytest.mark.parametrize("floor", [0.0, 0.2])
def test_cosine_annealing(step: int, warmup: int, floor: float):
    peak, total = 0.5, 110
    if step < warmup:
        expected = peak * step / warmup
    else:
        done = min(1.0, (step - warmup) / (total - warmup))
        expected = peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done)))
    rate = cosine_annealing(peak, total, warmup, floor)
    assert float(rate(step)) == pytest.approx(expected, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("made", [InverseSquareRoot(32, 7, 2.0), cosine_annealing(0.1, 20, 5, 0.1)])
def test_optimizers_keep_their_schedule(made):
    optimizer = keras.optimizers.Adam(made)
    twin = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    twin.build([keras.Variable([1.0])])
    twin.iterations.assign(9)
    assert float(twin.learning_rate) == pytest.approx(float(made(9)))


@pytest.mark.parametrize("arguments", [{"dim": 0}, {"dim": 8, "warmup_steps": 0}])
def test_bad_inverse_square_root(arguments: dict):
    with pytest.raises(ValueError, match="dim and warmup_steps must be >= 1, received dim="):
        InverseSquareRoot(**arguments)


@pytest.mark.parametrize(("total", "warmup"), [(10, 10), (10, 11), (10, -1), (0, 0)])
def test_bad_cosine_annealing(total: int, warmup: int):
    with pytest.raises(ValueError, match=f"received warmup_steps={warmup} and total_steps={total}"):
        cosine_annealing(0.1, total, warmup)
