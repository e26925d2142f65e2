"""The verb `tune_model`, its figures, and what the command line makes of them."""

import json

import keras
import numpy as np
import pytest

from metagpt_tf.applications.optimization import tune_model
from metagpt_tf.applications.tuning import gain_figure, search_figure
from metagpt_tf.cli.main import EXIT_FAILED, EXIT_OK, main
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.saving import load_model
from metagpt_tf.tasks import Sinusoid
from metagpt_tf.tuning import TaskChoice, TaskGain

SIZES = {"rungs": 1, "meta_batch_size": 4, "k_shot": 5, "n_query": 5, "validation_batches": 4, "patience": None}


def regression():
    keras.utils.set_random_seed(0)
    layers = [keras.Input((1,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(1)]
    learner = MetaLearner(keras.Sequential(layers), MAML(1, 0.05))
    learner.compile("adam", "mse")
    return learner


def test_a_learner_goes_on_with_the_better_settings(tmp_path):
    learner = regression()
    before = [w.copy() for w in learner.get_weights()]
    tuned = tune_model(learner, Sinusoid(), tmp_path, {"learning_rate": [1e-7, 0.02]}, "grid", steps=30, **SIZES)
    assert tuned.values == {"learning_rate": 0.02} and tuned.after < tuned.before
    assert tuned.learner.optimizer.iterations == 30
    for old, new in zip(before, learner.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    figure = search_figure(tuned.result)
    assert len(figure.axes[0].texts) == 2 and figure.axes[0].get_xlabel() == "gradient evaluations"


def test_a_learner_that_nothing_betters_comes_back(tmp_path):
    learner = regression()
    tuned = tune_model(learner, Sinusoid(), tmp_path, {"learning_rate": [3.0]}, "grid", steps=4, **SIZES)
    assert tuned.learner is learner and tuned.values == {} and tuned.after == tuned.before


def test_the_gain_is_drawn():
    gain = TaskGain(np.array([1.0, 2.0]), np.array([0.5, 2.0]), [TaskChoice("default", 1.0, 1, 0.5, 1.0)] * 2)
    figure = gain_figure(gain, "bits")
    assert "0.250 ±" in figure.axes[0].get_title() and figure.axes[0].get_ylabel() == "bits, chosen"


def text_learner(path, seed):
    keras.utils.set_random_seed(seed)
    model = MetaGPT(source_length=16, target_length=16, dim=8, num_heads=2, num_layers=1, low_rank=2)
    learner = MetaLearner(model, MAML(1, 0.1, scope="low_rank"))
    learner.compile("adam")
    learner.save(path)
    return str(path)


@pytest.fixture(scope="module")
def poems(tmp_path_factory):
    folder = tmp_path_factory.mktemp("poems")
    for name in ("ann", "bob", "cid", "dan", "eve", "fay"):
        (folder / f"{name}.txt").write_text(f"{name} writes of {name} and of nothing else but {name}. " * 12)
    return str(folder)


def test_the_command_line_tunes_and_fuses(poems, tmp_path, capsys):
    first, second = (text_learner(tmp_path / f"{seed}.keras", seed) for seed in (0, 1))
    chosen = ["--app", "language", "--data", poems, "--k-shot", "2", "--n-query", "2", "--validation-batches", "1"]
    space = '{"learning_rate": [0.01]}'
    sizes = ["--method", "grid", "--steps", "2", "--rungs", "1", "--judged-steps", "1", "--meta-batch-size", "1"]
    figures = tmp_path / "figures.json"
    asked = ["tune", *chosen, *sizes, "--model", first, "--space", space, "--output", str(tmp_path / "tuning")]
    assert main([*asked, "--json", str(figures)]) == EXIT_OK
    found = json.loads(figures.read_text())
    assert len(found["trials"]) == 1 and found["trials"][0]["status"] == "completed"
    assert isinstance(load_model(tmp_path / "tuning" / "learner.keras"), MetaLearner)
    asked = ["fuse", *chosen, "--members", first, second, "--output", str(tmp_path / "fused.keras")]
    assert main([*asked, "--json", str(figures)]) == EXIT_OK
    assert len(json.loads(figures.read_text())["losses"]) == 3
    assert len(load_model(tmp_path / "fused.keras").model.members) == 2
    capsys.readouterr()
    assert main([*asked, "--how", "sup"]) == EXIT_FAILED
    assert "Did you mean 'soup'" in " ".join(capsys.readouterr().err.split())
