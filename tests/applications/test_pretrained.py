"""A preset made of trainings says what it is worth, and anyone can measure it again."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from metagpt_tf.applications import pretrained
from metagpt_tf.applications.intervals import interval_95
from metagpt_tf.applications.pretrained import assemble, keep_figures, measure_preset, tasks_of, twin_of
from metagpt_tf.applications.pretraining import pretrain
from metagpt_tf.applications.recipe import Recipe
from metagpt_tf.cli.main import main
from metagpt_tf.models import MetaGPT
from metagpt_tf.presets import PRETRAINED, Preset, pretrained_names
from metagpt_tf.saving import load_learner, load_model

from .recipes import TOY

FASTER = {"warm_dtype": "mixed_bfloat16", "size_exponent": 0.5, "second_warm_steps": 1}
RECIPE = dataclasses.replace(TOY, warm_steps=2, meta_steps=2, parts=1, judged_episodes=2, new_tasks=True, **FASTER)


@pytest.fixture(scope="module")
def preset(tmp_path_factory: Any) -> Path:
    folder = tmp_path_factory.mktemp("pretrained")
    for letter in "abcdefghij":  # a task each
        (folder / "texts").mkdir(exist_ok=True)
        (folder / "texts" / f"{letter}.txt").write_text(f"{letter}{letter} {letter} " * 40)
    origin = {"app": "language", "load": {"path": str(folder / "texts")}, "preprocess": {"task": "generation"}}
    seeds = [folder / "seed_0", folder / "seed_1"]
    for seed, place in enumerate(seeds):
        place.mkdir()
        recipe = dataclasses.replace(RECIPE, seed=seed)
        later = tasks_of(origin, recipe, "meta_training")
        keep_figures(place, pretrain(recipe, tasks_of(origin, recipe), place, later=later))
        assert load_model(place / "second_warm.keras").optimizer.iterations.numpy() == 1
    about = {"origin": origin, "data": "letters", "licence": "none", "limits": "a toy"}
    assemble(folder / "toy", seeds, about)
    return folder / "toy"


def test_a_card_has_means_with_intervals_over_seeds(preset: Path) -> None:
    card = json.loads((preset / "card.json").read_text())
    for name in ("before", "after", "twin_after", "twin_time_after"):
        assert card[name]["low"] <= card[name]["mean"] <= card[name]["high"]
        assert card[name] == pytest.approx(interval_95(card["per_seed"][name])._asdict(), rel=1e-3)
    assert card["seeds"] == [0, 1]
    assert card["k"] == 2 and 0 <= card["steps"] <= 2
    assert card["data"] == "letters" and card["licence"] == "none" and card["seconds"] >= 0


def test_measuring_a_preset_again_gives_the_figures_of_its_seed(preset: Path) -> None:
    figures = measure_preset(preset)
    card = Preset(preset).card
    assert figures["difference"] < 5e-3  # weights are kept in half precision
    for name in ("before", "after", "twin_before", "twin_after"):
        assert figures[name]["mean"] == pytest.approx(card["per_seed"][name][0], abs=5e-3)


def test_the_learner_has_the_rates_that_were_best_in_validation(preset: Path) -> None:
    chosen = Preset(preset).card["chosen"][0]
    learner: Any = load_learner(preset)
    rates = learner.algorithm.log_rate.numpy()
    assert rates.shape[0] == 1
    assert chosen["meta"]["rate_multiplier"] in (0.1, 0.3, 1.0, 3.0, 10.0)
    assert twin_of(Preset(preset)).algorithm.inner_learning_rate == pytest.approx(
        RECIPE.inner_learning_rate * chosen["twin"]["rate_multiplier"]
    )


def test_the_command_measures_a_preset_and_writes_what_it_found(preset: Path, tmp_path: Path) -> None:
    assert main(["evaluate", "--preset", str(preset), "--json", str(tmp_path / "f.json")]) == 0
    figures = json.loads((tmp_path / "f.json").read_text())
    assert {"before", "after", "twin_after", "card"} <= set(figures)


def test_a_preset_without_a_recipe_says_so(tmp_path: Path) -> None:
    MetaGPT(source_length=8, target_length=8, dim=8, num_heads=2, num_layers=1).save_to_preset(tmp_path / "p")
    with pytest.raises(ValueError, match="names no recipe"):
        measure_preset(tmp_path / "p")


def test_interval_of_seeds() -> None:
    assert interval_95([1.0, 2.0, 3.0]) == pytest.approx((2.0, 2.0 - 4.303 / 3**0.5, 2.0 + 4.303 / 3**0.5))
    assert interval_95([5.0]) == (5.0, 5.0, 5.0)
    with pytest.raises(ValueError, match="at least one"):
        interval_95([])


@pytest.mark.parametrize("name", pretrained_names())
def test_presets_of_the_package_say_what_they_are(name: str) -> None:
    found = Preset(PRETRAINED / name)
    for key in ("before", "after", "twin_after", "k", "steps", "seeds", "data", "licence", "limits", "seconds"):
        assert key in found.card


@pytest.mark.parametrize("name", pretrained_names())
def test_presets_of_the_package_are_of_three_seeds(name: str) -> None:
    assert len(Preset(PRETRAINED / name).card["seeds"]) >= 3


def test_a_use_has_its_own_data(monkeypatch):
    asked = []

    def preprocess(data, **options):
        asked.append((data, options["task"], options["source_length"]))
        return {"tasks": None}

    monkeypatch.setitem(pretrained.VERBS, "code", (lambda **options: options, preprocess))
    plain = {"app": "code", "load": {"a": 1}, "preprocess": {"task": "body"}}
    fuller = {**plain, "load_for_training": {"a": 2}, "preprocess_for_training": {"task": "middle", "source_length": 9}}
    fullest = {**fuller, "preprocess_for_meta_training": {"task": "repair"}}
    for origin in (plain, fuller, fullest):
        for use in ("judging", "training", "meta_training"):
            tasks_of(origin, Recipe(source_length=5), use)
    first, second = ({"a": 1}, "body", 5), ({"a": 2}, "middle", 9)
    assert asked == [*[first] * 3, first, second, second, first, second, ({"a": 2}, "repair", 5)]
    with pytest.raises(KeyError):
        tasks_of(plain, Recipe(), "serving")
