"""The examples in the docstrings run, and every public class has the parts that a reader looks for."""

import doctest
import importlib
import pkgutil

import pytest

from metagpt_tf import reinforcement

MODULES = [f"metagpt_tf.reinforcement.{module.name}" for module in pkgutil.iter_modules(reinforcement.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module, raise_on_error=False).failed == 0
    assert module.__doc__


@pytest.mark.parametrize(
    "name", ["PointMass", "Bandits", "PolicyGradientLearner", "RL2", "GaussianHead", "RecurrentPolicy"]
)
def test_public_classes_are_documented(name: str) -> None:
    text = getattr(reinforcement, name).__doc__
    assert all(part in text for part in ("Args:", "Raises:", "Example:", ">>>"))
