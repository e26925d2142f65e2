"""Learning-rate schedules against their formulas."""

import keras
import numpy as np
import pytest

from metagpt_tf.models import InverseSquareRoot, cosine_annealing


@pytest.mark.parametrize("step", [1, 10, 400, 4000, 9000])
def test_inverse_square_root(step):
    expected = 2.0 * 64**-0.5 * min(step**-0.5, step * 400**-1.5)
    assert float(InverseSquareRoot(64, 400, scale=2.0)(step)) == pytest.approx(expected, rel=1e-5)


def test_inverse_square_root_peaks_at_the_end_of_warm_up():
    rates = [float(InverseSquareRoot(64, 50)(t)) for t in range(1, 200)]
    assert int(np.argmax(rates)) + 1 == 50
    assert float(InverseSquareRoot(64, 50)(0)) == rates[0]


def test_cosine_annealing():
    schedule = cosine_annealing(0.4, total_steps=110, warmup_steps=10, floor=0.1)
    assert float(schedule(5)) == pytest.approx(0.2)
    assert float(schedule(10)) == pytest.approx(0.4)
    assert float(schedule(60)) == pytest.approx(0.4 * (0.9 * 0.5 + 0.1))
    assert float(schedule(110)) == pytest.approx(0.04)


def test_config_round_trip():
    schedule = keras.optimizers.schedules.deserialize(
        keras.optimizers.schedules.serialize(InverseSquareRoot(8, 9, 2.0))
    )
    assert float(schedule(4)) == float(InverseSquareRoot(8, 9, 2.0)(4))


@pytest.mark.parametrize("call", [lambda: InverseSquareRoot(0), lambda: cosine_annealing(1.0, 5, warmup_steps=5)])
def test_impossible_schedules(call):
    with pytest.raises(ValueError, match="received"):
        call()
