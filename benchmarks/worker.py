"""The child process: holds one contestant, measures it when told to, and reports its own peak memory.

It speaks JSON, one line each way: `["measure", n, seconds]`, `["check"]` or `["quit"]` in, a report out. Started by
`rounds.Worker`.
"""

import importlib
import json
import os
import resource
import sys
import time
from typing import IO, Any


def main() -> None:
    order = json.loads(sys.argv[1])
    _use_cores(order["cores"])
    out = _private_stdout()
    start = time.perf_counter()
    module, name = order["contestant"].split(":")
    contestant_class = getattr(importlib.import_module(module), name)
    imported = {"import_seconds": time.perf_counter() - start, "import_mib": peak_mib()}
    start = time.perf_counter()
    contestant = contestant_class(order["settings"])
    _reply(out, {**imported, "first_seconds": time.perf_counter() - start})
    for line in sys.stdin:
        command, *values = json.loads(line)
        if command == "quit":
            return
        if command == "check":
            _reply(out, contestant.check())
        else:
            start = time.process_time()
            report = contestant.measure(*values)
            _reply(out, {**report, "cpu_seconds": time.process_time() - start, "peak_mib": peak_mib()})


def peak_mib() -> float:
    """The largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _use_cores(count: int) -> None:
    """Every framework sizes its thread pools by the cores that it may use, so this is the same limit for all."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    os.environ["OMP_NUM_THREADS"] = str(count)


def _private_stdout() -> IO[str]:
    """The pipe to the parent; what libraries print goes to stderr instead."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def _reply(out: IO[str], message: dict[str, Any]) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
