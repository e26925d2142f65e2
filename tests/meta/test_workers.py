"""Two processes that train together take the steps of one; what would not be so is refused."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.meta import Reptile
from metagpt_tf.meta.episodes import Fields
from metagpt_tf.meta.workers import backup_and_restore, between_workers, check_replicas, is_chief, per_worker_logs

from .cluster import train

TWO = SimpleNamespace(num_replicas_in_sync=2)


def spec(tasks: int | None) -> Fields:
    return Fields(*[tf.TensorSpec((tasks, 5, 1), tf.float32)] * 4)


def test_two_processes_equal_one(tmp_path: Path) -> None:
    """Half the meta-batch each: weights, running statistics, learned rate and all logs after 12 steps of SGD."""
    (one,) = train(tmp_path, 1)
    first, second = train(tmp_path, 2, form="sequential")
    assert set(one) == set(first) == set(second)
    for name, value in one.items():
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        np.testing.assert_allclose(first[name], value, rtol=2e-6, atol=2e-6, err_msg=name)
    assert np.ptp(one["log_loss"]) > 1e-3  # something was learned


@pytest.mark.slow
def test_a_killed_worker_comes_back(tmp_path: Path) -> None:
    """From the backup to the end, logs and weights equal those of a run that nothing disturbed (Adam: moments too)."""
    expected, _ = train(tmp_path, 2, optimizer="adam")
    backup = tmp_path / "backup"
    train(tmp_path, 2, dies=1, dies_at=2, optimizer="adam", backup=str(backup))
    assert (backup / "latest.weights.h5").exists()
    again, _ = train(tmp_path, 2, optimizer="adam", backup=str(backup))
    assert len(again["log_loss"]) == 2 and not backup.exists()  # epochs 2 and 3; then the chief has cleared up
    for name, value in again.items():
        last = expected[name][-2:] if name.startswith("log_") else expected[name]
        np.testing.assert_allclose(value, last, rtol=1e-6, atol=1e-7, err_msg=name)


REPLICAS = """
import sys
import keras, numpy as np, tensorflow as tf
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.tasks import Sinusoid

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])

def learner(optimizer, **options):
    with strategy.scope():
        model = keras.Sequential([keras.layers.Dense(3, "tanh"), keras.layers.Dense(1)])
        learner = MetaLearner(model)
        learner.compile(optimizer(), "mse", metrics=["accuracy"], **options)
    return learner

def refused(made, tasks, words):
    try:
        made.fit(Sinusoid().as_dataset(tasks, 5, 5, num_batches=1), verbose=0)
    except ValueError as error:
        assert words in str(error), error
    else:
        raise AssertionError(f"{words} was not refused")

refused(learner(lambda: keras.optimizers.SGD(0.1, clipnorm=1.0)), 4, "clipnorm=1.0 would clip")
refused(learner(lambda: keras.optimizers.SGD(0.1), steps_per_execution=2), 4, "steps_per_execution=2 fails")
refused(learner(lambda: keras.optimizers.SGD(0.1)), 3, "cannot be shared evenly by 2 replicas")
# A model without an input shape, a metric and an optimizer with moments: all are built by fit, outside of the scope.
late = learner(lambda: keras.optimizers.Adam(0.1))
late.fit(Sinusoid().as_dataset(4, 5, 5, num_batches=1), verbose=0)
assert late.optimizer.iterations == 1
"""


def test_fit_refuses_and_builds_under_a_strategy() -> None:
    done = subprocess.run([sys.executable, "-c", REPLICAS], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"clipnorm": 1.0}, "clipnorm=1.0 would clip the gradients of each of the 2 replicas"),
        ({"global_clipnorm": 1.0}, "global_clipnorm=1.0 would clip"),
        ({"clipvalue": 1.0}, "clipvalue=1.0 would clip"),
        ({"gradient_accumulation_steps": 2}, "gradient_accumulation_steps=2 fails under 2 replicas"),
        ({"use_ema": True, "ema_overwrite_frequency": 2}, "ema_overwrite_frequency=2 fails"),
    ],
)
def test_what_replicas_cannot_do_is_refused(options: dict[str, Any], words: str) -> None:
    optimizer = keras.optimizers.SGD(0.1, **options)
    with pytest.raises(ValueError, match=words):
        check_replicas(TWO, optimizer, 1)
    with pytest.raises(ValueError, match=words):
        check_replicas(TWO, keras.optimizers.LossScaleOptimizer(optimizer), 1)
    check_replicas(
        tf.distribute.get_strategy(), optimizer, 2, Reptile(moving_average=0.9), spec(3)
    )  # one replica may do all of it


def test_meta_batches_that_cannot_be_shared_are_refused() -> None:
    optimizer = keras.optimizers.Adam(use_ema=True, weight_decay=0.1)
    check_replicas(TWO, optimizer, 1, Reptile(), spec(4))
    with pytest.raises(ValueError, match="steps_per_execution=3 fails under 2 replicas"):
        check_replicas(TWO, optimizer, 3)
    with pytest.raises(ValueError, match="M = 3 tasks cannot be shared evenly by 2 replicas"):
        check_replicas(TWO, optimizer, 1, spec=spec(3))
    with pytest.raises(ValueError, match="is not fixed, and 2 replicas.*drop_remainder=True"):
        check_replicas(TWO, optimizer, 1, spec=spec(None))
    with pytest.raises(ValueError, match="moving_average=0.9 would average the gradients of each of the 2 replicas"):
        check_replicas(TWO, optimizer, 1, Reptile(moving_average=0.9))


def test_one_process_is_its_own_chief(tmp_path: Path) -> None:
    strategy = tf.distribute.get_strategy()
    assert is_chief(strategy) and not between_workers(strategy)
    assert per_worker_logs({"loss": 1.0}) == {"loss": 1.0}
    callback = backup_and_restore(tmp_path, save_freq=7, double_checkpoint=True)
    assert (callback.save_freq, callback.double_checkpoint, callback.delete_checkpoint) == (7, True, True)


@pytest.mark.parametrize(
    ("cluster", "kind", "index", "chief"),
    [
        ({"worker": ["a:1", "b:1"]}, "worker", 0, True),
        ({"worker": ["a:1", "b:1"]}, "worker", 1, False),
        ({"chief": ["a:1"], "worker": ["b:1"]}, "chief", 0, True),
        ({"chief": ["a:1"], "worker": ["b:1"]}, "worker", 0, False),
        ({"worker": ["a:1"]}, "worker", 0, True),
    ],
)
def test_one_worker_is_the_chief(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cluster: dict[str, Any], kind: str, index: int, chief: bool
) -> None:
    resolver = SimpleNamespace(
        task_type=kind, task_id=index, cluster_spec=lambda: SimpleNamespace(as_dict=lambda: cluster)
    )

    class Strategy:  # the real one would wait for the others
        cluster_resolver = resolver

    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", Strategy)
    assert is_chief(Strategy()) == chief
    assert backup_and_restore(tmp_path, Strategy()).delete_checkpoint == chief
