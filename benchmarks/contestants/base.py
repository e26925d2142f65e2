"""What the worker asks of a contestant."""

import time
from collections.abc import Callable
from typing import Any


class Contestant:
    """One program under measurement: made once from the settings, then asked for steps again and again.

    A subclass compiles and warms up in `__init__`, and leaves in `facts` what must agree between contestants.

    Args:
        settings: plain values, see the scripts' options.
    """

    facts: dict[str, Any]

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.facts = {}

    def step(self) -> None:
        """One unit of work, finished when this returns."""
        raise NotImplementedError(f"{type(self).__name__} must define step().")

    def measure(self, count: int) -> dict[str, Any]:
        """Seconds of each of `count` steps, after one that does not count (others had the caches before)."""
        self.step()
        return {"seconds": [seconds_of(self.step) for _ in range(count)]}


def seconds_of(function: Callable[[], Any]) -> float:
    """Wall-clock seconds of a call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
