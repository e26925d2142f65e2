"""Times a LiteRT file in a process of its own, with the runtime and nothing else beside it.

Run as a script: `latency_worker.py FILE REPEATS [THREADS]`. Writes one line of JSON.
"""

import json
import pathlib
import resource
import sys
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def megabytes() -> float:
    """Most memory this process has held."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():  # `ru_maxrss` is inherited from the process that started this one
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(path: str, repeats: int, threads: int = 1) -> dict[str, float]:
    """Percentiles of one answer and one adaptation in milliseconds, and the memory that the file took."""
    before = megabytes()
    interpreter = Interpreter(path, num_threads=threads)
    names = interpreter.get_signature_list()
    found = {}
    for label, name in (("latency_ms", "generate" if "generate" in names else "predict"), ("adapt_ms", "adapt")):
        runner = interpreter.get_signature_runner(name)
        letter = 100 if "generate" in names else 0
        inputs = {key: filled(details, letter) for key, details in runner.get_input_details().items()}
        times = []
        for _ in range(repeats + 1):
            began = time.perf_counter()
            runner(**inputs)
            times.append(1000 * (time.perf_counter() - began))
        found[f"{label}_p50"], found[f"{label}_p95"] = np.percentile(times[1:], [50, 95]).tolist()
    return {**found, "peak_mb": megabytes() - before}


def filled(details: dict, letter: int) -> np.ndarray:
    """An input of that shape; ids of texts are letters, so that no row is empty."""
    whole = np.issubdtype(details["dtype"], np.integer)
    return np.full(details["shape"], letter if whole else 0, details["dtype"])


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], *map(int, sys.argv[2:]))) + "\n")
