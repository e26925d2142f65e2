"""optimize_model: a smaller file within a budget, or by how much it misses it."""

import pytest

from metagpt_tf.applications.optimization import Budget, compression_figure, optimize_model
from metagpt_tf.compression import CompressionRecipe
from metagpt_tf.export.runner import LiteRTRunner
from tests.compression.conftest import held_out, text_learner, text_tasks, training  # noqa: F401


def test_the_first_recipe_that_keeps_the_budget(text_learner, training, held_out, tmp_path):  # noqa: F811
    done = optimize_model(text_learner, training, held_out, {"size": 0.9, "loss": 1.05}, tmp_path)
    assert done.recipe.quantization == "weight_int8" and not done.shortfall
    assert done.path.stat().st_size == done.report.rows[1].bytes < 0.9 * done.report.rows[0].bytes
    assert set(LiteRTRunner(done.path)._runners) == {"adapt", "generate"}
    axes = compression_figure(done.report).axes[0]
    assert {text.get_text() for text in axes.texts} == {"original", "optimized"}


def test_a_budget_that_is_missed_says_by_how_much(text_learner, training, held_out, tmp_path):  # noqa: F811
    recipe = CompressionRecipe.of(quantize={"quantization": "float16"})
    done = optimize_model(text_learner, training, held_out, {"size": 0.01}, tmp_path, recipe)
    assert done.shortfall["size"] == pytest.approx(done.report.ratios("optimized")["bytes"] - 0.01)


def test_budgets():
    ratios = {"bytes": 0.5, "gzip_bytes": 0.4, "latency_ms_p50": 1.1, "after": 1.01}
    assert Budget(size=0.5, loss=1.02).shortfall(ratios) == {}
    assert Budget(latency=1.0).shortfall(ratios) == {"latency": pytest.approx(0.1)}
    assert Budget(loss=1.0).shortfall({**ratios, "after": float("nan")}).keys() == {"loss"}


@pytest.mark.parametrize(
    "target, message", [({"sise": 1}, "Did you mean 'size'"), ({"size": 0}, "above 0"), ({}, "received none")]
)
def test_no_budget(target, message):
    with pytest.raises(ValueError, match=message):
        Budget.of(target)
