"""Pruning by magnitude while a model trains, plainly or by meta-learning, and keeping what was pruned."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.compression import schedules
from metagpt_tf.compression._tfmot import Pruning
from metagpt_tf.compression.copies import copy_of
from metagpt_tf.compression.prunable import prunable_variables, trained_model
from metagpt_tf.compression.recovery import number_of_steps, recover
from metagpt_tf.kept_zeros import sparsity


def prune(
    subject: Any,
    data: tf.data.Dataset,
    schedule: Any = 0.8,
    steps: int | None = None,
    optimizer: Any = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    backup: str | os.PathLike | None = None,
    verbose: Any = 0,
    plain_steps: int = 0,
    **options: Any,
) -> Any:
    """A pruned copy of a model or a learner, trained while it loses its smallest weights.

    Args:
        subject: a built and compiled `MetaLearner` or model; it stays as it is.
        data: what its `fit` takes: episodes, or batches `(x, y)`.
        schedule: the sparsity to reach (after 60 % of the steps), or a tfmot schedule.
        steps: training steps; `None` for one pass through finite data.
        optimizer: for this training; `None` for a fresh one like the subject's.
        callbacks: more callbacks of `fit`.
        backup: directory that makes the training resumable.
        verbose: as in `fit`.
        plain_steps: of a learner: steps of plain training on the same examples that come first, and in which the
            zeros are made; a plain step costs a tenth of a second-order meta-step. For tasks whose examples do not
            contradict each other (texts, code); `steps=0` is then allowed. See `recovery.recover` for their optimizer.
        **options: of `MagnitudePruning`.

    Returns:
        The copy. A learner's has `keep_zeros=True`: its zeros hold in both loops, and in what is exported of it.

    Raises:
        ValueError: not built or compiled, endless data without steps, or what `MagnitudePruning` refuses.

    Example:

    >>> from metagpt_tf.meta import MetaLearner
    >>> from metagpt_tf.tasks import Sinusoid
    >>> learner = MetaLearner(keras.Sequential([keras.Input((1,)), keras.layers.Dense(20), keras.layers.Dense(1)]))
    >>> learner.compile("adam", "mse")
    >>> episodes = Sinusoid().as_dataset(4, k_shot=5, n_query=5, num_batches=5)
    >>> sparsity(prune(learner, episodes, 0.5).model)
    0.5
    """
    schedule = schedules.get(schedule, plain_steps or number_of_steps(data, steps))
    copied = copy_of(subject, optimizer, keep_zeros=True)
    recover(copied, data, steps, [MagnitudePruning(schedule, **options), *callbacks], backup, verbose, plain_steps)
    return copied


class MagnitudePruning(keras.callbacks.Callback):
    """Sets the smallest weights to zero while `fit` runs, of a model or of a `MetaLearner`.

    At the steps of its schedule tfmot's engine makes the mask `m = [|w| ≥ t]`, t such that the share of zeros is the
    schedule's, and before and after every step `w ← m w`: what is zero stays zero (in tfmot one step may wake it).
    With `MetaLearner(..., keep_zeros=True)` the inner loop sees the same zeros. The step is the optimizer's, so a
    training that goes on (`BackupAndRestore`) goes on in the schedule as well.

    Args:
        schedule: a sparsity in (0, 1), or a tfmot schedule (`schedules.get`).
        policy: regular expression over weight paths to a sparsity (at once), a schedule, `True` for the one above or
            `None`; see `prunable_variables`.
        block_size: `(height, width)` of the blocks that are zero together, for matrices.
        block_pooling: `"AVG"` or `"MAX"`, what of a block is compared.
        m_by_n: `(2, 4)`: two of four neighbours along the input axis are zero, from the first step on; the schedule
            does not count then.
        log_dir: directory for TensorBoard summaries of each epoch's sparsity; `None` for none.

    Logs: `sparsity`, share of zeros in the model's matrices, each epoch.

    Raises:
        ValueError: in `fit`: nothing to prune, a matrix that blocks or groups do not fit, or `steps_per_execution` that
            steps over the schedule.

    Example:

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> model.compile("sgd", "mse")
    >>> x, y = np.ones((4, 8), "float32"), np.ones((4, 4), "float32")
    >>> history = model.fit(x, y, verbose=0, callbacks=[MagnitudePruning(0.75)])
    >>> history.history["sparsity"]
    [0.75]

    Reference: Zhu & Gupta, 2017, "To Prune, or Not to Prune"; engine of the TensorFlow Model Optimization Toolkit.
    """

    def __init__(
        self,
        schedule: Any = 0.5,
        policy: Mapping[str, Any] | None = None,
        block_size: tuple[int, int] = (1, 1),
        block_pooling: str = "AVG",
        m_by_n: tuple[int, int] | None = None,
        log_dir: str | os.PathLike | None = None,
    ) -> None:
        super().__init__()
        self.schedule = schedules.get(schedule)
        self.policy = policy
        self.block_size, self.block_pooling, self.m_by_n = tuple(block_size), block_pooling, m_by_n
        self.log_dir = log_dir
        self._engines: list[_Engine] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self._engines = []
        prunable_variables(self.model, self.policy)

    def _begin(self) -> None:
        """Make the engines: in the first step, when a callback that restores an interrupted training has done so."""
        groups: dict[int, tuple[Any, list[Any]]] = {}
        for variable, rule in prunable_variables(self.model, self.policy):
            schedule = self.schedule if rule is True else schedules.get(rule)
            groups.setdefault(id(rule), (schedule, []))[1].append(variable)
        step = self._step()
        self._engines = [_Engine(variables, schedule, step, self) for schedule, variables in groups.values()]
        self._check_execution()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if not self._engines:
            self._begin()
        for engine in self._engines:
            engine.update(self._step())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        for engine in self._engines:
            engine.apply()

    def on_train_end(self, logs: Any = None) -> None:
        self.on_train_batch_end(0)  # an optimizer may write its averages after the last step

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        share = sparsity(trained_model(self.model))
        if logs is not None:
            logs["sparsity"] = share
        if self.log_dir is not None:
            with tf.summary.create_file_writer(str(self.log_dir)).as_default(step=epoch):
                tf.summary.scalar("sparsity", share)
                for variable in (v for engine in self._engines for v in engine.variables):
                    tf.summary.scalar(f"{variable.path}/sparsity", _share_of_zeros(variable))

    def _step(self) -> int:
        return int(self.model.optimizer.iterations.numpy())

    def _check_execution(self) -> None:
        stride = getattr(self.model, "steps_per_execution", 1)
        frequencies = [engine.frequency for engine in self._engines]
        if any(frequency % stride for frequency in frequencies):
            raise ValueError(
                f"Masks are updated every {frequencies} steps, but steps_per_execution={stride} steps over them. "
                "Give the schedule a frequency that is a multiple of it."
            )


class _Engine:
    """tfmot's engine over variables that share a schedule."""

    def __init__(self, variables: list[Any], schedule: Any, step: int, options: MagnitudePruning) -> None:
        self.variables, self.frequency = variables, schedule.frequency
        self._by_groups = options.m_by_n is not None
        self._step = tf.Variable(step, dtype=tf.int64, trainable=False)
        # A training that goes on has pruned weights already; before that, a zero is only a first value.
        begun = step > schedule.begin_step and any(bool(tf.reduce_any(v.value == 0)) for v in variables)
        _check_end(schedule, step, begun, self._by_groups)
        masks = [tf.cast(v.value != 0, v.dtype) if begun else tf.ones_like(v.value) for v in variables]
        rows = [
            (v.value, tf.Variable(m, trainable=False), tf.Variable(0.0, trainable=False, dtype=v.dtype))
            for v, m in zip(variables, masks, strict=True)
        ]
        for variable in variables:
            _check_groups(variable, options)
        self._pruning = Pruning(
            lambda: self._step, rows, schedule, options.block_size, options.block_pooling, options.m_by_n
        )
        self._update = tf.function(self._update_masks, autograph=False)
        self._apply = tf.function(self._apply_masks, autograph=False)
        self._grouped = begun

    def update(self, step: int) -> None:
        """New masks if the schedule says so, and `w ← m w`: the step that follows knows of them."""
        if self._by_groups:  # tfmot makes these masks in its step 1 only
            self._step.assign(2 if self._grouped else 1)
            self._grouped = True
        else:
            self._step.assign(step)
        self._update()

    def apply(self) -> None:
        """`w ← m w`."""
        self._apply()

    def _update_masks(self) -> None:
        with tf.control_dependencies([self._pruning.conditional_mask_update()]):
            self._pruning.weight_mask_op()

    def _apply_masks(self) -> None:
        self._pruning.weight_mask_op()


def _check_end(schedule: Any, step: int, begun: bool, by_groups: bool) -> None:
    end = getattr(schedule, "end_step", -1)
    if not by_groups and not begun and 0 <= end < step:
        raise ValueError(
            f"The schedule ends in step {end}, and the optimizer has taken {step} already, so nothing would be pruned. "
            "Compile with a new optimizer, or give the schedule later steps."
        )


def _check_groups(variable: Any, options: MagnitudePruning) -> None:
    blocks = [math.ceil(size / block) for size, block in zip(variable.shape, options.block_size, strict=False)]
    if options.block_size != (1, 1) and (len(variable.shape) != 2 or 1 in blocks):
        raise ValueError(
            f"block_size={options.block_size} needs two blocks each way at least; {variable.path} has "
            f"shape {tuple(variable.shape)}. Leave it by `policy`."
        )
    if options.m_by_n is not None and variable.shape[0] % options.m_by_n[1]:
        raise ValueError(
            f"m_by_n={options.m_by_n} takes groups of {options.m_by_n[1]} along the input axis; {variable.path} has "
            f"shape {variable.shape}. Leave it by `policy`."
        )


def _share_of_zeros(variable: Any) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(tf.equal(variable.value, 0), tf.float32))
