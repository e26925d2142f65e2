"""What a part of an elastic model costs as a LiteRT file on this machine, and whether that is within a budget."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from metagpt_tf.compression.report import timings
from metagpt_tf.export import export_litert
from metagpt_tf.files import written_aside
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models.elastic import Sizes
from metagpt_tf.registry import closest


@dataclass(frozen=True)
class FileBudget:
    """What a file may need; `None` where it does not matter.

    Attributes:
        size_mb: of the LiteRT file, in millions of bytes.
        latency_ms: of an answer, all tokens, one thread, median.
        adapt_ms: of an adaptation to K examples.
        memory_mb: that loading and running the file takes, in MiB.

    Raises:
        ValueError: nothing in it, or a limit that is not above 0.

    Example:

    >>> FileBudget(size_mb=2.0).over({"size_mb": 3.0, "latency_ms": 9.0})
    {'size_mb': 1.5}
    """

    size_mb: float | None = None
    latency_ms: float | None = None
    adapt_ms: float | None = None
    memory_mb: float | None = None

    def __post_init__(self) -> None:
        limits = self.limits()
        if not limits:
            raise ValueError(f"A budget needs one of {', '.join(f.name for f in fields(self))}, received none.")
        for name, limit in limits.items():
            if not limit > 0:
                raise ValueError(f"{name} of a budget must be above 0, received {limit!r}.")

    @classmethod
    def of(cls, budget: "FileBudget | Mapping[str, float]") -> "FileBudget":
        """A budget, or one of a mapping.

        Raises:
            ValueError: an unknown name; the closest is suggested.
        """
        if isinstance(budget, FileBudget):
            return budget
        for name in budget:
            if name not in cls.__dataclass_fields__:
                raise ValueError(f"Unknown budget {name!r}. {closest(name, cls.__dataclass_fields__)}")
        return cls(**budget)

    def limits(self) -> dict[str, float]:
        """What is limited."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

    def over(self, cost: Mapping[str, float]) -> dict[str, float]:
        """What is over its limit, as a multiple of it; empty if the budget is kept."""
        return {name: cost[name] / limit for name, limit in self.limits().items() if cost[name] > limit}


def cost_of(learner: MetaLearner, k_shot: int = 8, repeats: int = 10) -> dict[str, float]:
    """Export a learner to LiteRT and run the file in a process of its own.

    Args:
        learner: compiled, of any model that can be exported.
        k_shot: K of the file.
        repeats: calls that are timed.

    Returns:
        `size_mb`, `latency_ms`, `adapt_ms`, `memory_mb`, and `parameters`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = export_litert(learner, Path(folder) / "part.tflite", k_shot)
        found = timings(path, repeats)
        size = path.stat().st_size / 1e6
    return {
        "size_mb": size,
        "latency_ms": found["latency_ms_p50"],
        "adapt_ms": found["adapt_ms_p50"],
        "memory_mb": found["peak_mb"],
        "parameters": float(learner.model.count_params()),
    }


class Costs:
    """Costs of parts, each measured once, and not at all where a larger or a smaller one has told.

    A part is within the budget if one that is at least as large in each size is, and over it if one that is at most
    as large is: a file takes a quarter of a minute to make. What is chosen in the end is always measured itself.

    Args:
        measure: sizes to a cost.
        budget: what is allowed.
        path: where costs are kept, a JSON file; `None` to forget them.
    """

    def __init__(
        self, measure: Callable[[Sizes], dict[str, float]], budget: FileBudget, path: Path | None = None
    ) -> None:
        self.measure, self.budget, self.path = measure, budget, path
        kept = json.loads(path.read_text()) if path is not None and path.exists() else []
        self.known: dict[Sizes, dict[str, float]] = {Sizes(*sizes): cost for sizes, cost in kept}

    def of(self, sizes: Sizes) -> dict[str, float]:
        """The cost of a part, measured if it was not."""
        if sizes not in self.known:
            self.known[sizes] = self.measure(sizes)
            if self.path is not None:
                with written_aside(self.path) as aside:
                    aside.write_text(json.dumps([[list(key), cost] for key, cost in self.known.items()]))
        return self.known[sizes]

    def fits(self, sizes: Sizes) -> bool:
        """Whether a part is within the budget."""
        for other, cost in self.known.items():
            kept = not self.budget.over(cost)
            if kept and all(a <= b for a, b in zip(sizes, other, strict=True)):
                return True
            if not kept and all(a >= b for a, b in zip(sizes, other, strict=True)):
                return False
        return not self.budget.over(self.of(sizes))

    def check_smallest(self, smallest: Sizes) -> None:
        """Refuse a budget that the smallest part does not keep.

        Raises:
            ValueError: with the cost of the smallest, which is the nearest.
        """
        over = self.budget.over(self.of(smallest))
        if over:
            cost = self.of(smallest)
            told = ", ".join(f"{name} {cost[name]:.3g} (limit {self.budget.limits()[name]:.3g})" for name in over)
            sizes = ", ".join(f"{name}={size}" for name, size in smallest._asdict().items())
            raise ValueError(
                f"No part keeps this budget. The nearest is the smallest ({sizes}): {told}. Allow as much, or give "
                "smaller choices."
            )


def plain(cost: Mapping[str, Any]) -> dict[str, float]:
    """A cost in few digits, to be read."""
    return {name: float(f"{value:.4g}") for name, value in cost.items()}
