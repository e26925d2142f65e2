"""Small models, built once for the whole room: no test may change them."""

from typing import Any

import keras
import numpy as np
import pytest

from metagpt_tf.models import MetaGPT

SIZES = {"source_length": 24, "target_length": 20, "dim": 16, "num_heads": 2, "num_layers": 1, "hidden_dim": 24}
WRITER = {**SIZES, "num_layers": 2}
LETTERS = "abcdefgh"


SCALES = {"gamma": 0.2, "beta": 0.1, "embeddings": 0.25}


def randomise(model: keras.Model, seed: int = 1) -> Any:
    """Give every weight a random value, large enough that each token depends on all the tokens before it."""
    rng = np.random.default_rng(seed)
    noise = [rng.normal(size=w.shape, scale=SCALES.get(w.name, 1.2)) + (w.name == "gamma") for w in model.weights]
    model.set_weights([values.astype("float32") for values in noise])
    return model


def make_writer(**arguments: Any) -> MetaGPT:
    """An untrained model that answers every prompt with letters of its own choice, and sometimes ends early."""
    model = randomise(MetaGPT(**{**WRITER, **arguments}))
    bias = np.full(model.tokenizer.vocabulary_size, -60.0, "float32")
    bias[model.tokenizer.encode(LETTERS)] = 0.0
    bias[model.tokenizer.eos_id] = 0.4
    model.head.bias.assign(bias)
    return model


@pytest.fixture(scope="session")
def writer() -> MetaGPT:
    return make_writer()


@pytest.fixture(scope="session")
def ids() -> tuple[np.ndarray, np.ndarray]:
    """Eight pairs of padded token ids: source `(8, 24)`, target `(8, 20)`."""
    tokenizer, rng = MetaGPT(**SIZES).tokenizer, np.random.default_rng(0)
    texts = ["".join(rng.choice(list(LETTERS), n)) for n in (1, 3, 5, 8, 13, 17, 19, 19)]
    return tokenizer.pack(texts, 24), tokenizer.pack([text[::-1] for text in texts], 20)
