"""One small learner and its exports, made once a session: conversion is the slow part."""

import keras
import numpy as np
import pytest

from metagpt_tf.export import export_litert, export_saved_model
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.models import MetaGPT

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
