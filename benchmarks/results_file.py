"""A file of results that grows by one algorithm at a time and keeps those it holds already."""

import json
from pathlib import Path
from typing import Any

from rounds import save_json

PASSING = ("date", "load_average")  # what differs between two runs on one machine


class ResultsFile:
    """Results by algorithm, written whenever one is added: a run that is cut short loses only the one it was at.

    Results that stay in the file must be of the same settings and the same machine as those that join them: their
    times stand beside each other in one table. A run that measures all of them again replaces the file.

    Args:
        path: where the file is, or will be; `None` to keep nothing.
        benchmark: name of the benchmark.
        machine: `machine.describe()`.
        settings: what every algorithm in the file is measured with.
        measured: the algorithms that this run is about to measure.

    Attributes:
        algorithms: results by name of the algorithm, in the order of the names.

    Raises:
        SystemExit: algorithms that would stay were measured with other settings or on another machine.
    """

    def __init__(
        self,
        path: str | None,
        benchmark: str,
        machine: dict[str, Any],
        settings: dict[str, Any],
        measured: list[str],
    ) -> None:
        self.path = Path(path) if path else None
        self.head = {"benchmark": benchmark, "machine": machine, "settings": settings}
        self.algorithms: dict[str, dict[str, Any]] = {}
        old = self._read()
        before = old.get("algorithms", {})
        differing = self._differing(old)
        kept = [name for name in before if name not in measured]
        if kept and differing:
            raise SystemExit(
                f"{path} holds {', '.join(kept)}, measured with other {', '.join(differing)}. Give the same, measure "
                "these too (all algorithms if --algorithms is left out), or write to another file."
            )
        if not differing:
            self.algorithms = before

    def add(self, name: str, result: dict[str, Any]) -> None:
        """Put an algorithm's results into the file, with the day they were measured on."""
        result = {**result, "date": self.head["machine"]["date"]}
        self.algorithms = dict(sorted({**self.algorithms, name: result}.items()))
        if self.path:
            save_json(self.path, {**self.head, "algorithms": self.algorithms})

    def _read(self) -> dict[str, Any]:
        return json.loads(self.path.read_text(encoding="utf-8")) if self.path and self.path.exists() else {}

    def _differing(self, old: dict[str, Any]) -> list[str]:
        """`settings.dim (32, now 128)` and the like."""
        found = []
        for part in ("settings", "machine"):
            before, now = old.get(part, {}), self.head[part]
            keys = sorted({*before, *now} - set(PASSING))
            differ = [key for key in keys if before.get(key) != now.get(key)]
            found += [f"{part}.{key} ({before.get(key)}, now {now.get(key)})" for key in differ]
        return found
