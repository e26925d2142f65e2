"""MAML's meta-gradient through a whole encoder-decoder Transformer equals finite differences."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.tasks import Episode

from .gradients import learner_of, meta_gradient, one_batch

STEPS, RATE, STEP_SIZE = 2, 0.1, 3e-3
PLACES = (
    "embedding/embeddings",
    "encoder/layer_0/self_attention/query_adapter/low_rank_down",
    "encoder/layer_0/self_attention_residual/norm/beta",
    "encoder/layer_0/feed_forward_residual/norm/gamma",
    "decoder/layer_0/self_attention/output/kernel",
    "decoder/layer_0/cross_attention/value/kernel",
    "decoder/layer_0/feed_forward/down/bias",
)


@pytest.fixture(scope="module")
def episode() -> Episode:
    """Two tasks of three pairs of six tokens."""
    random = np.random.default_rng(0)
    return Episode(*(random.integers(3, 40, (2, 3, 6)).astype("int32") for _ in range(4)))


def transformer(num_layers: int) -> MetaGPT:
    """So many layers on each side; smooth (GELU), for a finite difference must not step over a kink."""
    keras.utils.set_random_seed(0)
    sizes = {"dim": 8, "num_heads": 2, "num_layers": num_layers, "hidden_dim": 16}
    model = MetaGPT(source_length=6, target_length=6, activation="gelu", **sizes)
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:  # adapters, context and biases start at zero, where errors hide
        variable.assign(variable + 0.3 * random.normal(size=variable.shape))
    return model


def first_order(learner: MetaLearner, episode: Episode) -> list[np.ndarray]:
    """FOMAML's gradient by its definition: that of the query loss, at each task's adapted weights."""
    model, loss = learner.model, learner.task_loss
    weights = [v.numpy() for v in model.trainable_variables]
    total = [np.zeros(w.shape) for w in weights]
    for *support, query_x, query_y in zip(*episode, strict=True):
        for variable, fast in zip(
            model.trainable_variables, learner.layout.unpack(learner.adapt(support)), strict=True
        ):
            variable.assign(fast)
        with tf.GradientTape() as tape:
            value = loss(query_y, model(model.training_inputs(query_x, query_y)))
        for sum_, gradient in zip(
            total, tape.gradient(value, [v.value for v in model.trainable_variables]), strict=True
        ):
            sum_ += tf.convert_to_tensor(gradient).numpy() / 2
        for variable, weight in zip(model.trainable_variables, weights, strict=True):
            variable.assign(weight)
    return total


def finite_difference(learner: MetaLearner, episode: Episode, variable: keras.Variable, index: tuple) -> float:
    """Four-point difference quotient of the query loss after adaptation, in one coordinate."""
    value = variable.numpy()
    losses = {}
    for factor in (-2, -1, 1, 2):
        moved = value.copy()
        moved[index] += factor * STEP_SIZE
        variable.assign(moved)
        losses[factor] = learner.evaluate(one_batch(episode), verbose=0, return_dict=True)["loss"]
    variable.assign(value)
    return (8 * (losses[1] - losses[-1]) - (losses[2] - losses[-2])) / (12 * STEP_SIZE)


@pytest.mark.parametrize("num_layers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_second_order_equals_finite_differences(num_layers: int, episode: Episode) -> None:
    model = transformer(num_layers)
    learner = learner_of(model, MAML(STEPS, RATE), loss=model.default_loss())
    gradients = meta_gradient(learner, episode)
    cheap = first_order(learner, episode)
    paths = [v.path.partition("/")[2] for v in model.trainable_variables]
    apart = 0
    for place in PLACES:
        which = paths.index(place)
        index = np.unravel_index(np.argmax(np.abs(gradients[which])), gradients[which].shape)
        measured = finite_difference(learner, episode, model.trainable_variables[which], index)
        assert gradients[which][index] == pytest.approx(measured, rel=0.02), place
        apart += cheap[which][index] != pytest.approx(measured, rel=0.2)
    assert apart >= 4  # the first-order gradient is something else, so the agreement says something
