"""Docstrings are part of the interface: examples run, and nothing public is undocumented."""

import doctest
import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import metagpt_tf.compression
import metagpt_tf.datasets
import metagpt_tf.generation
import metagpt_tf.layers
import metagpt_tf.meta
import metagpt_tf.models
import metagpt_tf.reinforcement
import metagpt_tf.tasks
import metagpt_tf.tokenizers
import metagpt_tf.tuning

ROOMS = (
    metagpt_tf.compression,
    metagpt_tf.datasets,
    metagpt_tf.generation,
    metagpt_tf.layers,
    metagpt_tf.meta,
    metagpt_tf.models,
    metagpt_tf.reinforcement,
    metagpt_tf.tasks,
    metagpt_tf.tokenizers,
    metagpt_tf.tuning,
)
APPLICATIONS = (
    *("attention", "before_after", "code_metrics", "code_report", "episodes", "language", "pass_at_k", "sandbox"),
    *("image", "image_drawings", "image_episodes", "image_kinds", "image_variants"),
    *("text_kinds", "text_metrics", "translation_metrics"),
)
MODULES = [
    *(module.name for room in ROOMS for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")),
    *("metagpt_tf.export.seal", "metagpt_tf.export.state_mark", "metagpt_tf.export.stored_weights"),
    "metagpt_tf.kept_zeros",
    *("metagpt_tf.fast_weights", "metagpt_tf.presets", "metagpt_tf.registry", "metagpt_tf.saving"),
    *(f"metagpt_tf.applications.{name}" for name in APPLICATIONS),
]
PUBLIC = {
    name: getattr(room, name)
    for room in (metagpt_tf.layers, metagpt_tf.meta, metagpt_tf.models)
    for name in room.__all__
    if callable(getattr(room, name)) and name != "get"
}


def public_methods(module: ModuleType) -> list[str]:
    """`Class.method` for each public method that is defined in `module` without a docstring of its own or inherited."""
    keras_names = {"build", "call", "get_config", "compute_output_shape", "compute_output_spec", "filter"}
    classes = [c for _, c in inspect.getmembers(module, inspect.isclass) if c.__module__ == module.__name__]
    return [
        f"{cls.__name__}.{name}"
        for cls in classes
        for name, function in vars(cls).items()
        if inspect.isfunction(function) and not name.startswith("_") and name not in keras_names
        if not inspect.getdoc(getattr(cls, name))
    ]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str):
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.FAIL_FAST)
    assert result.failed == 0
    assert module.__doc__


@pytest.mark.parametrize("name", MODULES)
def test_public_methods_are_documented(name: str):
    assert public_methods(importlib.import_module(name)) == []


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented_in_full(name: str):
    text = inspect.getdoc(PUBLIC[name])
    parameters = [p for p in inspect.signature(PUBLIC[name]).parameters if p not in ("kwargs", "args")]
    assert "Example:" in text
    assert not parameters or "Args:" in text
    undocumented = [p for p in parameters if f"{p}:" not in text and f"{p}," not in text]
    assert undocumented == []
