"""Two replicas take the same step as one process over the same meta-batch."""

import subprocess
import sys
from pathlib import Path

import numpy as np

TRAIN = """
import sys
import keras, numpy as np, tensorflow as tf
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.tasks import Sinusoid

path, replicas, *forms = sys.argv[1], int(sys.argv[2]), *sys.argv[3:]
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
names = [f"/cpu:{i}" for i in range(replicas)]
strategy = tf.distribute.MirroredStrategy(names) if replicas > 1 else tf.distribute.get_strategy()
assert strategy.num_replicas_in_sync == replicas
losses = {  # the same loss, as a name, as an object and as a function that returns a scalar
    "name": "mse",
    "object": keras.losses.MeanSquaredError(),
    "scalar": lambda y_true, y_pred: keras.ops.mean((y_true - y_pred) ** 2),
}
for form in forms:
    parallelism, loss = form.split("-")
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(6, "tanh"), keras.layers.Dense(1)])
        learner = MetaLearner(model, MAML(2, 0.05, learn_rate=True), task_parallelism=parallelism)
        learner.compile(keras.optimizers.SGD(0.05), losses[loss], metrics=["mae"])
    episodes = Sinusoid().as_dataset(4, k_shot=5, n_query=5, num_batches=4)
    history = learner.fit(episodes, verbose=0, validation_data=episodes).history
    logs = {f"log_{key}": values for key, values in history.items()}
    np.savez(f"{path}/{replicas}-{form}.npz", *[v.numpy() for v in learner.trainable_variables], **logs)
"""


def run(folder: Path, replicas: int, *forms: str) -> list[dict[str, np.ndarray]]:
    """Train in another process once for each form; the weights and logs of each."""
    command = [sys.executable, "-c", TRAIN, str(folder), str(replicas), *forms]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    results = []
    for form in forms:
        with np.load(folder / f"{replicas}-{form}.npz") as arrays:
            results.append(dict(arrays))
    return results


def test_mirrored_replicas_equal_one_process(tmp_path: Path) -> None:
    """SGD, not Adam: Adam divides a wrong scale of the gradients away."""
    (one,) = run(tmp_path, 1, "vectorized-name")
    forms = ("vectorized-name", "vectorized-scalar", "sequential-object")
    for form, two in zip(forms, run(tmp_path, 2, *forms), strict=True):
        assert set(one) == set(two)
        for name, value in one.items():
            np.testing.assert_allclose(two[name], value, rtol=1e-5, atol=1e-6, err_msg=f"{form} {name}")
