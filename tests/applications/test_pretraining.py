"""Pretraining: three trainings from one start, judged alike; a killed one goes on where it was."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metagpt_tf.applications import pretraining
from metagpt_tf.applications.pretraining import pretrain, trained_in_parts
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.saving import load_learner
from metagpt_tf.tasks import TextTasks
from metagpt_tf.tokenizers import BPETokenizer

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


def test_bits_per_byte_are_those_of_each_tasks_own_text() -> None:
    tokenizer = BPETokenizer([[100, 101]])  # a + b: one task has tokens of two bytes, the other of one
    texts = {"meta_test": {name: [(text, text)] * 4 for name, text in (("short", "cccc"), ("long", "abababab"))}}
    tasks = TextTasks.from_pairs(texts, tokenizer, 8, 8)
    learner = MetaLearner(MetaGPT(tokenizer, 8, 8, dim=8, num_heads=2, num_layers=1), "maml")
    episodes = tasks.split("meta_test").every_task(2, 2, 2)
    found = pretraining.in_bits(learner, episodes, np.full((2, 1), np.log(2.0)))
    np.testing.assert_allclose(sorted(found[:, 0]), [5 / 9, 5 / 5])  # four tokens and an end, of nine and five bytes
    found = pretraining.in_bits(learner, episodes, np.full((2, 1), np.log(2.0)), "code")
    np.testing.assert_allclose(found[:, 0], 5 / 4)  # an end is no code


def test_a_tokenizer_of_the_tasks_is_the_models(tmp_path: Path) -> None:
    tokenizer = BPETokenizer([[100, 101]])
    rows = {name: [(f"ab{name}", f"{i}ab") for i in range(6)] for name in "abcd"}
    splits = {"meta_train": "ab", "meta_validation": "c", "meta_test": "d"}
    tasks = TextTasks.from_pairs({s: {n: rows[n] for n in names} for s, names in splits.items()}, tokenizer, 8, 8)
    pretrain(dataclasses.replace(TOY, warm_steps=1, meta_steps=1, parts=1), tasks, tmp_path)
    learner: Any = load_learner(tmp_path / "learner.keras")
    assert learner.model.tokenizer.get_config() == tokenizer.get_config()


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
