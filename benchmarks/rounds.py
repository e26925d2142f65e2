"""The parent's side: one process a contestant, measured in turn (A B C A B C), and the table of what they needed."""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from machine import version_of

HERE = Path(__file__).resolve().parent
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
SETTLE_SECONDS = 0.5  # thread pools of the one before still spin for a moment


class Entry(NamedTuple):
    """A contestant by name: where its class is, which distribution it needs, how many steps a round (`None`: as asked)."""

    name: str
    place: str
    needs: str
    steps: int | None = None


class Worker:
    """A running contestant.

    Args:
        entry: whom to run.
        settings: handed to the contestant.
        cores: how many it may use.

    Attributes:
        ready: what it reported when it had compiled: `import_mib`, `first_seconds`, `facts`.
        rounds: seconds of the steps, a list a round.
        reports: the full report of each round.
    """

    def __init__(self, entry: Entry, settings: dict[str, Any], cores: int) -> None:
        self.entry = entry
        self.log = tempfile.TemporaryFile("w+")
        order = json.dumps({"contestant": entry.place, "settings": settings, "cores": cores})
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), order],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env={**os.environ, **QUIET},
        )
        self.ready = self._read()
        self.reports: list[dict[str, Any]] = []

    @property
    def rounds(self) -> list[list[float]]:
        return [report["seconds"] for report in self.reports]

    def measure(self, steps: int) -> None:
        """One round of `steps` steps."""
        time.sleep(SETTLE_SECONDS)
        self._write({"measure": self.entry.steps or steps})
        self.reports.append(self._read())

    def quit(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self._write({"quit": True})
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.log.close()

    def summary(self) -> dict[str, Any]:
        """Medians and memory, ready for JSON."""
        medians = [statistics.median(seconds) for seconds in self.rounds]
        return {
            "median_ms": round(1e3 * statistics.median(s for seconds in self.rounds for s in seconds), 3),
            "round_medians_ms": [round(1e3 * m, 3) for m in medians],
            "steps_per_round": len(self.rounds[0]),
            "peak_mib": round(self.reports[-1]["peak_mib"]),
            "import_mib": round(self.ready["import_mib"]),
            "first_seconds": round(self.ready["first_seconds"], 2),
            "facts": self.ready["facts"],
        }

    def _write(self, command: dict[str, Any]) -> None:
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.process.wait()
        self.log.seek(0)
        raise RuntimeError(
            f"{self.entry.name} ended with code {self.process.returncode} before it answered. "
            f"The end of what it said:\n{self.log.read()[-3000:]}"
        )


def installed(entries: list[Entry]) -> list[Entry]:
    """Those that can run here; a line is printed for each that cannot."""
    present = []
    for entry in entries:
        if importlib.util.find_spec(entry.needs) is not None:
            present.append(entry)
        else:
            print(f"{entry.name}: skipped, {entry.needs} is not installed (pip install {entry.needs}).")
    return present


def run_rounds(
    entries: list[Entry], settings: dict[str, Any], cores: int, rounds: int, steps: int
) -> dict[str, dict[str, Any]]:
    """Start every contestant, measure them in turn, and return each one's summary by name."""
    workers: list[Worker] = []
    try:
        for entry in entries:
            workers.append(Worker(entry, settings, cores))
        for _ in range(rounds):
            for worker in workers:
                worker.measure(steps)
        return {worker.entry.name: worker.summary() for worker in workers}
    finally:
        for worker in workers:
            worker.quit()


def verdict(label: str, ratio: float, target: float, at_least: bool = False) -> dict[str, Any]:
    """Print a ratio beside its target, and return both."""
    reached = ratio >= target if at_least else ratio <= target
    sign = "≥" if at_least else "≤"
    print(f"  {label}: {ratio:.3f}  (target {sign} {target}: {'reached' if reached else 'missed'})")
    return {"label": label, "ratio": round(ratio, 4), "target": target, "at_least": at_least, "reached": reached}


def table(head: list[str], rows: list[list[str]]) -> None:
    """Print columns, the first to the left and the rest to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  " + "  ".join(cells))


def write_json(path: str | None, content: dict[str, Any]) -> None:
    """Write the results, if a path was given."""
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        print(f"\nwritten to {path}")


def require_product() -> None:
    """Say how to install what is measured, before any process starts.

    Raises:
        SystemExit: metagpt_tf is not installed.
    """
    if version_of("metagpt_tf") is None:
        raise SystemExit("metagpt_tf is not installed in this environment: pip install -e . in the repository's root.")
