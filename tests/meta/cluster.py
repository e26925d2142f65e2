"""Two processes on loopback that train together, for tests of several workers."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

TRAIN = """
import json, os, signal, sys
import keras, numpy as np, tensorflow as tf
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.meta.workers import backup_and_restore
from metagpt_tf.tasks import Sinusoid

out, options = sys.argv[1], json.loads(sys.argv[2])
joined = "TF_CONFIG" in os.environ  # the strategy must exist before anything else of TensorFlow is used
strategy = tf.distribute.MultiWorkerMirroredStrategy() if joined else tf.distribute.get_strategy()
assert strategy.num_replicas_in_sync == (2 if joined else 1)
keras.utils.set_random_seed(0)
with strategy.scope():
    # Normalized after tanh: a kernel just before a normalization may have any scale, and rounding moves it freely.
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(6, "tanh"), keras.layers.BatchNormalization()])
    model.add(keras.layers.Dense(1))
    learner = MetaLearner(model, MAML(2, 0.05, learn_rate=True), options["form"])
    optimizer = {"sgd": keras.optimizers.SGD(0.05), "adam": keras.optimizers.Adam(0.01)}[options["optimizer"]]
    learner.compile(optimizer, "mse", metrics=["mae"])

def die(epoch, logs):
    if epoch == options["dies_at"]:
        os.kill(os.getpid(), signal.SIGKILL)

callbacks = [keras.callbacks.LambdaCallback(on_epoch_begin=die)]
if options["backup"]:
    callbacks.append(backup_and_restore(options["backup"], strategy, double_checkpoint=True))
episodes = Sinusoid().as_dataset(4, k_shot=5, n_query=5, num_batches=3)
history = learner.fit(episodes, epochs=4, verbose=0, validation_data=episodes, callbacks=callbacks).history
logs = {f"log_{key}": values for key, values in history.items()}
np.savez(out, *[v.numpy() for v in learner.weights], **logs)
"""


def train(folder: Path, workers: int, dies: int | None = None, dies_at: int = 2, **options: Any) -> list[dict]:
    """Train in `workers` processes, without `TF_CONFIG` if it is one; the weights and logs of each.

    Args:
        folder: for the results.
        dies: the worker that is killed at the beginning of epoch `dies_at`; the others are then ended too, as a
            cluster's manager would do before it starts all again. Returns nothing.
        **options: `form`, `optimizer`, `backup` (a directory).
    """
    given = {"form": "vectorized", "optimizer": "sgd", "backup": "", **options}
    with ExitStack() as files:
        running = []
        for index, environment in enumerate(environments(workers)):
            log = files.enter_context((folder / f"{workers}-{index}.log").open("w"))
            order = json.dumps({**given, "dies_at": dies_at if index == dies else None})
            command = [sys.executable, "-c", TRAIN, str(folder / f"{workers}-{index}.npz"), order]
            running.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        try:
            if dies is not None:
                assert running[dies].wait(timeout=120) == -signal.SIGKILL, said(folder, workers, dies)
                return []
            for index, process in enumerate(running):
                assert process.wait(timeout=120) == 0, said(folder, workers, index)
        finally:
            for process in running:
                process.kill()
                process.wait()
    results = []
    for index in range(workers):
        with np.load(folder / f"{workers}-{index}.npz") as arrays:
            results.append(dict(arrays))
    return results


def environments(workers: int) -> list[dict[str, str]]:
    """The environment of each worker, with `TF_CONFIG` where there are several."""
    quiet = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"}
    quiet.pop("TF_CONFIG", None)
    if workers == 1:
        return [quiet]
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(workers)]}
    tasks = [{"type": "worker", "index": index} for index in range(workers)]
    return [{**quiet, "TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} for task in tasks]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now; all are held until the last is found, so that they differ."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def said(folder: Path, workers: int, index: int) -> str:
    """The end of what a worker said."""
    return (folder / f"{workers}-{index}.log").read_text()[-3000:]
