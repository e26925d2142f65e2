"""Searches find what is better, are resumed exactly, and refuse what cannot be before anything is trained."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.tasks import Sinusoid, TextTasks
from metagpt_tf.tuning import search

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"steps": 4, "rungs": 2, "meta_batch_size": 2, "k_shot": 5, "n_query": 5, "validation_batches": 2}
RATES = {"inner_learning_rate": {"low": 0.001, "high": 0.3, "log": True}}


def test_a_grid_tries_everything_and_finds_the_better_rate(regression, waves, tmp_path):
    space = {"inner_learning_rate": [1e-6, 0.05], "optimizer": ["adam", "sgd"]}
    found = search(regression, space, waves, tmp_path, "grid", patience=None, **SIZES)
    assert len(found.trials) == 4 and all(len(t.scores) == 2 for t in found.trials.values())
    assert found.values["inner_learning_rate"] == 0.05  # a rate of nothing adapts nothing
    assert found.rows[0]["trial"] == found.best and "inner_learning_rate=0.05" in str(found).splitlines()[1]
    # 4 outer steps on 2 tasks, each of 1 inner step and a query set as large as the support set
    assert found.trials[found.best].gradient_evaluations == 4 * 2 * (1 + 1)
    assert found.best in found.front()
    learner = found.learner()
    assert learner.algorithm.inner_learning_rate == 0.05 and learner.optimizer.iterations == 4
    with open(tmp_path / "search.json") as note:
        assert json.load(note)["method"] == "grid"


def test_the_score_is_the_loss_after_k_steps_on_validation_tasks(regression, waves, tmp_path):
    found = search(regression, {"inner_learning_rate": [0.05]}, waves, tmp_path, "grid", judged_steps=4, **SIZES)
    learner = found.learner()
    learner.algorithm.inner_steps = 4
    again = learner.evaluate(
        waves.split("meta_validation").as_dataset(2, 5, 5, seed=0, num_batches=2), return_dict=True, verbose=0
    )
    assert found.rows[0]["score"] == pytest.approx(again["loss"], rel=1e-5)


def test_the_same_seed_makes_the_same_search(regression, waves, tmp_path):
    sizes, method = {**SIZES, "steps": 3, "rungs": 1}, "random"
    first, second = (search(regression, RATES, waves, tmp_path / name, method, trials=2, **sizes) for name in "ab")
    assert first.rows[0]["scores"] == second.rows[0]["scores"] and list(first.trials) == list(second.trials)
    other = search(regression, RATES, waves, tmp_path / "c", method, trials=2, seed=1, **sizes)
    assert other.values != first.values


def test_hyperband_goes_on_from_an_earlier_rung(regression, waves, tmp_path):
    found = search(regression, RATES, waves, tmp_path, "hyperband", **{**SIZES, "rungs": 3, "steps": 3})
    lengths = [len(t.scores) for t in found.trials.values()]
    assert max(lengths) == 3 and min(lengths) == 1
    assert found.learner().optimizer.iterations == 3
    told = []
    again = search(
        regression,
        RATES,
        waves,
        tmp_path,
        "hyperband",
        measured=lambda key, progress: told.append(key),
        **{**SIZES, "rungs": 3, "steps": 3},
    )  # each rung is answered with the score it had, not with a later one
    assert told == [] and again.rows == found.rows


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_bayesian_search_leaves_its_random_start(regression, waves, tmp_path):
    found = search(regression, RATES, waves, tmp_path, "bayesian", trials=4, **{**SIZES, "steps": 1, "rungs": 1})
    assert len(found.trials) == 4 and math.isfinite(found.rows[0]["score"])


def test_a_hopeless_trial_is_stopped(regression, waves, tmp_path):
    space = {"learning_rate": [1e-3, 2e-3, 3e-3, 5.0], "optimizer": ["sgd"]}
    found = search(regression, space, waves, tmp_path, "grid", **{**SIZES, "steps": 8})
    worst = next(t for t in found.trials.values() if t.values["learning_rate"] == 5.0)
    assert worst.status in ("stopped", "diverged") and len(worst.scores) == 1
    assert worst.gradient_evaluations < found.trials[found.best].gradient_evaluations


def test_a_trial_that_diverges_ends_and_the_search_goes_on(regression, waves, tmp_path):
    found = search(regression, {"inner_learning_rate": [0.05, 1e30]}, waves, tmp_path, "grid", judged_steps=8, **SIZES)
    statuses = {t.values["inner_learning_rate"]: t.status for t in found.trials.values()}
    assert statuses == {0.05: "completed", 1e30: "diverged"}
    counted = [t.counted for t in found.trials.values()]
    assert all(map(math.isfinite, counted))


def test_tensorboard_reads_values_and_scores(regression, waves, tmp_path):
    found = search(regression, {"scope": ["all", "head"]}, waves, tmp_path, "grid", patience=None, **SIZES)
    for key, trial in found.trials.items():
        events = EventAccumulator(str(tmp_path / "logs" / key)).Reload()
        assert "_hparams_/session_start_info" in events.summary_metadata
        losses = [float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors("loss")]
        assert losses == pytest.approx(trial.scores)


@pytest.mark.slow
def test_sizes_of_a_model_and_a_plain_start(tmp_path):
    pairs = {
        split: {f"{split} {n}": [(f"w{i}", f"w{i + n}") for i in range(12)] for n in range(2)}
        for split in ("meta_train", "meta_validation")
    }
    tasks = TextTasks.from_pairs(pairs, "bytes", 8, 8)
    model = MetaGPT(source_length=8, target_length=8, dim=8, num_heads=2, num_layers=1, hidden_dim=16)
    learner = MetaLearner(model, MAML(1, 0.1, scope="low_rank"))
    learner.compile()
    space = {"num_layers": [2], "dim": [16], "dropout": [0.1]}
    sizes = {**SIZES, "steps": 1, "rungs": 1, "plain_steps": 2, "k_shot": 3, "n_query": 3}
    found = search(learner, space, tasks, tmp_path, "grid", metric="bits_per_token", **sizes)
    made = found.learner().model
    assert (made.num_layers, made.dim, made.hidden_dim, made.dropout) == (2, 16, 64, 0.1)
    assert found.trials[found.best].gradient_evaluations == 2 * (1 * (1 + 1) + 2 * 2)


def test_a_function_that_builds(waves, tmp_path):
    def build(values):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(values["units"]), keras.layers.Dense(1)])
        learner = MetaLearner(model, "fomaml")
        learner.compile("adam", "mse")
        return learner

    found = search(build, {"units": {"low": 2, "high": 4}}, waves, tmp_path, "grid", **SIZES)
    assert sorted(t.values["units"] for t in found.trials.values()) == [2, 3, 4]


KILLED = """
import json, os, sys
import keras
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.tasks import Sinusoid
from metagpt_tf.tuning import search

def measured(key, progress):
    print(key, len(progress.scores), flush=True)

keras.utils.set_random_seed(0)
layers = [keras.Input((1,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(1, name="head")]
learner = MetaLearner(keras.Sequential(layers), MAML(1, 0.05))
learner.compile("adam", "mse")
space = {"inner_learning_rate": {"low": 0.001, "high": 0.3, "log": True}, "optimizer": ["adam", "rmsprop"]}
sizes = dict(steps=4, rungs=2, meta_batch_size=2, k_shot=5, n_query=5, validation_batches=2)
found = search(learner, space, Sinusoid(), sys.argv[1], "random", trials=2, measured=measured, **sizes)
print(found.best, json.dumps(found.rows))
"""


def started(code: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_killed_search_goes_on_as_if_nothing_had_been(tmp_path):
    half = started(KILLED, str(tmp_path / "half"))
    try:
        seen = [half.stdout.readline() for _ in range(3)]  # one trial, and a rung of the second
    finally:
        half.send_signal(signal.SIGKILL)
        half.communicate(timeout=60)
    results = []
    for folder in ("half", "whole"):
        process = started(KILLED, str(tmp_path / folder))
        try:
            results.append(process.communicate(timeout=300))
        finally:
            process.kill()
        assert process.returncode == 0, results
    (told, _), (expected, _) = results
    assert seen[0] not in told and seen[1] not in told  # what was measured is not trained again
    best, rows = told.splitlines()[-1].split(" ", 1)
    right, right_rows = expected.splitlines()[-1].split(" ", 1)
    assert best == right
    # everything but the seconds is what an uninterrupted search finds
    assert _without_seconds(rows) == _without_seconds(right_rows)


def _without_seconds(text):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in json.loads(text)]


@pytest.mark.slow
def test_a_chief_and_a_worker_on_loopback(tmp_path):
    environment = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": "18765"}
    chief = started(KILLED, str(tmp_path), KERASTUNER_TUNER_ID="chief", **environment)
    worker = started(KILLED, str(tmp_path), KERASTUNER_TUNER_ID="tuner0", **environment)
    try:
        worked, errors = worker.communicate(timeout=120)
        chiefs, more = chief.communicate(timeout=60)
    finally:
        for process in (chief, worker):
            process.kill()
    assert worker.returncode == 0 and chief.returncode == 0, errors + more
    assert len(worked.splitlines()) == 2 * 2 + 1 - _stopped(tmp_path)  # a line a rung, and the result
    assert len(chiefs.splitlines()) == 1 and chiefs == worked.splitlines()[-1] + "\n"  # it trained nothing itself


def _stopped(folder):
    found = [json.loads(path.read_text()) for path in (folder / "trials").glob("*/progress.json")]
    return sum(2 - len(trial["scores"]) for trial in found)


@pytest.mark.parametrize(
    ("space", "options", "message"),
    [
        ({}, {}, "The space is empty"),
        ({"scope": []}, {}, "at least one"),
        ({"inner_lerning_rate": [0.1]}, {}, "Did you mean 'inner_learning_rate'"),
        ({"optimizer": ["adan"]}, {}, "Unknown optimizer 'adan'. Did you mean 'adam'"),
        ({"schedule": ["cosin"]}, {}, "Did you mean 'cosine'"),
        ({"algorithm": ["mamml"]}, {}, "Did you mean 'maml'"),
        ({"scope": ["hed"]}, {}, "picks no variable"),
        ({"learning_rate": [0.0]}, {}, "must be above 0"),
        ({"scope": {"low": 3, "high": 1}}, {}, "low < high"),
        ({"scope": {"low": 1, "hihg": 3}}, {}, "Did you mean 'high'"),
        ({"scope": ["all"]}, {"metric": "los"}, "logs no metric 'los'. Did you mean 'loss'"),
        ({"scope": ["all"]}, {"method": "gird"}, "Did you mean 'grid'"),
        ({"scope": ["all"]}, {"step": 3}, "Did you mean 'steps'"),
        ({"scope": ["all"]}, {"rungs": 0}, "rungs must be at least 1"),
    ],
)
def test_bad_input_is_refused_before_training(regression, waves, tmp_path, space, options, message):
    with pytest.raises(ValueError, match=message):
        search(regression, space, waves, tmp_path, **options)
    assert regression.optimizer.iterations == 0 and not (tmp_path / "trials").exists()


def test_sizes_of_another_model_are_refused(regression, waves, tmp_path):
    with pytest.raises(TypeError, match="num_layers are sizes of a MetaGPT"):
        search(regression, {"num_layers": [1]}, waves, tmp_path)
    with pytest.raises(TypeError, match="compiled MetaLearner, the name of a preset"):
        search(3, {"num_layers": [1]}, waves, tmp_path)


def test_options_that_nobody_reads_are_refused(regression, waves, tmp_path):
    for name, words in (("learning_rat", "Did you mean 'learning_rate'"), ("n_query", "Give n_query=… to search")):
        with pytest.raises(ValueError, match=words):
            search(regression, {"scope": ["all"]}, waves, tmp_path, "grid", options={name: 3}, **SIZES)


def test_another_search_in_the_same_folder_is_refused(regression, waves, tmp_path):
    search(regression, {"scope": ["all"]}, waves, tmp_path, "grid", **{**SIZES, "steps": 0, "rungs": 1})
    for space, tasks in (({"scope": ["head"]}, waves), ({"scope": ["all"]}, Sinusoid(phase=(0.0, 1.0)))):
        with pytest.raises(ValueError, match="holds another search"):
            search(regression, space, tasks, tmp_path, "grid", **{**SIZES, "steps": 0, "rungs": 1})
