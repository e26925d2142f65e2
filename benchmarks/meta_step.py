"""What a meta-training step of every algorithm costs: in units of a plain step, and beside JAX and torch.func.

Each algorithm is measured in turn with the plain gradient step of the same model, with the same step in JAX and in
torch.func where there is one, and for MAML and FOMAML with a bare `tf.function`: all from the same weights, in a
process each, so that a machine that slows down slows all of them. Results are written after each algorithm; those
that the file holds of other algorithms stay.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from contestants.meta_data import add_options
from machine import cores, describe, sentence
from results_file import ResultsFile
from rounds import Entry, compare, installed, note_disturbance, require_product, run_rounds, table

PLAIN, FIT, BARE, JAX, TORCH = "plain", "fit", "bare", "jax", "torch"
WORDS = {PLAIN: "the plain step", BARE: "bare tf.function", JAX: "JAX jit + vmap", TORCH: "torch.func"}
ENTRIES = [
    Entry(PLAIN, "contestants.meta_keras:Plain", "tensorflow"),
    Entry(FIT, "contestants.meta_keras:Fit", "tensorflow"),
    Entry(BARE, "contestants.meta_keras:Bare", "tensorflow"),
    Entry(JAX, "contestants.meta_jax:Jax", "jax"),
    Entry(TORCH, "contestants.meta_torch:Torch", "torch"),
]
# Who else has written the step down; the other algorithms are measured against the plain step alone.
WRITTEN_DOWN = {
    BARE: ("maml", "fomaml"),
    JAX: ("maml", "fomaml", "meta_sgd", "anil", "reptile"),
    TORCH: ("maml", "fomaml", "meta_sgd", "anil", "reptile"),
}
TARGETS = {(a, name): target for a in ("maml", "fomaml") for name, target in ((BARE, 1.05), (JAX, 0.7))}
TOLERANCE = 1e-4


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--algorithms", nargs="+", metavar="NAME", help="names of the registry; all of it if left out")
    add_options(add)
    add("--inner-steps", type=int, default=2)
    add("--inner-learning-rate", type=float, default=0.1)
    add("--outer-learning-rate", type=float, default=1e-3)
    add("--steps", type=int, default=6, help="measured steps a round")
    add("--rounds", type=int, default=3, help="rounds over all contestants of an algorithm")
    add("--checked-steps", type=int, default=3, help="first steps whose losses must agree")
    add("--cores", type=int, default=cores(), help="cores that each contestant may use")
    add("--seed", type=int, default=0)
    add("--json", metavar="PATH", help="write the results there, beside what it holds of other algorithms")
    return parser.parse_args()


def main() -> None:
    options = parse()
    require_product()
    names = known(options.algorithms)
    settings = {k: v for k, v in vars(options).items() if k not in ("json", "algorithms", "steps", "rounds")}
    machine = describe()
    print(sentence(machine))
    print(
        f"MetaGPT {options.layers}+{options.layers} layers, dim {options.dim}, {options.heads} heads, hidden "
        f"{options.hidden}; {options.length} + {options.length} tokens, {options.tasks} tasks, K = {options.support}, "
        f"Q = {options.query}, {options.inner_steps} inner steps, Adam outside.\nCompiled metrics are off for all "
        f"(metrics=[]); the query loss before adaptation is computed by all. {options.rounds} rounds in turn of "
        f"{options.steps} steps on {options.cores} cores, float32.\n"
    )
    file = ResultsFile(options.json, "meta_step", machine, settings, names)
    entries = installed(ENTRIES)
    for name in names:
        file.add(name, measure(name, entries, settings, options))
    summary(file.algorithms)
    if options.json:
        print(f"\nwritten to {options.json}")


def known(names: list[str] | None) -> list[str]:
    """The names of the registry that were asked for, all of it for `None`.

    Raises:
        SystemExit: a name that is not in the registry.
    """
    # In a process of its own: a child's peak memory begins at its parent's, so the parent must not carry TensorFlow.
    code = "from metagpt_tf.meta import registry; print(*registry.names())"
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    registered = asked.stdout.split()
    unknown = sorted(set(names or ()) - set(registered))
    if unknown:
        raise SystemExit(f"Unknown algorithms: {', '.join(unknown)}. Choose from {', '.join(registered)}.")
    return list(dict.fromkeys(names or registered))


def measure(name: str, entries: list[Entry], settings: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """One algorithm: its contestants measured in turn, shown, compared, and what the file keeps of them."""
    mine = [entry for entry in entries if name in WRITTEN_DOWN.get(entry.name, (name,))]
    with tempfile.TemporaryDirectory() as folder:
        shared = {**settings, "algorithm": name, "weights": str(Path(folder) / "weights.npz")}
        found = run_rounds(mine, shared, options.cores, options.rounds, options.steps)
    print(name)
    show(found)
    check_agreement(found)
    ratios = ratios_of(name, found)
    note_disturbance(found)
    print()
    return record(found, ratios)


def show(found: dict[str, dict[str, Any]]) -> None:
    """The table of one algorithm."""
    head = ["", "ms a step", "fastest", "rounds", "peak MiB", "imports MiB", "first steps s", "query loss"]
    rows = [
        [
            name,
            f"{r['median_ms']:.1f}",
            f"{r['fastest_ms']:.1f}",
            " ".join(f"{m:.0f}" for m in r["round_medians_ms"]),
            f"{r['peak_mib']}",
            f"{r['import_mib']}",
            f"{r['first_seconds']:.1f}",
            f"{r['facts']['loss'][0]:.5f}" if r["facts"] else "",
        ]
        for name, r in found.items()
    ]
    table(head, rows)


def check_agreement(found: dict[str, dict[str, Any]]) -> None:
    """All must compute the same function, or their times mean nothing.

    The first step compares the losses at our weights, the next ones the outer gradient and the optimizer too.

    Raises:
        SystemExit: a loss of one of the first steps differs.
    """
    others = [name for name in found if name not in (PLAIN, FIT)]
    for name in others:
        for kind, expected in found[FIT]["facts"].items():
            for step, (ours, theirs) in enumerate(zip(expected, found[name]["facts"][kind], strict=True), 1):
                if not abs(ours - theirs) <= TOLERANCE:
                    raise SystemExit(f"{kind} of step {step}: ours {ours}, {name} {theirs}; not the same computation.")
    if others:
        steps = len(found[FIT]["facts"]["loss"])
        listed = ", ".join(others)
        print(f"  query, earlier query and support loss of {listed} agree to {TOLERANCE} in steps 1 to {steps}")


def ratios_of(algorithm: str, found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Our time over that of each other contestant, by its name, with the targets."""
    return {
        name: compare(f"time of fit / {WORDS[name]}", found[FIT], found[name], TARGETS.get((algorithm, name)))
        for name in found
        if name != FIT
    }


def record(found: dict[str, dict[str, Any]], ratios: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the file keeps of an algorithm: the figures that are quoted, then each contestant's own."""
    fit, plain = found[FIT], found[PLAIN]
    ratio = {name: ratios[name]["ratio"] if name in ratios else None for name in (PLAIN, JAX, TORCH)}
    others = [r["cores_of_others"] for r in found.values() if r["cores_of_others"] is not None]
    return {
        "seconds": round(fit["median_ms"] / 1e3, 4),
        "plain_seconds": round(plain["median_ms"] / 1e3, 4),
        **{f"ratio_to_{name}": value for name, value in ratio.items()},
        **({"ratio_to_bare": ratios[BARE]["ratio"]} if BARE in ratios else {}),
        "peak_mb": fit["peak_mib"],
        "plain_peak_mb": plain["peak_mib"],
        "trace_seconds": fit["first_seconds"],
        "cores_of_others": max(others, default=None),
        "targets": {f"ratio_to_{name}": r for name, r in ratios.items() if "target" in r},
        "contestants": found,
    }


def summary(algorithms: dict[str, dict[str, Any]]) -> None:
    """The table of all algorithms, those of earlier runs that the file holds included."""
    head = ["", "× plain", "× JAX", "× torch.func", "ms a step", "peak MiB"]
    ratios = ("ratio_to_plain", "ratio_to_jax", "ratio_to_torch")
    rows = [
        [
            name,
            *("" if r[ratio] is None else f"{r[ratio]:.2f}" for ratio in ratios),
            f"{1e3 * r['seconds']:.0f}",
            f"{r['peak_mb']}",
        ]
        for name, r in algorithms.items()
    ]
    table(head, rows)


if __name__ == "__main__":
    main()
