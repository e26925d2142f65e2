"""What a meta-training step of each algorithm costs, in units of a plain gradient step of the same model.

Each algorithm is measured in turn with the plain step, in two processes, so that a machine that slows down slows both.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from contestants.meta_data import add_options
from machine import cores, describe, sentence
from rounds import Entry, note_disturbance, require_product, run_rounds, table

RESULT = Path(__file__).parent / "results" / "shelf.json"
PLAIN = "plain"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--algorithms", nargs="+", help="names of the registry; all if left out")
    add_options(add)
    add("--inner-steps", type=int, default=2)
    add("--seed", type=int, default=0)
    add("--inner-learning-rate", type=float, default=0.01)
    add("--outer-learning-rate", type=float, default=1e-4)
    add("--steps", type=int, default=6, help="measured steps a round")
    add("--rounds", type=int, default=2)
    add("--cores", type=int, default=cores())
    add("--json", metavar="PATH", help=f"write the results there, e.g. {RESULT.name}")
    return parser.parse_args()


def main() -> None:
    options = parse()
    require_product()
    from metagpt_tf.meta import registry

    machine = describe()
    print(sentence(machine))
    names = options.algorithms or registry.names()
    settings = {k: v for k, v in vars(options).items() if k not in ("json", "algorithms")}
    results = {}
    for name in names:
        results[name] = measure(name, settings, options)
        show(results)
    if options.json:
        content = {"benchmark": "shelf", "machine": machine, "settings": settings, "algorithms": results}
        Path(options.json).write_text(json.dumps(content, indent=2) + "\n")


def measure(name: str, settings: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Median seconds of a step, and its ratio to the plain step measured beside it."""
    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "weights.npz")
        place = ("contestants.shelf_keras:Step", "tensorflow")
        entries = [Entry(n, *place, {"algorithm": n}) for n in (PLAIN, name)]
        shared = {**settings, "weights": weights}
        found = run_rounds(entries, shared, options.cores, options.rounds, options.steps)
    note_disturbance(found)
    mine, plain = found[name], found[PLAIN]
    return {
        "seconds": round(mine["median_ms"] / 1e3, 4),
        "plain_seconds": round(plain["median_ms"] / 1e3, 4),
        "ratio_to_plain": round(mine["median_ms"] / plain["median_ms"], 2),
        "peak_mb": mine["peak_mib"],
        "plain_peak_mb": plain["peak_mib"],
        "trace_seconds": mine["first_seconds"],
        "cores_of_others": mine["cores_of_others"],
    }


def show(results: dict[str, dict[str, Any]]) -> None:
    head = ["", "× plain step", "ms", "plain ms", "peak MiB", "first step s"]
    rows = [
        [
            name,
            f"{r['ratio_to_plain']:.1f}",
            f"{1e3 * r['seconds']:.0f}",
            f"{1e3 * r['plain_seconds']:.0f}",
            f"{r['peak_mb']}",
            f"{r['trace_seconds']:.0f}",
        ]
        for name, r in list(results.items())[-1:]
    ]
    table(head, rows)


if __name__ == "__main__":
    main()
