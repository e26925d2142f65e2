"""Time against peak memory of a second-order step: tasks at once or in turn, inner steps kept or computed again.

Every configuration runs in a process of its own, one after the other, so that its peak is its own. Rows of the same
number of inner steps compute the same thing, and the script ends with an error where their losses differ.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from contestants.meta_data import add_options
from machine import cores, describe, sentence
from rounds import Entry, Worker, note_disturbance, require_product, table, write_json

FORMS = {
    "vectorized": ("vectorized", False),
    "sequential": ("sequential", False),
    "vectorized, rematerialized": ("vectorized", True),
    "sequential, rematerialized": ("sequential", True),
}
TOLERANCE = 1e-4


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--inner-steps", type=int, nargs="+", default=[1, 2, 3, 5, 7, 10])
    add("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    add_options(add)
    add("--inner-learning-rate", type=float, default=0.05)
    add("--outer-learning-rate", type=float, default=1e-3)
    add("--steps", type=int, default=8, help="measured steps a round")
    add("--rounds", type=int, default=2, help="rounds of a configuration")
    add("--checked-steps", type=int, default=2, help="first steps whose losses must agree")
    add("--cores", type=int, default=cores(), help="cores that each process may use")
    add("--seed", type=int, default=0)
    add("--json", metavar="PATH", help="write the results there")
    return parser.parse_args()


def main() -> None:
    options = parse()
    require_product()
    machine = describe()
    print(sentence(machine))
    print(
        f"MetaGPT {options.layers}+{options.layers} layers, dim {options.dim}, hidden {options.hidden}; "
        f"{options.length} + {options.length} tokens, {options.tasks} tasks, K = {options.support}, "
        f"Q = {options.query}, second order (MAML), Adam outside.\nOne process a row, one after the other; "
        f"{options.rounds} rounds of {options.steps} steps on {options.cores} cores, float32.\n"
    )
    unsettled = ("json", "inner_steps", "forms", "steps", "rounds")
    settings = {k: v for k, v in vars(options).items() if k not in unsettled}
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        shared = {**settings, "weights": str(Path(folder) / "weights.npz")}
        for count in options.inner_steps:
            found = {form: measured(form, {**shared, "inner_steps": count}, options) for form in options.forms}
            show(count, found)
            results[str(count)] = found
    content = {"benchmark": "memory", "machine": machine, "settings": settings, "results": results}
    write_json(options.json, content)


def measured(form: str, settings: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """The summary of one configuration, from a process that has ended when this returns."""
    parallelism, again = FORMS[form]
    settings = {**settings, "task_parallelism": parallelism, "rematerialize": again}
    worker = Worker(Entry(form, "contestants.memory_keras:Step", "tensorflow"), settings, options.cores)
    try:
        for _ in range(options.rounds):
            worker.measure(options.steps)
        return worker.summary()
    finally:
        worker.quit()


def show(count: int, results: dict[str, dict[str, Any]]) -> None:
    """The table of one number of inner steps."""
    print(f"{count} inner steps")
    head = ["", "ms a step", "fastest", "peak MiB", "beyond imports MiB", "first steps s", "query loss"]
    rows = [
        [
            name,
            f"{r['median_ms']:.1f}",
            f"{r['fastest_ms']:.1f}",
            f"{r['peak_mib']}",
            f"{r['peak_mib'] - r['import_mib']}",
            f"{r['first_seconds']:.1f}",
            f"{r['facts']['loss'][0]:.5f}",
        ]
        for name, r in results.items()
    ]
    table(head, rows)
    check_agreement(results)
    note_disturbance(results)
    print()


def check_agreement(results: dict[str, dict[str, Any]]) -> None:
    """All forms must compute the same function, or their memory means nothing.

    Raises:
        SystemExit: a loss of one of the first steps differs.
    """
    first, *others = results.items()
    for name, result in others:
        for kind, expected in first[1]["facts"].items():
            for step, (one, other) in enumerate(zip(expected, result["facts"][kind], strict=True), 1):
                if not abs(one - other) <= TOLERANCE:
                    raise SystemExit(f"{kind} of step {step}: {first[0]} {one}, {name} {other}; not the same step.")


if __name__ == "__main__":
    main()
