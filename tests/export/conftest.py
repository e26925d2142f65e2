"""One small learner and its exports, made once a session: conversion is the slow part."""

import keras
import numpy as np
import pytest

from metagpt_tf.applications.image import define_meta_gpt_image_model, glyph_prompts
from metagpt_tf.applications.optimization import deploy_model
from metagpt_tf.export import export_litert, export_saved_model
from metagpt_tf.kept_zeros import is_prunable
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.models import ImageAutoencoder, MetaGPT
from metagpt_tf.tokenizers.image_codes import first_code_id

LENGTH, K = 16, 3


def small_model(**overrides):
    keras.utils.set_random_seed(3)
    sizes = {"dim": 32, "num_heads": 2, "num_layers": 1, "hidden_dim": 64}
    return MetaGPT(source_length=LENGTH, target_length=LENGTH, **{**sizes, **overrides})


def small_learner(scope="low_rank", model=None, **overrides):
    learner = MetaLearner(model or small_model(**overrides), MAML(2, 0.3, scope=scope))
    learner.compile("adam")
    return learner


def support(model, seed=0):
    texts = [f"item {i}" for i in range(seed, seed + K)]
    pack = model.tokenizer.pack
    return pack(texts, LENGTH), pack([t.upper() for t in texts], LENGTH)


@pytest.fixture(scope="session")
def learner():
    return small_learner()


@pytest.fixture(scope="session")
def saved_model(learner, tmp_path_factory):
    return export_saved_model(learner, tmp_path_factory.mktemp("saved_model"))


@pytest.fixture(scope="session")
def litert(learner, tmp_path_factory):
    return export_litert(learner, tmp_path_factory.mktemp("litert") / "model.tflite", k_shot=K)


@pytest.fixture(scope="session")
def pruned():
    """A learner four fifths of whose weights are zero, and stay so."""
    model = small_model()
    for variable in model.trainable_variables:
        if is_prunable(variable):
            values = variable.numpy()
            values[np.abs(values) < np.quantile(np.abs(values), 0.8)] = 0.0
            variable.assign(values)
    learner = MetaLearner(model, MAML(2, 0.3), keep_zeros=True)
    learner.compile("adam")
    return learner


@pytest.fixture(scope="session")
def plain_learner():
    """A learner round a model that generates nothing: regression with two inputs."""
    keras.utils.set_random_seed(1)
    layers = [keras.Input((2,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(1, name="head")]
    learner = MetaLearner(keras.Sequential(layers), MAML(3, 0.1))
    learner.compile("adam", "mse")
    return learner


@pytest.fixture(scope="session")
def plain_support():
    draw = np.random.default_rng(0)
    return draw.normal(size=(4, 2)).astype("float32"), draw.normal(size=(4, 1)).astype("float32")


@pytest.fixture(scope="session")
def codes():
    """The codes of a tiny autoencoder, untrained: what a drawing looks like does not matter here."""
    keras.utils.set_random_seed(5)
    return ImageAutoencoder((8, 8, 1), num_codes=16, code_dim=4, filters=8, num_blocks=1)


@pytest.fixture(scope="session")
def drawer(codes):
    """A learner that draws, taught for a moment to write codes: an untrained one writes bytes, and draws nothing."""
    keras.utils.set_random_seed(6)
    sizes = {"dim": 16, "num_heads": 2, "num_layers": 1, "hidden_dim": 32, "source_length": 16}
    learner = define_meta_gpt_image_model("nano", MAML(2, 0.1, scope="low_rank"), autoencoder=codes, **sizes)
    model = learner.model
    source = model.tokenizer.pack(glyph_prompts(), 16)
    draw = np.random.default_rng(0)
    target = np.concatenate(
        [first_code_id(16) + draw.integers(0, 16, (len(source), 4)), np.full((len(source), 1), 2)], 1
    )
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(source, target.astype("int32"), epochs=40, batch_size=31, verbose=0)
    return learner


@pytest.fixture(scope="session")
def page(drawer, codes, tmp_path_factory):
    """A page with a model that draws and one that writes, both tiny."""
    path = tmp_path_factory.mktemp("page")
    about = {"name": "letters", "licence": "ours", "limits": "tiny"}
    deploy_model(drawer, "web", path, "letters", k_shot=4, autoencoder=codes, about=about)
    deploy_model(small_learner("low_rank", dim=16), "web", path, "code", k_shot=K)
    return path


@pytest.fixture(scope="session")
def drawn(page):
    """The LiteRT file of the one that draws, with every signature."""
    return page / "models" / "letters" / "model.tflite"
