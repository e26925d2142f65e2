"""Presets with figures: put together from the trainings of a few seeds, and measured again by anyone who doubts them.

A preset holds the learner of its first seed and, as the part "twin", the plainly trained model it is judged against.
"""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from metagpt_tf.applications import code, image, language
from metagpt_tf.applications.image_drawings import draw_held_out, judge_drawings
from metagpt_tf.applications.intervals import interval_95
from metagpt_tf.applications.pretraining import in_bits
from metagpt_tf.applications.recipe import Recipe
from metagpt_tf.files import written_aside
from metagpt_tf.meta import MAML, AdaptationCurve, MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.presets import Preset, find_preset, save_preset
from metagpt_tf.saving import load_learner, load_model
from metagpt_tf.tasks import TextTasks
from metagpt_tf.tokenizers import Tokenizer

FIGURES = "figures.json"
JUDGED = ("before", "after", "twin_before", "twin_after", "twin_time_before", "twin_time_after")
VERBS: dict[str, tuple[Callable[..., Any], Callable[..., dict[str, Any]]]] = {
    "language": (language.load_data, language.preprocess_data),
    "code": (code.load_code_data, code.preprocess_code_data),
    "image": (image.load_image_data, image.preprocess_images),
}


def tasks_of(
    origin: Mapping[str, Any], recipe: Recipe, use: str = "judging", tokenizer: Tokenizer | None = None
) -> TextTasks:
    """The tasks that a preset is judged on, or trained on.

    Args:
        origin: `{"app": "language" | "code" | "image", "load": options of load_data, "preprocess": options of
            preprocess_data}`; `"load_for_training"` and `"preprocess_for_training"`, if they are there, have the
            options for training: more data, and the same held out; those `"…_for_meta_training"` have what only the
            meta-training and the twins see.
        recipe: its lengths and the shape of its episodes are used.
        use: `"judging"`, `"training"` or `"meta_training"`.
        tokenizer: that of a model that is trained already; `None` for what `origin` says, bytes if it says nothing.
    """
    load, preprocess = VERBS[origin["app"]]
    load_options, options = (_options(origin, step, use) for step in ("load", "preprocess"))
    names = ("source_length", "target_length", "meta_batch_size", "k_shot", "n_query")
    sizes = {name: getattr(recipe, name) for name in names}
    own = {} if tokenizer is None else {"tokenizer": tokenizer}
    return preprocess(load(**load_options), **{"tokenizer": "bytes", **sizes, **options, **own})["tasks"]


def _options(origin: Mapping[str, Any], step: str, use: str) -> dict[str, Any]:
    """Those of that use, else those of training, else those of judging."""
    wanted = {"judging": [], "training": ["training"], "meta_training": ["meta_training", "training"]}[use]
    found = [origin[f"{step}_for_{name}"] for name in wanted if f"{step}_for_{name}" in origin]
    return (found or [origin[step]])[0]


def keep_figures(folder: Path, figures: Mapping[str, Any]) -> None:
    """Write what `pretrain` returned beside the models it is of."""
    with written_aside(folder / FIGURES) as aside:
        aside.write_text(json.dumps(figures, indent=1) + "\n")


def assemble(directory: str | os.PathLike, folders: Sequence[Path], about: Mapping[str, Any]) -> dict[str, Any]:
    """Make a preset of the trainings of several seeds; the first is the one that is kept.

    The multipliers of the inner rates that were best in validation become part of the learned rates.

    Args:
        directory: to make.
        folders: of `pretrain`, one a seed, each with its figures (`keep_figures`).
        about: what the card says besides: `data`, `licence`, `limits`, and `origin` (see `tasks_of`).

    Returns:
        The card.

    Raises:
        FileNotFoundError: a training that is not there.
        FileExistsError: something is in the directory.
    """
    found = [json.loads((folder / FIGURES).read_text()) for folder in folders]
    card = {**about, **card_figures(found)}
    learner: Any = load_model(folders[0] / "learner.keras")
    learner.algorithm.scale_rates(found[0]["chosen"]["meta"]["rate_multiplier"])
    parts = {"model": learner.model, "algorithm": learner.algorithm, "twin": load_model(folders[0] / "twin.keras")}
    save_preset(directory, parts, card, dtype="float16")
    return card


def card_figures(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of a card: means over seeds with 95 % intervals, each seed's own, and what they were made with."""
    first = found[0]
    recipe, chosen = first["recipe"], first["chosen"]
    return {
        "unit": f"bits per {recipe.get('unit', 'byte')}",
        **{name: interval_95([f[name] for f in found])._asdict() for name in JUDGED},
        "lower_by_percent": interval_95([100 * (1 - f["after"] / f["before"]) for f in found])._asdict(),
        "per_seed": {name: [round(f[name], 5) for f in found] for name in JUDGED},
        "k": recipe["k_shot"],
        "steps": chosen["meta"]["steps"],
        "seeds": [f["recipe"]["seed"] for f in found],
        "seconds": round(sum(sum(f["seconds"].values()) for f in found)),
        "seconds_of_trainings": [f["seconds"] for f in found],
        "plain_and_meta_steps": [f["steps"] for f in found],
        "chosen": [f["chosen"] for f in found],
        "twin": {
            "inner_learning_rate": recipe["inner_learning_rate"] * chosen["twin"]["rate_multiplier"],
            "steps": chosen["twin"]["steps"],
        },
        "recipe": recipe,
    }


def measure_preset(name: str | os.PathLike) -> dict[str, Any]:
    """Measure a preset on every held-out task of its card, with the steps and rates that the card names.

    Args:
        name: of a preset that comes with the package, or a directory that `assemble` made.

    Returns:
        `before`, `after`, `twin_before` and `twin_after` in the unit of the card, each `{"mean", "low", "high"}` over
        episodes of held-out tasks; `card`, the same figures over the seeds of the card; `seed`, which of them is here,
        `unit`, that of the card; and `difference`, the largest between what was measured now and the card's figure of
        that seed. Of a preset that draws also `drawings`, how they are judged, and `drawings_card`, that seed's.

    Raises:
        FileNotFoundError: no such preset.
        ValueError: a preset without figures, or one that was changed.
    """
    directory = find_preset(name)
    preset = Preset(name if directory is None else directory)
    card = preset.card
    if "recipe" not in card or "origin" not in card:
        raise ValueError(
            f"The card of the preset at {preset.directory} names no recipe and no data, so there is nothing to repeat. "
            "Measure it with evaluate_model(load_learner(…), episodes)."
        )
    recipe = Recipe(**card["recipe"])
    meta_trained: Any = load_learner(preset.directory)
    tasks = tasks_of(card["origin"], recipe, tokenizer=meta_trained.model.tokenizer)
    episodes = recipe.judged(tasks.split("meta_test"))
    found: dict[str, Any] = {}
    for prefix, learner, steps in (
        ("", meta_trained, card["steps"]),
        ("twin_", twin_of(preset), card["twin"]["steps"]),
    ):
        losses = AdaptationCurve(learner, tuple(range(max(steps, 1) + 1)))(episodes)
        bits = in_bits(learner, episodes, losses, recipe.unit)
        for when, column in (("before", 0), ("after", steps)):
            found[f"{prefix}{when}"] = _over_tasks(bits[:, column])
    differences = [abs(found[key]["mean"] - card["per_seed"][key][0]) for key in found]
    drawn = _drawn_again(card, meta_trained) if "drawings_per_seed" in card else {}
    return {
        **found,
        **drawn,
        "card": {key: card[key] for key in found},
        "seed": card["seeds"][0],
        "difference": max(differences),
        "unit": card["unit"],
        "k": card["k"],
        "steps": card["steps"],
    }


def _drawn_again(card: Mapping[str, Any], learner: MetaLearner) -> dict[str, Any]:
    """What a preset draws of the held-out styles and how it is judged, beside the card's figures of its seed."""
    images, texts = image.load_image_data(**card["origin"]["load"])
    now = judge_drawings(draw_held_out(learner, images["meta_test"], texts["meta_test"], card["k"], card["steps"]))
    return {"drawings": now, "drawings_card": {name: card["drawings_per_seed"][name][0] for name in now}}


def twin_of(preset: Preset) -> MetaLearner:
    """The plainly trained twin of a preset, with the rate that was best for it in validation."""
    card = preset.card
    recipe = Recipe(**card["recipe"])
    model = MetaGPT.from_config(preset.description("twin")["config"])
    preset.set_weights("twin", model)
    learner = MetaLearner(model, MAML(recipe.inner_steps, card["twin"]["inner_learning_rate"], scope=recipe.scope))
    learner.compile(keras.optimizers.Adam(1e-3, clipnorm=1.0))
    return learner


def _over_tasks(values: np.ndarray) -> dict[str, float]:
    mean, half = float(values.mean()), float(1.96 * values.std(ddof=1) / math.sqrt(len(values)))
    return {"mean": mean, "low": mean - half, "high": mean + half}
