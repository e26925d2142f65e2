"""The training that follows each step of a compression, resumable."""

import os
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

LONGEST_EPOCH, SHORTEST_EPOCH = 25, 5


def recover(
    model: keras.Model,
    data: tf.data.Dataset,
    steps: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    backup: str | os.PathLike | None = None,
    verbose: Any = 0,
) -> Any:
    """Train a compiled model or learner for so many steps.

    Args:
        model: what is trained.
        data: what its `fit` takes; repeated if there is less.
        steps: training steps; `None` for one pass through finite data.
        callbacks: of `fit`; they begin after what was interrupted has been restored.
        backup: directory that makes the training resumable: it runs in epochs of 5 to 25 steps, the longest that divide
            it (else in one), and goes on after the last whole one, with the data from their beginning.
        verbose: as in `fit`.

    Returns:
        A `keras.callbacks.History`.

    Raises:
        ValueError: `steps` below 1, or `None` with data that are endless or of unknown length.
    """
    count = number_of_steps(data, steps)
    restored = [] if backup is None else [keras.callbacks.BackupAndRestore(str(backup))]
    longest = LONGEST_EPOCH if restored else count
    lengths = [n for n in range(min(longest, count), SHORTEST_EPOCH - 1, -1) if count % n == 0]
    length = lengths[0] if lengths else count
    return model.fit(
        data.repeat(),
        steps_per_epoch=length,
        epochs=count // length,
        shuffle=False,
        verbose=verbose,
        callbacks=[*restored, *callbacks],
    )


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
