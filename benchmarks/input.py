"""Does training wait for its input? A step fed by the real tf.data pipeline, against the same step fed from memory.

For each application and for meta-training as well as plain training two processes run the same `fit`: one draws its
batches (cleaned and tokenised once, episodes drawn, cut and batched while it trains), the other repeats one of those
batches. They are measured in turn, so that a machine that slows down slows both.
"""

import argparse
from typing import Any

from machine import cores, describe, sentence
from rounds import Entry, compare, note_disturbance, require_product, run_rounds, table, write_json

APPLICATIONS, TRAININGS = ("language", "code"), ("meta", "plain")
PIPELINE, CACHED = "real pipeline", "cached batch"
PLACE = ("contestants.input_keras:Fed", "tensorflow")
ENTRIES = [Entry(PIPELINE, *PLACE, {"source": "pipeline"}), Entry(CACHED, *PLACE, {"source": "cached"})]
TARGET = 1.05


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--applications", nargs="+", choices=APPLICATIONS, default=list(APPLICATIONS))
    add("--trainings", nargs="+", choices=TRAININGS, default=list(TRAININGS))
    add("--size", default="nano", help="size of the model")
    add("--length", type=int, default=64, help="bytes of a source and of a target")
    add("--tasks", type=int, default=4, help="M, tasks in a meta-batch")
    add("--support", type=int, default=8, help="K, examples to adapt on")
    add("--query", type=int, default=8, help="Q, examples to be judged on")
    add("--steps", type=int, default=10, help="measured steps a round of meta-training")
    add("--plain-steps", type=int, default=40, help="measured steps a round of plain training")
    add("--rounds", type=int, default=4, help="rounds over both")
    add("--cores", type=int, default=cores(), help="cores that each may use")
    add("--seed", type=int, default=0)
    add("--json", metavar="PATH", help="write the results there")
    return parser.parse_args()


def main() -> None:
    options = parse()
    require_product()
    machine = describe()
    print(sentence(machine))
    print(
        f"MetaGPT {options.size}, {options.length} + {options.length} bytes, M = {options.tasks}, K = "
        f"{options.support}, Q = {options.query}; the applications' own data, episodes, learner, optimizer. Plain\n"
        f"training sees the examples of a meta-batch pooled. {options.rounds} rounds in turn on {options.cores} "
        "cores, float32.\n"
    )
    results: dict[str, Any] = {}
    for application in options.applications:
        for training in options.trainings:
            results[f"{application} {training}"] = measure(application, training, options)
    settings = {key: value for key, value in vars(options).items() if key != "json"}
    write_json(options.json, {"benchmark": "input", "machine": machine, "settings": settings, "results": results})


def measure(application: str, training: str, options: argparse.Namespace) -> dict[str, Any]:
    """One application and one kind of training: both contestants, and their ratio beside its target."""
    settings = {**vars(options), "application": application, "training": training}
    steps = options.steps if training == "meta" else options.plain_steps
    found = run_rounds(ENTRIES, settings, options.cores, options.rounds, steps)
    print(f"{application}, {'meta-training' if training == 'meta' else 'plain training'}")
    show(found)
    ratio = compare("step with the pipeline / from memory", found[PIPELINE], found[CACHED], TARGET)
    note_disturbance(found)
    print()
    return {"times": found, "ratio": ratio}


def show(found: dict[str, dict[str, Any]]) -> None:
    """The table of one pair."""
    head = ["", "ms a step", "fastest", "rounds", "steps", "peak MiB", "pipeline alone ms a batch"]
    rows = [
        [
            name,
            f"{r['median_ms']:.1f}",
            f"{r['fastest_ms']:.1f}",
            " ".join(f"{m:.0f}" for m in r["round_medians_ms"]),
            f"{sum(r['steps_per_round'])}",
            f"{r['peak_mib']}",
            f"{r['facts']['pipeline_ms']:.1f}",
        ]
        for name, r in found.items()
    ]
    table(head, rows)


if __name__ == "__main__":
    main()
