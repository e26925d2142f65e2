"""What the forms that save memory save, and that they change nothing else."""

import json
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.meta import FOMAML, MAML, Algorithm, InnerAdam, MetaLearner, get
from metagpt_tf.tasks import Episode

from .toys import ALGORITHMS, compiled, largest_difference, mlp, waves, weights_of

# The largest resident size of a process only grows: what follows a configuration shows what it needs beyond it.
MEASURE = """
import json, pathlib, sys
import keras, numpy as np, tensorflow as tf
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.tasks import Episode

peaks = []
for form, tasks, steps, rematerialize, rows in json.loads(sys.argv[1]):
    layers = [keras.layers.Dense(64, "tanh") for _ in range(4)]
    model = keras.Sequential([keras.Input((8,)), *layers, keras.layers.Dense(1)])
    learner = MetaLearner(model, MAML(steps, 0.01), form, rematerialize)
    learner.compile(keras.optimizers.SGD(0.1), "mse")
    x, y = np.ones((tasks, rows, 8), "float32"), np.ones((tasks, rows, 1), "float32")
    episodes = tf.data.Dataset.from_tensors(Episode(x, y, x[:, :16], y[:, :16]))
    learner.fit(episodes, epochs=2, verbose=0)
    # Not ru_maxrss: a process inherits that of the one that started it, and a test runner's is large.
    status = pathlib.Path("/proc/self/status").read_text()
    peaks.append(int(status.partition("VmHWM:")[2].split()[0]) / 2**10)
print(json.dumps(peaks))
"""
SECOND_ORDER = [name for name in ALGORITHMS if not get(name).first_order and name not in ("maml", "anil")]
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")


def peaks(*configurations: tuple[str, int, int, bool, int]) -> list[float]:
    """Largest resident size of one process, in MiB, after each of (form, tasks, inner steps, rematerialize, K)."""
    command = [sys.executable, "-c", MEASURE, json.dumps(configurations)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@linux
def test_sequential_tasks_need_the_memory_of_one() -> None:
    two, sixteen, vectorized = peaks(
        *[(form, m, 1, False, 4096) for form, m in [("sequential", 2), ("sequential", 16)]],
        ("vectorized", 16, 1, False, 4096),
    )
    assert vectorized - sixteen > 100  # else the model is too small to see anything
    assert sixteen - two < 0.2 * (vectorized - sixteen)


@linux
def test_recomputed_steps_need_the_memory_of_one() -> None:
    few, many, kept = peaks(
        ("vectorized", 4, 1, True, 8192), ("vectorized", 4, 5, True, 8192), ("vectorized", 4, 5, False, 8192)
    )
    assert kept - many > 100
    assert many - few < 0.5 * (kept - few)  # the larger graph itself costs some


def noisy() -> keras.Model:
    """With everything that moves while a step runs: dropout's seeds, running statistics; and a penalty."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((1,)),
            layers.Dense(6, "tanh", kernel_regularizer=keras.regularizers.L2(0.01)),
            layers.BatchNormalization(),
            layers.Dropout(0.2, seed=1),
            layers.Dense(1, name="head"),
        ]
    )


def trained(
    algorithm: Algorithm, form: str, rematerialize: bool, model: Any = None, batches: int = 1, **options: Any
) -> list[np.ndarray]:
    """All weights after some outer steps, and the logs."""
    learner = MetaLearner(noisy() if model is None else model, algorithm, form, rematerialize)
    learner.compile(keras.optimizers.SGD(0.1), "mse", **options)
    history = learner.fit(waves(batches=batches), verbose=0).history
    return [*weights_of(learner), *(np.array(values) for values in history.values())]


@pytest.mark.parametrize("form", ["vectorized", "sequential"])
@pytest.mark.parametrize("scope", ["all", "head"])
def test_recomputed_steps_give_the_same_meta_gradient(scope: str, form: str) -> None:
    """In the weights inside and outside of the scope, in the learned rate, and in what moves along."""
    plain, again = (trained(MAML(2, 0.05, scope, learn_rate=True), form, r) for r in (False, True))
    first_order = trained(FOMAML(2, 0.05, scope, learn_rate=True), form, False)
    assert largest_difference(plain, first_order) > 1e-3
    assert largest_difference(plain, again) < 1e-5


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_every_algorithm_recomputes(name: str) -> None:
    """One whose step reads a tensor that is neither in its carry nor a weight would lose that gradient in silence."""
    plain, again = (
        trained(get(name, inner_steps=2, inner_learning_rate=0.05), "vectorized", r, mlp()) for r in (False, True)
    )
    assert largest_difference(plain, again) < 1e-5


@pytest.mark.parametrize(
    "options", [{"inner_optimizer": "momentum", "learn_rate": "per_step"}, {"inner_optimizer": InnerAdam(epsilon=0.1)}]
)
def test_slots_are_recomputed_too(options: dict[str, Any]) -> None:
    plain, again = (trained(MAML(2, 0.05, **options), "sequential", r, mlp()) for r in (False, True))
    assert largest_difference(plain, again) < 1e-5


def test_first_order_may_come_first() -> None:
    plain, again = (
        trained(MAML(1, 0.05, first_order_steps=1), "sequential", r, mlp(), batches=2) for r in (False, True)
    )
    assert largest_difference(plain, again) < 1e-5


def test_recomputed_steps_run_eagerly() -> None:
    plain, again = (trained(MAML(1, 0.05), "sequential", r, mlp(), run_eagerly=r) for r in (False, True))
    assert largest_difference(plain, again) < 1e-5


def test_the_option_survives_a_config() -> None:
    learner = compiled(mlp(), "maml")
    assert not learner.rematerialize and not MetaLearner.from_config(learner.get_config()).rematerialize
    learner = MetaLearner(mlp(), "maml", rematerialize=True)
    assert MetaLearner.from_config(learner.get_config()).rematerialize
    assert not learner.algorithm.recomputes


@pytest.mark.parametrize("parts", [2, 3])
def test_accumulated_gradients_equal_a_larger_meta_batch(parts: int) -> None:
    """`gradient_accumulation_steps=a` over meta-batches of M tasks is one outer step over a · M."""
    (episodes,) = waves(tasks=6, batches=1)
    whole = tf.data.Dataset.from_tensors(episodes)
    cut = tf.data.Dataset.from_tensor_slices(Episode(*episodes)).batch(6 // parts)
    results = []
    for dataset, options in ((whole, {}), (cut, {"gradient_accumulation_steps": parts})):
        learner = compiled(mlp(), MAML(2, 0.05, learn_rate=True), keras.optimizers.SGD(0.1, **options))
        before = weights_of(learner)
        history = learner.fit(dataset, verbose=0).history
        results.append(([v.numpy() for v in learner.trainable_variables], history["loss"]))
    (first, first_loss), (second, second_loss) = results
    assert largest_difference(before[:1], first[:1]) > 1e-4
    assert largest_difference(first, second) < 1e-6
    assert first_loss == pytest.approx(second_loss, rel=1e-5)
