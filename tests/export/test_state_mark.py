"""A state says which model it is of."""

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.export.state_mark import PLACES, checked, mark_of, marked, read_mark

from .conftest import small_learner


def state(size=200, seed=0):
    values = np.random.default_rng(seed).normal(size=size).astype("float32")
    values[::7] = 0.0
    return tf.constant(values)


@pytest.mark.parametrize("mark", [0, 1, 12345, 2**32 - 1])
def test_what_is_written_is_read(mark):
    found = marked(state(), mark)
    assert read_mark(found.numpy()) == mark
    np.testing.assert_allclose(found, state(), rtol=1.2e-7, atol=2e-45)
    np.testing.assert_array_equal(found[PLACES:], state()[PLACES:])
    np.testing.assert_array_equal(checked(found, mark), found)


def test_another_models_is_refused():
    with pytest.raises(tf.errors.InvalidArgumentError, match="made by another model or version"):
        checked(marked(state(), 1), 2)


def test_without_a_mark_it_is_taken():
    assert read_mark(state().numpy()) is None
    np.testing.assert_array_equal(checked(state(), 1), state())
    mean = (marked(state(), 1) + marked(state(seed=1), 1)) / 2  # a client's own doing
    assert read_mark(mean.numpy()) is None
    checked(mean, 2)


def test_too_short_for_a_mark():
    short = state(PLACES - 1)
    np.testing.assert_array_equal(marked(short, 3), short)
    assert read_mark(short.numpy()) is None
    checked(short, 4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite(bad):
    broken = np.array(state())
    broken[3] = bad
    with pytest.raises(tf.errors.InvalidArgumentError, match="not finite"):
        checked(tf.constant(broken), 1)


def test_a_checksum_of_weights_and_scope():
    first, second = small_learner("low_rank"), small_learner("low_rank")
    second.set_weights([weight + 0.01 for weight in first.get_weights()])
    assert mark_of(first) == mark_of(first) != mark_of(second)
    second.set_weights(first.get_weights())
    assert mark_of(first) == mark_of(second) != mark_of(small_learner("norm_bias", first.model))
