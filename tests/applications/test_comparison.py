"""The comparison with the plain twin: equal cost, the same start, the meta-trained weights left behind."""

import numpy as np
import pytest

from metagpt_tf.applications.code import define_meta_gpt_code_model
from metagpt_tf.applications.comparison import STEPS, Plan, compare_with_plain_twin
from metagpt_tf.meta import MAML
from metagpt_tf.tasks import TextTasks

PLAN = Plan(
    meta_batch_size=2, k_shot=2, n_query=2, warm_steps=3, meta_steps=2, validation_batches=1, test_batches=2, seed=3
)


def test_costs_are_equal():
    plan = Plan(meta_batch_size=4, k_shot=8, n_query=8, meta_steps=36)
    assert plan.meta_evaluations(inner_steps=3) == 36 * 4 * 4
    assert plan.twin_steps(3) * plan.plain_evaluations_per_step() == plan.meta_evaluations(3)
    assert Plan(k_shot=4, n_query=8, meta_steps=10, meta_batch_size=1).meta_evaluations(1) == 10 * (1 + 2)


@pytest.fixture(scope="module")
def tasks():
    pairs = {
        split: {f"{split}{t}": [(f"{split} {t} {i}", f"{i * t} done") for i in range(6)] for t in range(3)}
        for split in ("meta_train", "meta_validation", "meta_test")
    }
    return TextTasks.from_pairs(pairs, "bytes", 16, 16)


def test_both_are_measured_on_the_same_tasks(tasks):
    sizes = {"dim": 32, "num_heads": 2, "num_layers": 1, "hidden_dim": 64}
    learner = define_meta_gpt_code_model(
        "nano", algorithm=MAML(1, 0.05, learn_rate=True), source_length=16, target_length=16, **sizes
    )
    told = []
    comparison = compare_with_plain_twin(learner, tasks, PLAN, report=told.append)
    assert comparison.meta.shape == comparison.twin.shape == (4, len(STEPS))
    assert np.isfinite(comparison.meta).all() and np.isfinite(comparison.twin).all()
    assert comparison.gradient_evaluations == 3 * 4 + PLAN.meta_evaluations(1)
    assert set(comparison.at(comparison.meta)) == {"1", "3", "5"}
    assert len(told) == 4
    # What is left in the learner is the meta-trained model: measuring it again gives its curve.
    from metagpt_tf.meta import AdaptationCurve

    learner.compile("adam")
    episodes = tasks.split("meta_test").as_dataset(2, 2, 2, seed=4, num_batches=2)
    again = AdaptationCurve(learner, STEPS)(episodes, comparison.meta_rate) / np.log(2)
    np.testing.assert_allclose(again, comparison.meta, rtol=1e-4)
    assert np.abs(comparison.meta - comparison.twin).max() > 1e-3
