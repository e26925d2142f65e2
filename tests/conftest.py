"""What every test shares: a quiet TensorFlow on the CPU, one thread a worker, a known seed, no leaking dtype policy."""

import os
from collections.abc import Iterator

# Read once, when TensorFlow is first imported: they must be set before that, and child processes inherit them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import pytest
import tensorflow as tf

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each worker would otherwise start a thread for every core, and the workers would fight for them.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


@pytest.fixture(autouse=True)
def _same_start_for_every_test() -> Iterator[None]:
    """Seed Python, NumPy and TensorFlow before a test; put the dtype policy back after it, even if it failed."""
    policy = keras.config.dtype_policy()
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy(policy)
