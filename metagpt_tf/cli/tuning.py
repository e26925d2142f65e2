"""The verbs `tune` and `fuse`: their arguments, and a few lines over the library."""

import argparse
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

LEARNER = "learner: a .keras file written by train or quickstart, or a preset (name or directory)"


def add_tune(verb: argparse.ArgumentParser, positive: Any) -> None:
    """Arguments of `tune`, beside those of data and seed."""
    add = verb.add_argument
    add("--model", required=True, help=LEARNER)
    add("--output", required=True, help="directory of the trials; goes on where it ended; learner.keras is the best")
    add("--method", choices=("random", "grid", "bayesian", "hyperband"), default="random", help="default random")
    add("--space", help='JSON, or a file of it: {"scope": ["all", "low_rank"], "learning_rate": {"low": …, "high": …}}')
    add("--trials", type=positive, default=8, help="at most so many (default 8)")
    add("--steps", type=positive, default=30, help="meta-training steps of a trial (default 30)")
    add("--rungs", type=positive, default=3, help="parts of them, each judged (default 3)")
    add("--judged-steps", type=positive, default=5, help="inner steps of a validation task (default 5)")
    add("--meta-batch-size", type=positive, default=4, help="tasks in a step (default 4)")
    add("--n-query", type=positive, default=8, help="query examples of a task (default 8)")
    add("--validation-batches", type=positive, default=4, help="meta-batches of validation tasks (default 4)")


def add_fuse(verb: argparse.ArgumentParser, positive: Any) -> None:
    """Arguments of `fuse`, beside those of data and seed."""
    add = verb.add_argument
    add("--members", nargs="+", required=True, help="at least two learners: .keras files, or presets")
    add("--how", default="weighted", help="weighted (default), soft_vote, hard_vote, stacking, soup or greedy_soup")
    add("--weights", default="equal", help="of weighted: equal (default), validation, learned, or numbers: 0.7,0.3")
    add("--steps", type=positive, help="inner steps of a validation task (default: the members')")
    add("--n-query", type=positive, default=8, help="query examples of a task (default 8)")
    add("--validation-batches", type=positive, default=4, help="meta-batches of validation tasks (default 4)")
    add("--output", required=True, help="fused learner to write, a .keras file")


def tuned_learner(learner: Any, arguments: Namespace) -> Any:
    """Run `tune_model` as the command line says, and keep the best learner.

    Raises:
        ValueError: a space that is none.
    """
    from metagpt_tf.applications.optimization import tune_model
    from metagpt_tf.cli.progress import Stages
    from metagpt_tf.files import written_aside

    names = ("method", "trials", "steps", "rungs", "judged_steps", "meta_batch_size", "k_shot", "n_query")
    options = {name: getattr(arguments, name) for name in (*names, "validation_batches", "seed")}
    with Stages("reading data") as stages:
        tasks = _data(learner, arguments)["tasks"]
        stages.report("searching")
        done = tune_model(learner, tasks, arguments.output, _space(arguments.space), **options)
        with written_aside(Path(arguments.output) / "learner.keras") as aside:
            done.learner.save(aside)
    return done


def fused_learner(arguments: Namespace) -> tuple[Any, dict[str, float]]:
    """Fuse the members, keep the file, and measure them and it on validation tasks.

    Returns:
        The fused learner, and the loss of each after adaptation.
    """
    from metagpt_tf.cli.progress import Stages
    from metagpt_tf.files import written_aside
    from metagpt_tf.meta import AdaptationCurve
    from metagpt_tf.saving import load_learner
    from metagpt_tf.tuning import fuse

    weights = _weights(arguments.weights)
    members = [load_learner(name) for name in arguments.members]
    with Stages("reading data") as stages:
        data = _data(members[0], arguments)
        split = data["tasks"].split("meta_validation")
        validation = split.as_dataset(
            4, arguments.k_shot, arguments.n_query, seed=arguments.seed, num_batches=arguments.validation_batches
        )
        stages.report("fusing")
        fused = fuse(members, arguments.how, weights, validation, arguments.steps)
        stages.report("measuring")
        steps = members[0].algorithm.inner_steps if arguments.steps is None else arguments.steps
        names = [*arguments.members, arguments.how]
        losses = {
            f"{index} {name}": float(AdaptationCurve(one, (steps,))(validation).mean())
            for index, (name, one) in enumerate(zip(names, (*members, fused), strict=True))
        }
        with written_aside(Path(arguments.output)) as aside:
            fused.save(aside)
    return fused, losses


def _weights(given: str) -> str | list[float]:
    """A name, or numbers with commas between them."""
    try:
        return [float(part) for part in given.split(",")]
    except ValueError:
        return given  # a name, which fuse knows or refuses


def _data(learner: Any, arguments: Namespace) -> dict[str, Any]:
    from metagpt_tf.cli.apps import episodes_of

    model = learner.model
    lengths = {"source_length": model.source_length, "target_length": model.target_length}
    return episodes_of(arguments, model.tokenizer, {"train": 1}, **lengths)


def _space(given: str | None) -> Any:
    from metagpt_tf.tuning import Space

    if given is None:
        return None
    text = Path(given).read_text() if Path(given).is_file() else given
    return Space.from_json(text)


def rows_for_json(done: Any) -> dict[str, Any]:
    """What `tune --json` writes."""
    figures = {"values": done.values, "before": done.before, "after": done.after, "trials": done.result.rows}
    return json.loads(json.dumps(figures), parse_constant=lambda _: None)
