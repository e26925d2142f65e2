"""The verb `compress`: a learner in, a smaller file that still learns out."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from metagpt_tf.applications.optimization import Optimized, optimize_model
from metagpt_tf.cli.apps import episodes_of
from metagpt_tf.cli.progress import Stages
from metagpt_tf.compression import CompressionRecipe
from metagpt_tf.compression.recipes import standard_recipes
from metagpt_tf.meta import MetaLearner
from metagpt_tf.registry import closest

DEFAULT_TARGET = {"size": 0.3, "loss": 1.01}


def compress_learner(learner: MetaLearner, arguments: Namespace) -> Optimized:
    """Run `optimize_model` as the command line says.

    Raises:
        ValueError: an unknown recipe.
    """
    model: Any = learner.model
    recipe = recipe_of(arguments.recipe, arguments.steps, arguments.plain_steps) if arguments.recipe else None
    shares = {name: getattr(arguments, name) for name in ("size", "packed", "latency", "loss")}
    target = {name: share for name, share in shares.items() if share is not None}
    lengths = {"source_length": model.source_length, "target_length": model.target_length}
    arguments.n_query = arguments.k_shot  # a file measures as many examples as it adapts to
    with Stages("reading data") as stages:
        data = episodes_of(arguments, model.tokenizer, {"test": arguments.batches}, **lengths)
        stages.report("compressing and measuring")
        return optimize_model(
            learner,
            data["train"],
            data["test"],
            target or DEFAULT_TARGET,
            arguments.output,
            recipe,
            arguments.steps,
            arguments.plain_steps,
        )


def recipe_of(name: str, steps: int, plain_steps: int = 0) -> CompressionRecipe:
    """A standard recipe by name, or one of a JSON file.

    Raises:
        ValueError: neither; the message suggests the closest name.
    """
    standard = dict(standard_recipes(steps, plain_steps=plain_steps))
    if name in standard:
        return standard[name]
    if Path(name).is_file():
        return CompressionRecipe.from_json(Path(name).read_text())
    raise ValueError(f"There is no recipe {name!r}. {closest(name, standard)} A JSON file of steps also does.")
