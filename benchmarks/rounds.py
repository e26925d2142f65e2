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

from machine import busy_seconds, version_of

HERE = Path(__file__).resolve().parent
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
CLEAN = 0.1  # cores that others may use before a warning
SETTLE_SECONDS = 0.5  # thread pools of the one before still spin for a moment


class Entry(NamedTuple):
    """A contestant by name, where its class is, which library it needs, and settings of its own."""

    name: str
    place: str
    needs: str
    settings: dict[str, Any] | None = None


class Worker:
    """A running contestant.

    Args:
        entry: whom to run.
        settings: handed to the contestant.
        cores: how many it may use.

    Attributes:
        ready: what it reported when it had compiled: `import_mib`, `first_seconds`.
        reports: what it reported of each round.
    """

    def __init__(self, entry: Entry, settings: dict[str, Any], cores: int) -> None:
        self.entry = entry
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by quit
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

    def measure(self, steps: int, limit: float | None = None) -> None:
        """One round of `steps` steps; none begins after `limit` seconds."""
        time.sleep(SETTLE_SECONDS)
        start, busy = time.perf_counter(), busy_seconds()
        report = self.ask("measure", steps, limit)
        if busy is not None:
            others = busy_seconds() - busy - report["cpu_seconds"]
            report["others"] = max(0.0, others / (time.perf_counter() - start))
        self.reports.append(report)

    def ask(self, command: str, *values: Any) -> dict[str, Any]:
        """Send a command and wait for the report."""
        self._write([command, *values])
        return self._read()

    def quit(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self._write(["quit"])
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.log.close()

    def summary(self) -> dict[str, Any]:
        """Medians and memory, ready for JSON; what must agree is asked for now."""
        rounds = [report["seconds"] for report in self.reports]
        extra = [report["epoch_seconds_per_step"] for report in self.reports if "epoch_seconds_per_step" in report]
        others = [report["others"] for report in self.reports if "others" in report]
        return {
            "median_ms": round(1e3 * statistics.median(s for seconds in rounds for s in seconds), 3),
            "fastest_ms": round(1e3 * min(s for seconds in rounds for s in seconds), 3),
            "round_medians_ms": [round(1e3 * statistics.median(seconds), 3) for seconds in rounds],
            "steps_per_round": [len(seconds) for seconds in rounds],
            **({"epoch_ms_per_step": round(1e3 * statistics.median(extra), 3)} if extra else {}),
            # Cores that processes outside of the benchmark kept busy meanwhile: a clean run has next to none.
            "cores_of_others": round(max(others), 2) if others else None,
            "peak_mib": round(self.reports[-1]["peak_mib"]),
            "import_mib": round(self.ready["import_mib"]),
            "first_seconds": round(self.ready["first_seconds"], 2),
            "facts": self.ask("check"),
        }

    def _write(self, command: list[Any]) -> None:
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
    entries: list[Entry], settings: dict[str, Any], cores: int, rounds: int, steps: int, limit: float | None = None
) -> dict[str, dict[str, Any]]:
    """Start every contestant, measure them in turn, and return each one's summary by name.

    Args:
        entries: whom to run.
        settings: handed to each.
        cores: how many each may use.
        rounds: how often each has its turn.
        steps: steps of a turn.
        limit: seconds after which a turn begins no new step.
    """
    workers: list[Worker] = []
    try:
        for entry in entries:
            workers.append(Worker(entry, {**settings, **(entry.settings or {})}, cores))
        for _ in range(rounds):
            for worker in workers:
                worker.measure(steps, limit)
        return {worker.entry.name: worker.summary() for worker in workers}
    finally:
        for worker in workers:
            worker.quit()


def compare(
    label: str, first: dict[str, Any], second: dict[str, Any], target: float | None = None, at_least: bool = False
) -> dict[str, Any]:
    """Print and return how many times the second's time the first needs, beside its target if there is one.

    From medians; in brackets each round's, and that of the fastest steps, which others on the machine disturb least.

    Args:
        label: what is compared.
        first, second: summaries.
        target: the largest ratio wanted; with `at_least` the smallest of its inverse, a ratio of speeds.
        at_least: compare speeds and not times.
    """
    pairs = [(first["median_ms"], second["median_ms"])]
    pairs += zip(first["round_medians_ms"], second["round_medians_ms"], strict=True)
    pairs.append((first["fastest_ms"], second["fastest_ms"]))
    ratio, *rounds, fastest = [round(b / a if at_least else a / b, 4) for a, b in pairs]
    text = f"  {label}: {ratio:.3f}  (rounds {' '.join(f'{r:.3f}' for r in rounds)}, fastest {fastest:.3f})"
    found = {"label": label, "ratio": ratio, "round_ratios": rounds, "fastest_ratio": fastest}
    if target is None:
        print(text)
        return found
    reached = ratio >= target if at_least else ratio <= target
    print(f"{text}  target {'≥' if at_least else '≤'} {target}: {'reached' if reached else 'missed'}")
    return {**found, "target": target, "at_least": at_least, "reached": reached}


def note_disturbance(results: dict[str, dict[str, Any]]) -> None:
    """Warn where something else ran meanwhile: times of threaded programs then mean little."""
    seen = {name: r["cores_of_others"] for name, r in results.items() if (r["cores_of_others"] or 0) > CLEAN}
    if seen:
        listed = ", ".join(f"{name} {share:.2f}" for name, share in seen.items())
        print(f"  NOT CLEAN: other processes kept cores busy meanwhile (up to, in a round): {listed}.")


def table(head: list[str], rows: list[list[str]]) -> None:
    """Print columns, the first to the left and the rest to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  " + "  ".join(cells))


def write_json(path: str | None, content: dict[str, Any]) -> None:
    """Write the results, if a path was given."""
    if path:
        save_json(Path(path), content)
        print(f"\nwritten to {path}")


def save_json(path: Path, content: Any) -> None:
    """Write the file and the folders it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def require_product() -> None:
    """Say how to install what is measured, before any process starts.

    Raises:
        SystemExit: metagpt_tf is not installed.
    """
    if version_of("metagpt_tf") is None:
        raise SystemExit("metagpt_tf is not installed in this environment: pip install -e . in the repository's root.")
