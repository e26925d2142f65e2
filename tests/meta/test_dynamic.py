"""A task chooses its steps and its rate, and halts when stepping no longer helps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.meta import MAML, Dynamic, MetaLearner
from metagpt_tf.tasks import Episode

from .toys import compiled, mlp, numbers, one_batch, waves


def support(shot: int = 8) -> tuple[np.ndarray, np.ndarray]:
    episode = numbers(next(iter(waves(seed=9, shot=shot))))
    return episode.support_x[0], episode.support_y[0]


def test_without_plan_and_halting_it_is_maml() -> None:
    found = compiled(mlp(), Dynamic(3, 0.02, held_out=0.0, plan=False)).adapt(support())
    np.testing.assert_array_equal(found, compiled(mlp(), MAML(3, 0.02)).adapt(support()))


def test_with_its_plan_it_begins_close_to_maml() -> None:
    found = compiled(mlp(), Dynamic(3, 0.02, held_out=0.0)).adapt(support())
    maml = [compiled(mlp(), MAML(3, 0.02)).adapt(support(), steps=n) for n in (2, 3)]
    assert np.abs(found - maml[1]).max() < 0.1 * np.abs(maml[1] - maml[0]).max()


def test_a_task_halts_where_its_held_out_loss_rises_and_keeps_the_weights_before() -> None:
    """Trained on y = 3 and judged by y = -3: the first step harms, so nothing is kept."""
    x = np.random.default_rng(0).normal(size=(4, 1)).astype("float32")
    y = np.array([[3.0], [3.0], [3.0], [-3.0]], "float32")
    learner = compiled(mlp(), Dynamic(5, 0.02, held_out=0.25, plan=False))
    np.testing.assert_array_equal(learner.adapt((x, y)), learner.adapt((x, y), steps=0))
    agreeing = np.full((4, 1), 3.0, "float32")
    one, five = (learner.adapt((x, agreeing), steps=n) for n in (1, 5))
    assert np.abs(five - one).max() > 1e-4


def test_steps_taken_are_logged_and_differ_between_tasks() -> None:
    x = np.random.default_rng(0).normal(size=(2, 4, 1)).astype("float32")
    y = np.full((2, 4, 1), 3.0, "float32")
    y[1, -1] = -3.0
    learner = compiled(mlp(), Dynamic(4, 0.02, plan=False))
    found = learner.evaluate(one_batch(Episode(x, y, x, y)), verbose=0, return_dict=True)
    assert found["steps_taken"] == pytest.approx((4 + 0) / 2)


def test_the_loop_in_a_graph_stops_where_the_unrolled_one_does() -> None:
    for algorithm in (Dynamic(6, 0.1), Dynamic(6, 0.3, held_out=0.5, plan=False), Dynamic(2, 0.01, held_out=0.0)):
        learner = compiled(mlp(), algorithm)
        x, y = (tf.constant(t) for t in support())
        rolled = tf.function(lambda x, y, learner=learner: learner.adapt_tensors(x, y, rolled=True))(x, y)
        np.testing.assert_allclose(rolled, learner.adapt((x, y)), rtol=1e-5, atol=1e-6)


def test_complexity_tells_difficulty_slope_and_disagreement() -> None:
    learner = compiled(mlp(), Dynamic())
    x, y = support()
    weights = [tf.convert_to_tensor(v.value) for v in learner.model.trainable_variables]
    task = learner._task(weights)

    def complexity(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return learner.algorithm.complexity(weights, task.loss_on(x, y)).numpy()

    easy, hard = complexity(x, y), complexity(x, 5 * y)
    assert hard[0] > easy[0] and hard[1] > easy[1]
    same = complexity(np.concatenate([x, x]), np.concatenate([y, y]))
    assert same[2] == pytest.approx(0.0, abs=1e-4)
    opposed = complexity(np.concatenate([x, x]), np.concatenate([y + 9, y - 9]))
    assert opposed[2] > 1.0


def test_it_learns_to_take_longer_steps_where_tasks_lie_far_away() -> None:
    """One weight, tasks y = c: with the rate too small for c = 8, the learned factor must rise."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    learner = MetaLearner(model, Dynamic(2, 0.02, held_out=0.0))
    learner.compile(keras.optimizers.Adam(0.02), "mse")
    x, c = np.ones((4, 4, 1), "float32"), np.array([-8.0, 8.0, -8.0, 8.0], "float32")
    y = np.broadcast_to(c[:, None, None], (4, 4, 1))
    before = learner.evaluate(one_batch(Episode(x, y, x, y)), verbose=0, return_dict=True)["loss"]
    learner.fit(one_batch(Episode(x, y, x, y)).repeat(100), verbose=0)
    after = learner.evaluate(one_batch(Episode(x, y, x, y)), verbose=0, return_dict=True)["loss"]
    assert after < 0.5 * before


def test_a_support_set_of_one_example_serves_both_ends() -> None:
    learner = compiled(mlp(), Dynamic(3, 0.02))
    x, y = support()
    assert np.isfinite(learner.adapt((x[:1], y[:1]))).all()


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"held_out must be a share of the support set in \[0, 1\), received 1.0"):
        Dynamic(held_out=1.0)
