"""What TensorBoard's HParams page shows of a search: a row a trial, its values and its scores."""

import math
from pathlib import Path
from typing import Any

import tensorflow as tf

from metagpt_tf.tuning.trials import Progress


def write_hparams(folder: Path, key: str, metric: str, progress: Progress) -> None:
    """Write a rung of a trial under `folder/key`; `tensorboard --logdir folder` shows all of them.

    Args:
        folder: of the logs.
        key: the trial's name.
        metric: what was minimised.
        progress: of the trial.

    Example:

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_hparams(folder, "a", "loss", Progress({"scope": "all"}, 0, [1.5], {"loss": 1.5, "pre_loss": 2.0}))
    >>> len(list((folder / "a").iterdir()))
    1
    """
    from tensorboard.plugins.hparams import api

    rung = len(progress.scores)
    writer = tf.summary.create_file_writer(str(folder / key), filename_suffix=f".rung{rung}")
    with writer.as_default():
        if rung == 1:
            values: dict[str, Any] = dict(progress.values)
            api.hparams(values, trial_id=key)
        logged = {**progress.logs, metric: progress.score, "gradient_evaluations": progress.gradient_evaluations}
        for name, value in logged.items():
            if math.isfinite(value):
                tf.summary.scalar(name, value, step=rung)
    writer.close()
