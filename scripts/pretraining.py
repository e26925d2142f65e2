"""What the pretraining scripts share: the command line, one seed's training, and the preset made of all seeds."""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from metagpt_tf.applications.pretrained import assemble, keep_figures, tasks_of
from metagpt_tf.applications.pretraining import pretrain
from metagpt_tf.applications.recipe import Recipe
from metagpt_tf.presets import PRETRAINED

META = {"load_for_meta_training", "preprocess_for_meta_training"}


def run(
    name: str,
    recipe_of: Any,
    about: Mapping[str, Any],
    description: str | None,
    finish: Callable[[list[Path]], None] | None = None,
) -> None:
    """Read the command line and do what it says.

    Args:
        name: of the preset.
        recipe_of: seed to `Recipe`.
        about: the words of the card, and where its tasks come from.
        description: of the script.
        finish: does what is left once the preset is made; told the folders of the seeds.
    """
    options = _parse(description)
    folders = [options.folder / name / f"seed_{seed}" for seed in options.seeds]
    if options.finish:
        card = assemble(PRETRAINED / name, folders, {"name": name, **about})
        print(f"{name}: {card['before']} -> {card['after']}, twin {card['twin_after']}")
        if finish is not None:
            finish(folders)
        return
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    for seed, folder in zip(options.seeds, folders, strict=True):
        _one_seed(recipe_of(seed), folder, about["origin"])


def _one_seed(recipe: Recipe, folder: Path, origin: Mapping[str, Any]) -> None:
    began = time.perf_counter()

    def report(message: str) -> None:
        print(f"{time.perf_counter() - began:6.0f} s  seed {recipe.seed}: {message}", flush=True)

    folder.mkdir(parents=True, exist_ok=True)
    tasks = tasks_of(origin, recipe, "training")
    judged_on = tasks_of(origin, recipe, tokenizer=tasks.tokenizer)
    later = tasks_of(origin, recipe, "meta_training", tasks.tokenizer) if META & set(origin) else None
    figures = pretrain(recipe, tasks, folder, report, judged_on, later)
    keep_figures(folder, figures)
    report(", ".join(f"{name} {value:.4f}" for name, value in figures.items() if isinstance(value, float)))


def _parse(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds to train, or to make the preset of")
    add(
        "--folder", type=Path, default=Path("pretraining"), help="where trainings are kept; what is there is not redone"
    )
    add("--threads", type=int, default=1, help="threads of TensorFlow")
    add("--finish", action="store_true", help="make the preset of trainings that are done")
    return parser.parse_args(sys.argv[1:])
