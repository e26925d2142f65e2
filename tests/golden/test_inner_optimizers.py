"""Inner optimizers follow Keras's step by step, and can be differentiated where nothing moves."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.meta import MAML, InnerAdam, InnerMomentum, InnerSGD
from metagpt_tf.meta.inner_optimizers import get, registry

RULES = [
    (InnerSGD(), keras.optimizers.SGD(0.1)),
    (InnerMomentum(0.8), keras.optimizers.SGD(0.1, momentum=0.8)),
    (InnerAdam(0.8, 0.95, 1e-7), keras.optimizers.Adam(0.1, 0.8, 0.95, 1e-7)),
]


def quadratic(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    root = random.normal(size=(4, 4))
    return root @ root.T / 4, random.normal(size=4)


def loss_of(hessian: np.ndarray, centre: np.ndarray):
    return lambda ws: 0.5 * tf.tensordot(ws[0] - centre, tf.linalg.matvec(hessian, ws[0] - centre), 1)


@pytest.mark.parametrize(("rule", "reference"), RULES, ids=lambda r: type(r).__name__)
def test_five_steps_equal_kerass(rule, reference) -> None:
    hessian, centre = (a.astype("float32") for a in quadratic())
    loss = loss_of(hessian, centre)
    run = MAML(5, 0.1, inner_optimizer=rule).adapt([tf.zeros(4)], loss)
    variable = keras.Variable(np.zeros(4, "float32"))
    for _ in range(5):
        reference.apply([tf.linalg.matvec(hessian, variable.value - centre)], [variable])
    np.testing.assert_allclose(run.fast[0], variable.numpy(), rtol=1e-4, atol=1e-5)
    assert np.abs(run.fast[0]).max() > 0.1


@pytest.mark.parametrize("rule", registry.names())
def test_the_outer_gradient_equals_finite_differences(rule: str) -> None:
    (support, centre), (query, goal) = quadratic(1), quadratic(2)
    algorithm, w = MAML(3, 0.05, inner_optimizer=rule), np.array([0.3, -1.0, 0.5, 2.0])

    def after(w: np.ndarray) -> tf.Tensor:
        return loss_of(query, goal)(algorithm.adapt([tf.convert_to_tensor(w)], loss_of(support, centre)).fast)

    start = tf.constant(w)
    with tf.GradientTape() as tape:
        tape.watch(start)
        value = after(start)
    # Adam's moments are float32: the step of the difference must be larger than their rounding.
    step = 1e-2
    expected = [(after(w + step * e) - after(w - step * e)) / (2 * step) for e in np.eye(4)]
    np.testing.assert_allclose(tape.gradient(value, start), expected, rtol=2e-3, atol=2e-3)


def test_adam_has_a_finite_second_derivative_where_a_weight_has_no_gradient() -> None:
    start = [tf.constant([1.0, 0.0])]
    with tf.GradientTape() as tape:
        tape.watch(start)
        run = MAML(2, 0.1, inner_optimizer="adam").adapt(start, lambda ws: tf.reduce_sum(ws[0][:1] ** 2))
        value = tf.reduce_sum(run.fast[0] ** 2)
    assert np.isfinite(tape.gradient(value, start)[0]).all()


@pytest.mark.parametrize("rule", registry.names())
def test_config_round_trip(rule: str) -> None:
    made = get(rule)
    again = get(keras.saving.serialize_keras_object(made))
    assert type(again) is type(made) and again.get_config() == made.get_config()


def test_bad_numbers_and_names() -> None:
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\), received 1.5"):
        InnerMomentum(1.5)
    with pytest.raises(ValueError, match="epsilon > 0, received 0.9, 0.999, 0"):
        InnerAdam(epsilon=0)
    with pytest.raises(ValueError, match="Unknown inner optimizer 'adem'. Did you mean 'adam'"):
        MAML(inner_optimizer="adem")
