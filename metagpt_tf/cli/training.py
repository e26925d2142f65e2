"""Warm start and meta-training for `metagpt-tf train`."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import keras

from metagpt_tf.applications.comparison import annealed_adam
from metagpt_tf.cli.apps import APPS, episodes_of
from metagpt_tf.meta import MetaLearner, get
from metagpt_tf.presets import Preset, find_preset
from metagpt_tf.tasks import pooled_examples

LOGS_PER_FIT = 10

# Algorithms that are defined by what they adapt.
OWN_SCOPE = ("anil", "cavia")


def train_learner(arguments: Namespace) -> tuple[MetaLearner, dict[str, Any]]:
    """The learner and its figures on meta-validation tasks. With `--backup`, a killed run goes on where it was."""
    app = APPS[arguments.app]
    task = arguments.task or app.task
    tokenizer, sizes = _format(arguments)
    batches = {"train": arguments.warm_steps + arguments.steps}
    data = episodes_of(arguments, tokenizer, batches, meta_batch_size=arguments.meta_batch_size, **sizes)
    scope = {"scope": arguments.scope or "low_rank"}
    if arguments.scope is None and arguments.algorithm in OWN_SCOPE:
        scope = {}
    algorithm = get(
        arguments.algorithm,
        inner_steps=arguments.inner_steps,
        inner_learning_rate=arguments.inner_learning_rate,
        **scope,
    )
    learner = app.define(arguments.preset, algorithm, tokenizer=data["tasks"].tokenizer, **sizes)
    episodes = data["train"]
    if arguments.warm_steps:
        learner.model.compile(annealed_adam(2e-3, arguments.warm_steps))
        _fit(learner.model, pooled_examples(episodes), arguments.warm_steps, _backup(arguments, "warm"))
    learner.compile(annealed_adam(arguments.learning_rate, arguments.steps))
    _fit(learner, episodes.skip(arguments.warm_steps), arguments.steps, _backup(arguments, "meta"))
    figures = app.evaluate(learner, data["validation"], task, 0)
    return learner, {**figures, "algorithm": arguments.algorithm, "plan": _plan(arguments, learner)}


def _format(arguments: Namespace) -> tuple[Any, dict[str, int]]:
    """Tokenizer and lengths: as asked for, else those of a trained model that is to go on, else the application's."""
    tokenizer, length = arguments.tokenizer, arguments.length
    directory = find_preset(arguments.preset)
    own = {} if directory is None else Preset(directory).description("model")["config"]
    if length is not None and arguments.app == "image":  # what is written is as long as an image has codes
        sizes = {"source_length": length}
    elif length is not None:
        sizes = {"source_length": length, "target_length": length}
    else:
        sizes = {name: own[name] for name in ("source_length", "target_length") if own}
    return (own.get("tokenizer") if tokenizer is None else tokenizer), sizes


def _fit(model: keras.Model, dataset: Any, steps: int, callbacks: list[Any]) -> None:
    """`steps` optimizer steps in a few epochs, so that there is something to log and to resume from."""
    epochs = min(LOGS_PER_FIT, steps)
    per_epoch = steps // epochs
    model.fit(dataset.take(per_epoch * epochs).repeat(), steps_per_epoch=per_epoch, epochs=epochs, callbacks=callbacks)


def _backup(arguments: Namespace, part: str) -> list[Any]:
    if not arguments.backup:
        return []
    return [keras.callbacks.BackupAndRestore(str(Path(arguments.backup) / part), delete_checkpoint=False)]


def _plan(arguments: Namespace, learner: MetaLearner) -> dict[str, Any]:
    model: Any = learner.model
    names = "app task preset scope inner_steps inner_learning_rate learning_rate warm_steps steps"
    sizes = "meta_batch_size k_shot n_query seed"
    return {
        **{name: getattr(arguments, name) for name in (*names.split(), *sizes.split())},
        "tokenizer": f"{type(model.tokenizer).__name__} of {model.tokenizer.vocabulary_size}",
        "source_length": model.source_length,
        "target_length": model.target_length,
    }
