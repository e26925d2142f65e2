"""tfmot's own front door, on Keras 2 in a process of its own, makes the zeros that ours makes on Keras 3."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from metagpt_tf.compression import MagnitudePruning
from metagpt_tf.compression._tfmot import PolynomialDecay

pytest.importorskip("tf_keras")

THEIRS = """
import sys
import numpy as np, tensorflow as tf, tf_keras
import tensorflow_model_optimization as tfmot
given, block, out = np.load(sys.argv[1]), tuple(map(int, sys.argv[2].split(","))), sys.argv[3]
options = {"m_by_n": {"sparsity_m_by_n": (2, 4)}}.get(sys.argv[4], {"block_size": block})
schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, 0.75, 0, 20, frequency=5)
dense = tf_keras.layers.Dense(16, use_bias=False)
model = tf_keras.Sequential([tf_keras.layers.InputLayer((8,)),
    tfmot.sparsity.keras.prune_low_magnitude(dense, pruning_schedule=schedule, **options)])
dense.kernel.assign(given["kernel"])
model.compile(tf_keras.optimizers.legacy.SGD(0.1), "mse")
data = tf.data.Dataset.from_tensor_slices((given["x"], given["y"])).batch(8)
model.fit(data, verbose=0, callbacks=[tfmot.sparsity.keras.UpdatePruningStep()])
np.savez(out, kernel=dense.kernel.numpy())
"""


CASES = {"single": {}, "blocks": {"block_size": (2, 4)}, "m_by_n": {"m_by_n": (2, 4)}}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_zeros_equal_those_of_tfmot_on_keras_2(tmp_path, options):
    draw = np.random.default_rng(0)
    kernel, x, y = (draw.normal(size=size).astype("float32") for size in ((8, 16), (240, 8), (240, 16)))
    np.savez(tmp_path / "given.npz", kernel=kernel, x=x, y=y)
    block = ",".join(map(str, options.get("block_size", (1, 1))))
    command = [sys.executable, "-c", THEIRS, tmp_path / "given.npz", block, tmp_path / "theirs.npz", *options, "none"]
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = np.load(tmp_path / "theirs.npz")["kernel"]

    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, use_bias=False)])
    model.layers[0].kernel.assign(kernel)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    schedule = PolynomialDecay(0.0, 0.75, 0, 20, frequency=5)
    model.fit(x, y, batch_size=8, shuffle=False, verbose=0, callbacks=[MagnitudePruning(schedule, **options)])
    ours = model.layers[0].kernel.numpy()
    assert 0 < (ours == 0).mean() < 1
    np.testing.assert_array_equal(ours == 0, theirs == 0)
    # Between two updates tfmot lets a pruned weight take one gradient step, by which it may come back; ours does not.
    np.testing.assert_allclose(ours, theirs, atol=1e-6 if "m_by_n" in options else 0.03)
