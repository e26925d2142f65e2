"""Every public class has the parts that a reader looks for; tests/conformance runs the examples."""

import pytest

from metagpt_tf import reinforcement


@pytest.mark.parametrize(
    "name", ["PointMass", "Bandits", "PolicyGradientLearner", "RL2", "GaussianHead", "RecurrentPolicy"]
)
def test_public_classes_are_documented(name: str) -> None:
    text = getattr(reinforcement, name).__doc__
    assert all(part in text for part in ("Args:", "Raises:", "Example:", ">>>"))
