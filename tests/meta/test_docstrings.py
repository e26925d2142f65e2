"""The examples in the docstrings run, and every public name has the parts that a reader looks for."""

import doctest
import importlib
import pkgutil

import pytest

from metagpt_tf import meta

MODULES = [f"metagpt_tf.meta.{module.name}" for module in pkgutil.iter_modules(meta.__path__)]
CLASSES = [name for name in meta.__all__ if isinstance(getattr(meta, name), type)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(name), raise_on_error=False)
    assert outcome.failed == 0


@pytest.mark.parametrize("name", CLASSES)
def test_public_classes_are_documented(name: str) -> None:
    text = getattr(meta, name).__doc__
    assert all(part in text for part in ("Args:", "Example:", ">>>"))
    if issubclass(getattr(meta, name), meta.Algorithm):
        assert all(part in text for part in ("Raises:", "Reference:"))
