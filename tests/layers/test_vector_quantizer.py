"""The nearest code, a gradient that passes, codes that move as the formula says and begin anew if unused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.layers import VectorQuantizer


def test_the_nearest_code_and_the_gradient_straight_through():
    layer = VectorQuantizer(num_codes=5, code_dim=3)
    z = tf.random.stateless_normal([2, 4, 3], [0, 1])
    layer.build(z.shape)
    with tf.GradientTape() as tape:
        tape.watch(z)
        found = layer(z)
        loss = tf.reduce_sum(found**2)
    codes = layer.codes.numpy()
    nearest = ((z.numpy()[..., None, :] - codes) ** 2).sum(-1).argmin(-1)
    np.testing.assert_allclose(found, codes[nearest], atol=1e-6)
    np.testing.assert_array_equal(layer.ids(z), nearest)
    np.testing.assert_allclose(layer.vectors(nearest), codes[nearest])
    np.testing.assert_allclose(tape.gradient(loss, z), 2 * codes[nearest], atol=1e-5)


def test_codes_are_running_means():
    layer = VectorQuantizer(num_codes=2, code_dim=1, decay=0.5, restart_below=0.0)
    layer.build((None, 1))
    layer.codes.assign([[-1.0], [1.0]])
    layer(tf.constant([[-2.0], [-4.0], [3.0]]), training=True)
    np.testing.assert_allclose(layer.codes, [[-3.0], [3.0]], atol=1e-6)
    np.testing.assert_allclose(layer.counts, [1.0, 0.5], atol=1e-6)
    assert float(layer.losses[0]) == pytest.approx(0.25 * (1 + 9 + 4) / 3)
    layer(tf.constant([[-1.0]]), training=True)
    np.testing.assert_allclose(layer.codes, [[(0.5 * -3 + 0.5 * -1) / 1.0], [3.0]], atol=1e-6)


def test_codes_that_never_begin_anew_stay_where_they_are():
    layer = VectorQuantizer(num_codes=4, code_dim=1, restart_below=0.0)
    layer.build((None, 1))
    layer.codes.assign([[0.0], [5.0], [6.0], [7.0]])
    layer(tf.constant([[1.0], [2.0]]), training=True)
    np.testing.assert_allclose(layer.codes, [[1.5], [5.0], [6.0], [7.0]], atol=1e-5)


@pytest.mark.parametrize("restart_below", [0.3, 1.0, 4.0])
def test_a_code_of_no_vector_begins_anew(restart_below):
    z = 10.0 + tf.random.stateless_normal([512, 2], [0, 1])  # far from where codes begin
    errors = {}
    for limit in (0.0, restart_below):
        layer = VectorQuantizer(num_codes=16, code_dim=2, restart_below=limit)
        for _ in range(100):
            layer(z, training=True)
        errors[limit] = float(tf.reduce_mean((layer(z) - z) ** 2))
    assert len(set(layer.ids(z).numpy().tolist())) == 16 and errors[restart_below] < 0.5 * errors[0.0]
    before = layer.codes.numpy()
    layer(z, training=True)
    np.testing.assert_allclose(layer.codes, before, atol=0.2)  # and settles
    before = layer.codes.numpy()
    layer(z)  # not in training
    np.testing.assert_array_equal(layer.codes, before)


def test_what_is_refused():
    for arguments, words in (
        ({"num_codes": 0}, "num_codes"),
        ({"decay": 1.0}, r"in \[0, 1\)"),
        ({"restart_below": -1}, "at least 0"),
    ):
        with pytest.raises(ValueError, match=words):
            VectorQuantizer(**arguments)
    with pytest.raises(ValueError, match="codes of 32 numbers"):
        VectorQuantizer()(np.zeros((2, 3)))
    config = VectorQuantizer(num_codes=7, seed=3).get_config()
    assert keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(VectorQuantizer.from_config(config))
    ).get_config() == {**config, "name": config["name"]}
