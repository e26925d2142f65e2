"""Several replicas and several machines: what would go wrong in silence is refused, what Keras leaves open is closed.

`MetaLearner` is used as ever, made and compiled inside `strategy.scope()`; nothing here has to be called except
`backup_and_restore`. How to start a cluster, and what equals what: `docs/scaling.md`.

Axes: M meta-batch.
"""

import os
import sys
from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.meta.episodes import Fields

CLIPPING = ("clipnorm", "global_clipnorm", "clipvalue")
CLIPS = (
    "would clip the gradients of each of the {replicas} replicas before they are summed, which is another update than "
    "on one replica. Leave it out, or train on one replica."
)
FAILING = ("gradient_accumulation_steps", "ema_overwrite_frequency")
FAILS = (
    "fails under {replicas} replicas: Keras writes variables inside a condition there. Leave it out; for a larger "
    "meta-batch give more tasks, with task_parallelism='sequential' if memory is short."
)


def check_replicas(
    strategy: Any, optimizer: Any, steps_per_execution: int, algorithm: Any = None, spec: Fields | None = None
) -> None:
    """Refuse what is wrong, or fails far from its cause, where several replicas share a meta-batch.

    Args:
        strategy: the learner's `tf.distribute.Strategy`; with one replica everything is allowed.
        optimizer: the outer loop's.
        steps_per_execution: as given to `compile`.
        algorithm: the learner's.
        spec: element specs of the episodes, to see whether each replica gets as many tasks.

    Raises:
        ValueError: gradient clipping, accumulation, an overwriting average, several steps an execution, Reptile's
            moving average, or a meta-batch that the replicas cannot share evenly.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return
    _check_optimizer(getattr(optimizer, "inner_optimizer", optimizer), replicas)
    if steps_per_execution not in (None, 1):
        raise ValueError(
            f"steps_per_execution={steps_per_execution} fails under {replicas} replicas: gradients cannot be "
            "merged inside the loop it makes. Leave it out of compile."
        )
    if getattr(algorithm, "moving_average", None) is not None:
        raise ValueError(
            f"moving_average={algorithm.moving_average} would average the gradients of each of the {replicas} replicas "
            "by itself. Use keras.optimizers.SGD(momentum=…) with moving_average=None, or train on one replica."
        )
    if spec is not None:
        _check_share(spec, replicas)


def mean_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """Mean of `value` over the replicas, for running statistics: Keras would leave each replica with its own."""
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return value
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, value)


def per_worker_logs(logs: dict[str, Any]) -> dict[str, Any]:
    """Logs of a step, in the form that Keras can average over workers.

    Between machines Keras takes the mean over axis 0 of what a step returns, and scalars have none.
    """
    if not between_workers(tf.distribute.get_strategy()):
        return logs
    return {name: tf.reshape(value, [1]) for name, value in logs.items()}


def between_workers(strategy: Any) -> bool:
    """Whether `strategy` joins several processes by `TF_CONFIG`."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return False
    return sum(map(len, _cluster(strategy).values())) > 1


def is_chief(strategy: Any) -> bool:
    """Whether this process writes the files that all workers share: the chief, or worker 0 where there is none."""
    if not between_workers(strategy):
        return True
    here = strategy.cluster_resolver
    return here.task_type == "chief" or ("chief" not in _cluster(strategy) and here.task_id == 0)


def backup_and_restore(
    directory: str | os.PathLike, strategy: Any = None, save_freq: str | int = "epoch", **options: Any
) -> keras.callbacks.BackupAndRestore:
    """Keras's own `BackupAndRestore` for one directory that all workers see: the chief writes it, everyone reads it.

    Use it instead of giving each worker a directory of its own: a worker killed between two backups would come back in
    another epoch than the rest, and all would wait for each other.

    Args:
        directory: on a file system that all workers share.
        strategy: the learner's strategy; `None` for the present one.
        save_freq: `"epoch"` or a number of batches.
        **options: as in `keras.callbacks.BackupAndRestore`.

    Returns:
        A callback for `fit`.

    Example:

    >>> backup_and_restore("backup").save_freq
    'epoch'
    """
    chief = is_chief(tf.distribute.get_strategy() if strategy is None else strategy)
    if not chief:
        save_freq, options = sys.maxsize, {**options, "delete_checkpoint": False}
    return keras.callbacks.BackupAndRestore(str(directory), save_freq=save_freq, **options)


def _cluster(strategy: Any) -> dict[str, Any]:
    resolver = strategy.cluster_resolver
    return resolver.cluster_spec().as_dict() if resolver is not None else {}


def _check_optimizer(optimizer: Any, replicas: int) -> None:
    for names, harm in ((CLIPPING, CLIPS), (FAILING, FAILS)):
        for name in names:
            value = getattr(optimizer, name, None)
            if value is not None:
                raise ValueError(f"{name}={value} {harm.format(replicas=replicas)}")


def _check_share(spec: Fields, replicas: int) -> None:
    """Refuse a meta-batch whose tasks would count differently on different replicas."""
    sizes = {s.shape[0] for s in tf.nest.flatten(tuple(spec)) if s.shape.rank}
    if None in sizes:
        raise ValueError(
            f"The number of tasks M in a meta-batch is not fixed, and {replicas} replicas must share it evenly. Batch "
            "with drop_remainder=True."
        )
    uneven = [size for size in sizes if size % replicas]
    if uneven:
        raise ValueError(
            f"A meta-batch of M = {uneven[0]} tasks cannot be shared evenly by {replicas} replicas: tasks would count "
            f"differently. Use a multiple of {replicas}; M counts the tasks of all replicas together."
        )
