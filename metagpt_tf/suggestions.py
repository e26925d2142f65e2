"""What somebody may have meant; apart from the registry, so that rooms without Keras can say it too."""

import difflib
from collections.abc import Iterable


def closest(name: str, names: Iterable[str]) -> str:
    """Return a sentence that lists the known names, the likeliest one first."""
    names = sorted(names)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.4)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{hint}Known names: {', '.join(names)}."
