"""Stock Keras callbacks, schedules and resumption work on a learner as on any model."""

import csv
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from metagpt_tf.meta import MAML, MetaLearner

from .toys import compiled, largest_difference, waves, weights_of


def noisy_learner(optimizer: Any = None) -> MetaLearner:
    """With dropout, so that a resumed run must find its random seeds again."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential([keras.Input((1,)), layers.Dense(6, "tanh"), layers.Dropout(0.2, seed=1), layers.Dense(1)])
    return compiled(model, MAML(1, 0.01), keras.optimizers.Adam(0.01) if optimizer is None else optimizer)


class Stop(RuntimeError):
    """What a machine that goes down raises."""


class Crash(keras.callbacks.Callback):
    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch:
            raise Stop


def test_early_stopping_restores_the_best_weights() -> None:
    learner = noisy_learner(keras.optimizers.SGD(0.0))
    stop = keras.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)
    before = weights_of(learner.model)[:2]
    history = learner.fit(waves(), validation_data=waves(seed=1), epochs=9, verbose=0, callbacks=[stop]).history
    assert len(history["loss"]) == 2  # nothing is learned at a rate of zero
    assert largest_difference(before, weights_of(learner.model)[:2]) == 0


@pytest.mark.parametrize("only_weights", [False, True])
def test_checkpoints_hold_the_best_epoch(tmp_path: Path, only_weights: bool) -> None:
    path = tmp_path / ("best.weights.h5" if only_weights else "best.keras")
    learner = noisy_learner()
    save = keras.callbacks.ModelCheckpoint(
        path, monitor="val_adaptation_gain", mode="max", save_best_only=True, save_weights_only=only_weights
    )
    history = learner.fit(waves(), validation_data=waves(seed=1), epochs=3, verbose=0, callbacks=[save]).history
    again = noisy_learner() if only_weights else keras.saving.load_model(path)
    if only_weights:
        again.optimizer.build(again.trainable_variables)
        again.load_weights(path)
    gain = again.evaluate(waves(seed=1), verbose=0, return_dict=True)["adaptation_gain"]
    assert gain == pytest.approx(max(history["val_adaptation_gain"]), rel=1e-4)


def test_an_interrupted_run_resumes_exactly(tmp_path: Path) -> None:
    """Weights, optimizer moments and random seeds after a crash and a restart equal those of a run without one."""

    def run(crash_at: int | None) -> list[np.ndarray]:
        learner = noisy_learner()
        callbacks = [keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=crash_at is None)]
        if crash_at is not None:
            callbacks.append(Crash(crash_at))
        learner.fit(waves(), epochs=4, verbose=0, callbacks=callbacks)
        return weights_of(learner) + [v.numpy() for v in learner.optimizer.variables]

    uninterrupted = noisy_learner()
    uninterrupted.fit(waves(), epochs=4, verbose=0)
    expected = weights_of(uninterrupted) + [v.numpy() for v in uninterrupted.optimizer.variables]
    with pytest.raises(Stop):
        run(crash_at=2)
    assert largest_difference(run(crash_at=None), expected) == 0


def test_logs_reach_files(tmp_path: Path) -> None:
    learner = noisy_learner()
    callbacks = [keras.callbacks.CSVLogger(tmp_path / "log.csv"), keras.callbacks.TensorBoard(tmp_path / "board")]
    history = learner.fit(waves(), validation_data=waves(seed=1), epochs=2, verbose=0, callbacks=callbacks).history
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    for name in ("loss", "pre_loss", "support_loss", "adaptation_gain", "val_loss", "val_adaptation_gain"):
        assert [float(row[name]) for row in rows] == pytest.approx(history[name])
    assert {p.parent.name for p in (tmp_path / "board").rglob("events.out.tfevents.*")} == {"train", "validation"}


def test_learning_rates_follow_a_schedule() -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=1, decay_rate=0.0, staircase=True)
    learner = noisy_learner(keras.optimizers.SGD(schedule))
    learner.fit(waves(batches=1), verbose=0)  # the first step has the whole rate, later ones none
    before = weights_of(learner.model)[:2]
    learner.fit(waves(batches=3), verbose=0)
    assert largest_difference(before, weights_of(learner.model)[:2]) == 0


def test_callbacks_set_the_learning_rate() -> None:
    learner = noisy_learner(keras.optimizers.SGD(0.1))
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    learner.fit(waves(), epochs=3, verbose=0, callbacks=[plateau])
    assert float(learner.optimizer.learning_rate) == pytest.approx(0.025)
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    history = learner.fit(waves(), epochs=2, verbose=0, callbacks=[halve]).history
    assert history["learning_rate"] == pytest.approx([0.0125, 0.00625])


@pytest.mark.parametrize(
    "options",
    [
        {"clipnorm": 1e-6},
        {"global_clipnorm": 1e-6},
        {"gradient_accumulation_steps": 2},
        {"use_ema": True, "ema_overwrite_frequency": 2},
        {"weight_decay": 0.1},
    ],
)
def test_optimizer_options(options: dict[str, Any]) -> None:
    plain, special = noisy_learner(keras.optimizers.SGD(0.1)), noisy_learner(keras.optimizers.SGD(0.1, **options))
    before = weights_of(plain.model)[:2]
    for learner in (plain, special):
        learner.fit(waves(batches=2), verbose=0)
    assert largest_difference(weights_of(plain.model)[:2], weights_of(special.model)[:2]) > 1e-5
    if any("clip" in name for name in options):
        assert largest_difference(before, weights_of(special.model)[:2]) < 1e-6


def test_steps_per_execution_changes_nothing_but_the_speed() -> None:
    results = []
    for count in (1, 2):
        learner = noisy_learner()
        learner.compile(keras.optimizers.SGD(0.1), "mse", steps_per_execution=count)
        learner.fit(waves(batches=4), verbose=0)
        results.append(weights_of(learner))
    assert largest_difference(*results) < 1e-6
