"""Zeros of pruned weights: where they are, and that no loop of meta-learning wakes them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.fast_weights import FastWeights, State
from metagpt_tf.kept_zeros import is_prunable, sparsity, without_gradient_at_zeros
from metagpt_tf.meta import MetaLearner
from metagpt_tf.saving import load_model
from metagpt_tf.tasks import Sinusoid


def network():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    draw = np.random.default_rng(0)
    for variable in model.trainable_variables:
        if is_prunable(variable):
            values = variable.numpy()
            values[draw.random(values.shape) < 0.5] = 0.0
            variable.assign(values)
    return model


def pruned(algorithm="maml", optimizer="adam", **options):
    learner = MetaLearner(network(), algorithm, keep_zeros=True, **options)
    learner.compile(keras.optimizers.get(optimizer), "mse")
    return learner


def places(model):
    return [v.numpy() == 0 for v in model.trainable_variables if is_prunable(v)]


EPISODES = Sinusoid().as_dataset(4, k_shot=5, n_query=5, num_batches=3)
SUPPORT = (np.linspace(-3, 3, 5, dtype="float32")[:, None], np.ones((5, 1), "float32"))


def test_the_value_stays_and_the_gradient_goes():
    weight = tf.constant([0.0, 2.0, -1.0, 0.0])
    with tf.GradientTape() as tape:
        tape.watch(weight)
        kept = without_gradient_at_zeros(weight)
        loss = tf.reduce_sum((kept - 1.0) ** 2)
    np.testing.assert_array_equal(kept, weight)
    np.testing.assert_array_equal(tape.gradient(loss, weight), [0.0, 2.0, -4.0, 0.0])


@pytest.mark.parametrize("algorithm", ["maml", "fomaml", "reptile", "meta_sgd", "alfa", "imaml", "hierarchical"])
def test_both_loops_keep_zeros(algorithm):
    learner = pruned(algorithm)
    before = places(learner.model)
    learner.fit(EPISODES, verbose=0)
    for was, now in zip(before, places(learner.model), strict=True):
        np.testing.assert_array_equal(was, now)
    adapted = learner.layout.unpack(learner.adapt(SUPPORT, steps=3))
    for value, zeros in zip([w for w in adapted if w.shape.rank == 2], before, strict=True):
        assert not value.numpy()[zeros].any() and value.numpy()[~zeros].all()


def test_without_it_they_wake_up():
    learner = MetaLearner(network(), "maml")
    learner.compile("adam", "mse")
    before = sparsity(learner.model)
    learner.fit(EPISODES, verbose=0)
    assert sparsity(learner.model) < before  # not 0: a hidden unit without a way in has no gradient


def test_what_the_optimizer_remembers_wakes_nothing():
    learner = MetaLearner(network(), "maml", keep_zeros=True)
    learner.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
    learner.fit(EPISODES, verbose=0)
    kernel = learner.model.trainable_variables[0]
    values = kernel.numpy()
    values[0, :4] = 0.0  # pruned while the optimizer still has speed in their direction
    kernel.assign(values)
    learner.fit(EPISODES, verbose=0)
    assert not kernel.numpy()[0, :4].any()


def test_a_state_holds_what_is_left():
    learner = pruned()
    left = sum(int((~zeros).sum()) for zeros in places(learner.model)) + 16 + 1
    state = learner.adapt(SUPPORT)
    assert state.shape == (left,) == (learner.layout.size,) and state.keep_zeros
    dense = MetaLearner(learner.model, "maml")
    dense.compile("adam", "mse")
    np.testing.assert_allclose(learner.adapted(state)(SUPPORT[0]), _masked_step(dense, SUPPORT), rtol=1e-5)


def _masked_step(learner, support):
    """One inner step by hand, its gradient masked."""
    model = learner.model
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(support[0]) - support[1]) ** 2)
    variables = model.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, [v.value for v in variables]), strict=True):
        mask = tf.cast(variable.value != 0, tf.float32) if is_prunable(variable) else 1.0
        variable.assign_sub(0.01 * gradient * mask)
    return model(support[0])


def test_pack_and_unpack_are_inverse():
    layout = FastWeights(network(), keep_zeros=True)
    state = layout.initial_state()
    np.testing.assert_array_equal(layout.pack(layout.unpack(tf.constant(state))), state)
    for weight, variable in zip(layout.unpack(tf.constant(state)), layout.variables, strict=True):
        np.testing.assert_array_equal(weight, variable.numpy())


def test_a_state_of_another_pattern_is_refused():
    learner = pruned()
    state = learner.adapt(SUPPORT)
    kernel = learner.model.trainable_variables[0]
    kernel.assign(np.zeros(kernel.shape))
    with pytest.raises(ValueError, match=r"has shape \(\d+,\); received"):
        learner.adapted(state)
    assert len(learner.adapt(SUPPORT)) < len(state)


def test_saved_and_loaded(tmp_path):
    learner = pruned()
    learner.fit(EPISODES, verbose=0)
    expected = learner.adapt(SUPPORT)
    learner.save(tmp_path / "learner.keras")
    np.testing.assert_allclose(load_model(tmp_path / "learner.keras").adapt(SUPPORT), expected, rtol=1e-6)
    expected.save(tmp_path / "state.npz")
    assert State.load(tmp_path / "state.npz").keep_zeros


def test_sparsity_counts_matrices_only():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    assert sparsity(model) == 0.0  # the bias is zero
    model.layers[0].kernel.assign([[0.0, 1.0], [2.0, 3.0]])
    assert sparsity(model) == 0.25
