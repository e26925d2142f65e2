"""The training that follows each step of a compression, plain first if asked for, resumable."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.compression.keep_zeros import KeepZeros
from metagpt_tf.files import written_aside
from metagpt_tf.kept_zeros import is_prunable
from metagpt_tf.meta import MetaLearner
from metagpt_tf.tasks import pooled_examples

LONGEST_EPOCH, SHORTEST_EPOCH = 25, 5
PLAIN_RATE = 1e-3


def recover(
    model: keras.Model,
    data: tf.data.Dataset,
    steps: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    backup: str | os.PathLike | None = None,
    verbose: Any = 0,
    plain_steps: int = 0,
) -> None:
    """Train a compiled model or learner for so many steps.

    Args:
        model: what is trained.
        data: what its `fit` takes; repeated if there is less.
        steps: training steps; `None` for one pass through finite data, 0 for none after plain ones.
        callbacks: of `fit`; they begin after what was interrupted has been restored.
        backup: directory that makes the training resumable: it runs in epochs of 5 to 25 steps, the longest that divide
            it (else in one), and goes on after the last whole one, with the data from their beginning.
        verbose: as in `fit`.
        plain_steps: of a learner: steps of plain training on the examples of the same episodes that come first. One
            costs a tenth of a second-order meta-step; for tasks whose examples do not contradict each other (texts,
            code), not for those that do (sinusoids, permuted labels). Their optimizer is Adam from a rate of 1e-3 that
            falls to 0, whatever the learner's is.

    Raises:
        ValueError: `steps` below 1, or `None` with data that are endless or of unknown length; plain steps of a model,
            which has no others.
    """
    count = meta_steps(data, steps, plain_steps)
    if plain_steps:
        _train_plainly(model, data, plain_steps, callbacks, backup, verbose)
    if not count:
        if backup is not None:  # as BackupAndRestore does at the end of a training
            shutil.rmtree(backup, ignore_errors=True)
        return
    restored = [] if backup is None else [keras.callbacks.BackupAndRestore(str(backup))]
    longest = LONGEST_EPOCH if restored else count
    lengths = [n for n in range(min(longest, count), SHORTEST_EPOCH - 1, -1) if count % n == 0]
    length = lengths[0] if lengths else count
    model.fit(
        data.repeat(),
        steps_per_epoch=length,
        epochs=count // length,
        shuffle=False,
        verbose=verbose,
        callbacks=[*restored, *callbacks],
    )


def _train_plainly(
    learner: Any,
    episodes: tf.data.Dataset,
    steps: int,
    callbacks: Sequence[keras.callbacks.Callback],
    backup: str | os.PathLike | None,
    verbose: Any,
) -> None:
    """Give a learner's model the weights of a model of its own that was trained on the pooled examples."""
    if not isinstance(learner, MetaLearner) or steps < 0:
        raise ValueError(
            f"plain_steps counts steps of plain training before a learner's meta-steps; received {steps} for a "
            f"{type(learner).__name__}."
        )
    done = None if backup is None else Path(backup) / "plain" / "done.weights.h5"
    if done is not None and done.exists():
        learner.model.load_weights(done)
        return
    model = type(learner.model).from_config(learner.model.get_config())
    model.set_weights(learner.model.get_weights())
    rate = keras.optimizers.schedules.CosineDecay(PLAIN_RATE, steps)
    model.compile(keras.optimizers.Adam(rate, clipnorm=1.0), learner._given_loss, metrics=[])
    place = None if backup is None else Path(backup) / "plain" / "steps"
    keeps = learner.keep_zeros and any(map(is_prunable, model.trainable_variables))
    recover(model, pooled_examples(episodes), steps, [*([KeepZeros()] if keeps else []), *callbacks], place, verbose)
    learner.model.set_weights(model.get_weights())
    if done is not None:
        done.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(done) as aside:
            model.save_weights(aside)


def meta_steps(data: tf.data.Dataset, steps: int | None, plain_steps: int = 0) -> int:
    """`number_of_steps`; after plain steps none are a number too."""
    return 0 if plain_steps and steps == 0 else number_of_steps(data, steps)


def number_of_steps(data: tf.data.Dataset, steps: int | None) -> int:
    """The steps that were asked for, or those of one pass through the data.

    Raises:
        ValueError: see `recover`.
    """
    count = int(data.cardinality()) if steps is None else steps
    if steps is None and count < 0:
        raise ValueError("The data are endless, or of unknown length: say how long to train, steps=….")
    if count < 1:
        given = "data that are empty" if steps is None else f"steps={steps}"
        raise ValueError(f"Training takes at least one step, received {given}.")
    return count
