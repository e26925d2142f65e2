"""Every public name has the parts that a reader looks for; tests/conformance runs the examples."""

import inspect

import pytest

from metagpt_tf import meta

CLASSES = [name for name in meta.__all__ if isinstance(getattr(meta, name), type)]


@pytest.mark.parametrize("name", CLASSES)
def test_public_classes_are_documented(name: str) -> None:
    text = getattr(meta, name).__doc__
    assert all(part in text for part in ("Example:", ">>>"))
    assert "Args:" in text or not inspect.signature(getattr(meta, name)).parameters
    if issubclass(getattr(meta, name), meta.Algorithm):
        assert all(part in text for part in ("Raises:", "Reference:"))
