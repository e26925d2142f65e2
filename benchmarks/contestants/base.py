"""What the worker asks of a contestant."""

import math
import time
from collections.abc import Callable
from typing import Any


class Contestant:
    """One program under measurement: made once from the settings, then asked for steps again and again.

    A subclass compiles and warms up in `__init__`. What must agree between contestants it leaves in `facts`, or works
    out in `check`, which is asked after the last measurement and so costs neither time nor memory in the table.

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

    def measure(self, count: int, limit: float | None) -> dict[str, Any]:
        """Seconds of each of `count` steps, after one that does not count (others had the caches before).

        After `limit` seconds no new step begins; if already the first took longer, it counts.
        """
        limit = math.inf if limit is None else limit
        first = seconds_of(self.step)
        if first > limit:
            return {"seconds": [first]}
        seconds: list[float] = []
        while len(seconds) < count and first + sum(seconds) <= limit:
            seconds.append(seconds_of(self.step))
        return {"seconds": seconds}

    def check(self) -> dict[str, Any]:
        """What must agree between contestants."""
        return self.facts


def seconds_of(function: Callable[[], Any]) -> float:
    """Wall-clock seconds of a call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
