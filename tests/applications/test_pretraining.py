"""Pretraining: three trainings from one start, judged alike; a killed one goes on where it was."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metagpt_tf.applications import pretraining
from metagpt_tf.applications.pretraining import pretrain, trained_in_parts
from metagpt_tf.saving import load_learner
from metagpt_tf.tasks import TextTasks

from .recipes import TOY


@pytest.fixture(scope="module")
def tasks() -> TextTasks:
    rows = {name: [(f"{name}{i}", f"{i}{name}") for i in range(6)] for name in "abcdef"}
    splits = {"meta_train": "abcd", "meta_validation": "e", "meta_test": "f"}
    return TextTasks.from_pairs({s: {n: rows[n] for n in names} for s, names in splits.items()}, "bytes", 8, 8)


def test_three_trainings_from_one_start_are_judged_and_kept(tasks: TextTasks, tmp_path: Path, monkeypatch: Any) -> None:
    told: list[str] = []
    figures = pretrain(TOY, tasks, tmp_path, told.append)
    for name in ("before", "after", "twin_before", "twin_after", "twin_time_before", "twin_time_after"):
        assert 0.0 < figures[name] < 20.0
    assert figures["after"] <= figures["before"] + 1.0
    assert figures["steps"] == {"warm": 4, "meta": 4, "twin": 4, "twin_time": figures["steps"]["twin_time"]}
    assert [line.split(",")[0] for line in told][:2] == ["warm start", "meta-training"]
    assert load_learner(tmp_path / "learner.keras").algorithm.inner_steps == 1

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(pretraining.MetaGPT, "fit", refuse)
    monkeypatch.setattr(pretraining.MetaLearner, "fit", refuse)
    again = pretrain(TOY, tasks, tmp_path)
    assert again["seconds"] == figures["seconds"]
    assert again["after"] == pytest.approx(figures["after"], rel=1e-5)


def test_equal_cost_counts_inner_steps_and_the_query() -> None:
    recipe = dataclasses.replace(TOY, meta_steps=10, inner_steps=3, k_shot=8, n_query=8)
    assert recipe.twin_steps(3) == 20  # 3 inner gradients and the query's, against one of support and query together
    assert dataclasses.replace(recipe, n_query=16).twin_steps(3) == round(10 * 5 / 3)


def test_a_killed_training_goes_on_with_the_next_part(tmp_path: Path) -> None:
    def fresh() -> Any:
        import keras

        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.Adam(0.1), "mse")
        return model

    def part(model: Any, index: int) -> None:
        x = np.arange(4, dtype="float32")[:, None] + index
        model.fit(x, 2 * x, batch_size=4, verbose=0)

    def killed(model: Any, index: int) -> None:
        if index == 2:
            raise KeyboardInterrupt
        part(model, index)

    whole = trained_in_parts(tmp_path / "whole.keras", fresh, part, 4).model.get_weights()
    with pytest.raises(KeyboardInterrupt):
        trained_in_parts(tmp_path / "killed.keras", fresh, killed, 4)
    resumed = trained_in_parts(tmp_path / "killed.keras", fresh, part, 4).model.get_weights()
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(one, other)
