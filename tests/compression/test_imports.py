"""Importing the compression room changes nothing outside of it."""

import subprocess
import sys

CODE = """
import os
import tensorflow as tf
before = dict(os.environ)
import metagpt_tf.compression
import metagpt_tf.compression._tfmot
assert tf.keras.__version__.startswith("3"), tf.keras.__version__
import keras
assert tf.keras.Model is keras.Model
changed = {name for name in {*before, *os.environ} if before.get(name) != os.environ.get(name)}
assert not [name for name in changed if "KERAS" in name], changed
"""


def test_tf_keras_and_the_environment_stay():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
