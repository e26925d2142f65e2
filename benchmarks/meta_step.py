"""Time and memory of a meta-training step: ours, a bare `tf.function`, JAX and torch.func, on the same weights."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from contestants.meta_data import add_options
from machine import cores, describe, sentence
from rounds import Entry, compare, installed, note_disturbance, require_product, run_rounds, table, write_json

FIT, BARE, JAX, TORCH = "ours, MetaLearner.fit", "ours, bare tf.function", "JAX jit + vmap", "torch.func"
ENTRIES = [
    Entry(FIT, "contestants.meta_keras:Fit", "tensorflow"),
    Entry(BARE, "contestants.meta_keras:Bare", "tensorflow"),
    Entry(JAX, "contestants.meta_jax:Jax", "jax"),
    Entry(TORCH, "contestants.meta_torch:Torch", "torch"),
]
ALGORITHMS = {"maml": "second order (MAML)", "fomaml": "first order (FOMAML)"}
FIT_TO_BARE, OURS_TO_JAX = 1.05, 0.7
TOLERANCE = 1e-4


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add_options(add)
    add("--inner-steps", type=int, default=2)
    add("--inner-learning-rate", type=float, default=0.1)
    add("--outer-learning-rate", type=float, default=1e-3)
    add("--algorithms", nargs="+", choices=ALGORITHMS, default=list(ALGORITHMS))
    add("--steps", type=int, default=12, help="measured steps a round")
    add("--rounds", type=int, default=3, help="rounds over all contestants")
    add("--checked-steps", type=int, default=3, help="first steps whose losses must agree")
    add("--cores", type=int, default=cores(), help="cores that each contestant may use")
    add("--seed", type=int, default=0)
    add("--json", metavar="PATH", help="write the results there")
    return parser.parse_args()


def main() -> None:
    options = parse()
    require_product()
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
    entries = installed(ENTRIES)
    results, ratios = {}, {}
    for algorithm in options.algorithms:
        with tempfile.TemporaryDirectory() as folder:
            shared = {**settings, "algorithm": algorithm, "weights": str(Path(folder) / "weights.npz")}
            results[algorithm] = run_rounds(entries, shared, options.cores, options.rounds, options.steps)
        print(f"{ALGORITHMS[algorithm]}")
        show(results[algorithm])
        check_agreement(results[algorithm])
        ratios[algorithm] = ratios_of(results[algorithm])
        print()
    settings |= {"steps": options.steps, "rounds": options.rounds}
    content = {"benchmark": "meta_step", "machine": machine, "settings": settings, "results": results, "ratios": ratios}
    write_json(options.json, content)


def show(results: dict[str, dict[str, Any]]) -> None:
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
            f"{r['facts']['loss'][0]:.5f}",
        ]
        for name, r in results.items()
    ]
    table(head, rows)


def ratios_of(results: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The ratios with their targets."""
    fit = results[FIT]
    found = [compare("time of fit / bare tf.function", fit, results[BARE], FIT_TO_BARE)]
    if JAX in results:
        found.append(compare("time of fit / JAX", fit, results[JAX], OURS_TO_JAX))
    if TORCH in results:
        found.append(compare("time of fit / torch.func", fit, results[TORCH]))
    epoch = fit["steps_per_round"][0] + 1
    print(f"  a whole epoch of {epoch} steps, its start and end included: {fit['epoch_ms_per_step']:.1f} ms a step")
    note_disturbance(results)
    return found


def check_agreement(results: dict[str, dict[str, Any]]) -> None:
    """All must compute the same function, or their times mean nothing.

    The first step compares the losses at our weights, the next ones the outer gradient and the optimizer too.

    Raises:
        SystemExit: a loss of one of the first steps differs.
    """
    for name, result in results.items():
        for kind, expected in results[FIT]["facts"].items():
            for step, (ours, theirs) in enumerate(zip(expected, result["facts"][kind], strict=True), 1):
                if not abs(ours - theirs) <= TOLERANCE:
                    raise SystemExit(f"{kind} of step {step}: ours {ours}, {name} {theirs}; not the same computation.")
    print(f"  query, earlier query and support loss agree to {TOLERANCE} in steps 1 to {len(expected)}")


if __name__ == "__main__":
    main()
