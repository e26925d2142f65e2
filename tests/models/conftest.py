"""Small models, built once a session."""

import keras
import numpy as np
import pytest

from metagpt_tf.models import MetaGPT

SIZES = {"dim": 32, "num_heads": 2, "num_layers": 2, "hidden_dim": 64}


def make(seed=5, **overrides):
    keras.utils.set_random_seed(seed)
    return MetaGPT(**{**SIZES, "source_length": 24, "target_length": 20, **overrides})


@pytest.fixture(scope="session")
def model():
    """Untrained, but with strong random weights and no special tokens in its output: its texts are long and varied."""
    made = make(tie_embeddings=False)
    draw = np.random.default_rng(0)
    for variable in made.trainable_variables:
        variable.assign(variable + 0.15 * draw.normal(size=variable.shape))
    bias = keras.ops.convert_to_numpy(made.head.bias) * 5
    bias[:3] = -1e4
    made.head.bias.assign(bias)
    return made
