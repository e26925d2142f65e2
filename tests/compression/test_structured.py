"""Whole heads, neurons and layers leave; what stays is an ordinary MetaGPT."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.compression import importance, shrink
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.saving import load_model
from metagpt_tf.tasks import TextTasks

LENGTH = 12


@pytest.fixture(scope="module")
def learner():
    keras.utils.set_random_seed(0)
    model = MetaGPT(
        source_length=LENGTH, target_length=LENGTH, dim=16, num_heads=4, num_layers=2, hidden_dim=32, low_rank=2
    )
    for variable in model.trainable_variables:  # adapters and biases begin at zero: give all something to do
        if not np.any(variable.numpy()):
            variable.assign(np.random.default_rng(0).normal(0, 0.1, variable.shape))
    made = MetaLearner(model, MAML(1, 0.1, learn_rate="per_tensor_per_step"))
    made.algorithm.log_rate.assign(np.random.default_rng(1).normal(-3, 0.1, made.algorithm.log_rate.shape))
    made.compile("adam")
    return made


@pytest.fixture(scope="module")
def episodes():
    pairs = {"meta_train": {f"shift {n}": [(f"w{i}", f"w{i + n}") for i in range(20)] for n in range(4)}}
    return TextTasks.from_pairs(pairs, "bytes", LENGTH, LENGTH).as_dataset(2, 3, 3, num_batches=2)


def test_the_score_is_the_derivative_in_a_gate(learner, episodes):
    """Without adaptation, and compared with finite differences of the loss when a head is scaled."""
    plain = MetaLearner(learner.model, MAML(0, 0.1))
    plain.compile("adam")
    scores = importance(plain, episodes)
    kernel = next(
        v for v in learner.model.trainable_variables if v.path.endswith("layer_1/cross_attention/output/kernel")
    )
    values = kernel.numpy()

    def losses(factor):
        changed = values.copy()
        changed[4:8] *= factor  # the second head
        kernel.assign(changed)
        found = []
        for batch in episodes:
            for x, y in zip(batch.query_x, batch.query_y, strict=True):
                found.append(float(plain.task_loss(y, learner.model(learner.model.training_inputs(x, y)))))
        return np.array(found)

    try:
        slope = (losses(1.05) - losses(0.95)) / 0.1
    finally:
        kernel.assign(values)
    name = next(k for k in scores if k.endswith("decoder/layer_1/cross_attention"))
    assert scores[name].shape == (4,)
    assert scores[name][1] == pytest.approx(np.abs(slope).mean(), rel=0.02)


def test_nothing_removed_changes_nothing(learner, episodes):
    same = shrink(learner, episodes, heads=1.0, neurons=1.0)
    x = np.random.default_rng(0).integers(3, 200, (2, LENGTH)).astype("int32")
    inputs = learner.model.training_inputs(tf.constant(x), tf.constant(x))
    np.testing.assert_allclose(same.model(inputs), learner.model(inputs), atol=1e-6)
    np.testing.assert_allclose(same.adapt((x, x)), learner.adapt((x, x)), atol=1e-6)


def test_a_part_that_does_nothing_leaves_first(learner, episodes):
    """A silenced head, neuron and layer go, and the answers stay."""
    model = MetaGPT.from_config(learner.model.get_config())
    model.set_weights(learner.model.get_weights())
    copied = MetaLearner(model, MAML(0, 0.1))  # a step of adaptation would give the silent ones a voice
    copied.compile("adam")
    for variable in copied.model.trainable_variables:
        values = variable.numpy()
        if "attention/output/kernel" in variable.path:
            values[8:16] = 0.0  # heads 2 and 3
        elif "down/kernel" in variable.path:
            values[:16] = 0.0
        if "layer_0/" in variable.path and ("/output/" in variable.path or "/down/" in variable.path):
            values[:] = 0.0
        variable.assign(values)
    small = shrink(copied, episodes, heads=0.5, neurons=0.5, layers=0.5)
    assert (small.model.num_heads, small.model.hidden_dim, small.model.num_layers) == (2, 16, 1)
    assert small.model.count_params() < 0.5 * copied.model.count_params()
    for batch in episodes:  # what was scored: a neuron that only other inputs wake leaves as well
        inputs = learner.model.training_inputs(batch.query_x[0], batch.query_y[0])
        np.testing.assert_allclose(small.model(inputs), copied.model(inputs), atol=1e-5)


def test_learned_rates_go_with_their_tensors(learner, episodes):
    small = shrink(learner, episodes, layers=0.5)
    names = [v.path.split("/", 1)[1] for v in learner.layout.variables]
    place = next(
        i for i, v in enumerate(small.layout.variables) if v.path.endswith("decoder/layer_0/feed_forward/up/bias")
    )
    found = small.algorithm.log_rate.numpy()[:, place]
    candidates = [
        learner.algorithm.log_rate.numpy()[:, names.index(f"decoder/layer_{i}/feed_forward/up/bias")] for i in (0, 1)
    ]
    assert any(np.array_equal(found, rates) for rates in candidates)


def test_it_recovers_generates_and_is_saved(learner, episodes, tmp_path):
    small = shrink(learner, episodes, heads=0.25, steps=3, optimizer=keras.optimizers.Adam(1e-3))
    assert small.optimizer.iterations == 3 and small.model.num_heads == 1 and small.model.head_width == 4
    small.save(tmp_path / "small.keras")
    again = load_model(tmp_path / "small.keras")
    assert again.model.generate("abc", max_length=8) == small.model.generate("abc", max_length=8)


@pytest.mark.parametrize("share", [0, 1.5, -1])
def test_shares(learner, episodes, share):
    with pytest.raises(ValueError, match=r"share that stays, in \(0, 1\]"):
        shrink(learner, episodes, neurons=share)


def test_other_models(episodes):
    other = MetaLearner(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))
    other.compile("adam", "mse")
    with pytest.raises(TypeError, match="MetaGPT, received Sequential"):
        shrink(other, episodes)
