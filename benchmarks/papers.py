"""Original paper against ours: every row is trained here, over several seeds, and written down whatever comes out.

Runs are kept one by one in the JSON of runs, so that a killed benchmark goes on where it was. `--quick` takes minutes
and shows the order of the algorithms only; its figures are not comparable with a paper's and are never written.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path
from typing import Any

from machine import describe, sentence
from paper_rows import alphabets, grammar, mixed, point_mass, sinusoid, strategies
from paper_rows.base import Experiment
from rounds import require_product, table
from seeds import interval, use_threads

EXPERIMENTS: list[Experiment] = [
    *sinusoid.EXPERIMENTS,
    *mixed.EXPERIMENTS,
    *strategies.EXPERIMENTS,
    *point_mass.EXPERIMENTS,
    *alphabets.EXPERIMENTS,
    *grammar.EXPERIMENTS,
]
RESULTS = Path(__file__).parent / "results"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add(
        "--rows",
        nargs="+",
        metavar="NAME",
        help="rows or their beginnings, e.g. sinusoid/ mixed/gated; all but omniglot/, which downloads, if left out",
    )
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--quick", action="store_true", help="few steps, one seed, nothing written")
    add("--threads", type=int, default=0, help="threads of TensorFlow; 0 for its own choice")
    add("--runs", type=Path, default=RESULTS / "papers_runs.json", help="finished runs, added to")
    add("--json", type=Path, default=RESULTS / "papers.json", help="rows, made from the finished runs")
    add("--markdown", type=Path, default=Path(__file__).parents[1] / "docs" / "papers.md", help="the page of the table")
    add("--report", action="store_true", help="only print and write what the finished runs give")
    return parser.parse_args()


def main() -> None:
    options = parse()
    require_product()
    print(sentence(describe()))
    use_threads(options.threads)
    wanted = tuple(options.rows or ())
    chosen = [e for e in EXPERIMENTS if (e.name.startswith(wanted) if wanted else not e.downloads)]
    if options.quick:
        show([row for e in chosen if e.quick for row in rows_of(e, [one_run(e, options.seeds[0], e.quick)])])
        return
    # Seed by seed, so that a benchmark that is stopped has every row.
    for seed in () if options.report else options.seeds:
        for experiment in chosen:
            finish(options.runs, experiment, seed)
    runs = load(options.runs)
    rows = [row for e in EXPERIMENTS for row in rows_of(e, finished(runs, e))]
    show(rows)
    write(options.json, rows)
    options.markdown.write_text(markdown(rows))


def finish(path: Path, experiment: Experiment, seed: int) -> None:
    """Run what has not been run yet, and keep it at once."""
    if any(run["seed"] == seed for run in finished(load(path), experiment)):
        return
    run = one_run(experiment, seed, experiment.iterations)
    write(path, [*load(path), run])
    print(f"{experiment.name} seed {seed}: {run['figures']} in {run['seconds']:.0f} s", flush=True)


def one_run(experiment: Experiment, seed: int, iterations: int) -> dict[str, Any]:
    """Train and judge once."""
    clock = time.perf_counter()
    figures, diverged = until_it_diverges(experiment, seed, iterations)
    seconds = round(time.perf_counter() - clock, 1)
    return {
        "row": experiment.name,
        "seed": seed,
        "iterations": iterations,
        "figures": {point: finite(value) for point, value in figures.items()},
        "seconds": seconds,
        "machine": describe(),
        **({"diverged": diverged} if diverged else {}),
    }


def until_it_diverges(experiment: Experiment, seed: int, iterations: int) -> tuple[dict[str, float], str]:
    """The figures, or none and the error that names the step and the task: such a seed is a result, too."""
    import tensorflow as tf

    try:
        return experiment.run(seed, iterations), ""
    except tf.errors.InvalidArgumentError as error:
        if "not finite" not in str(error):
            raise
        return {}, next(line for line in str(error).splitlines() if "not finite" in line)[:300]


def finished(runs: list[dict[str, Any]], experiment: Experiment) -> list[dict[str, Any]]:
    return [r for r in runs if r["row"] == experiment.name and r["iterations"] == experiment.iterations]


def rows_of(experiment: Experiment, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each point of the experiment, over the seeds that have been run."""
    figures = [run["figures"] for run in runs if run["figures"]]
    points = [point for point in figures[0] if "/" in point] if figures else []
    rows = []
    # Other figures of a run (steps taken) belong to all of its points.
    others = [key for key in figures[0] if "/" not in key] if figures else []
    extra = {key: round(interval([run[key] for run in figures])[0], 3) for key in others}
    for point in points:
        values = [run["figures"].get(point) for run in runs]
        mean, half = interval([math.nan if value is None else value for value in values])
        rows.append(
            {
                "row": experiment.name,
                "shots": int(point.split("/")[0]),
                "steps": int(point.split("/")[1]),
                "paper": experiment.paper.get(point),
                "ours": finite(mean),
                "low": finite(mean - half),
                "high": finite(mean + half),
                "seeds": [run["seed"] for run in runs],
                "iterations": runs[0]["iterations"],
                "seconds": round(sum(run["seconds"] for run in runs), 1),
                **extra,
                "protocol": experiment.protocol,
            }
        )
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    head = ["row", "shots", "steps", "paper", "ours", "95 %", "seeds", "iterations"]
    table(
        head,
        [
            [
                row["row"],
                str(row["shots"]),
                str(row["steps"]),
                "" if row["paper"] is None else f"{row['paper']:g}",
                "diverged" if row["ours"] is None else f"{row['ours']:.3f}",
                f"{row['low']:.3f} to {row['high']:.3f}" if len(row["seeds"]) > 1 and row["ours"] else "",
                str(len(row["seeds"])),
                f"{row['iterations']}",
            ]
            for row in rows
        ],
    )


HEAD = """# Original paper vs ours

Made by `python benchmarks/papers.py --report` from the finished runs in `benchmarks/results/papers_runs.json` (each
with its seed, outer steps, wall time and machine); rows without a run are not here. "Ours" is the mean over seeds with
its 95 % interval (Student's t); one seed has none. Mean squared error unless a row says otherwise. A dash under "ours"
means that at least one held-out task diverged, so that the mean is not finite.

| row | shots | steps | paper | ours | 95 % interval | seeds | outer steps | protocol |
|---|---|---|---|---|---|---|---|---|
"""


def markdown(rows: list[dict[str, Any]]) -> str:
    """The page of the table."""
    lines = []
    for row in rows:
        several = len(row["seeds"]) > 1 and row["ours"] is not None
        span = f"{row['low']:.3f} – {row['high']:.3f}" if several else ""
        cells = [
            row["row"],
            row["shots"],
            f"{row['steps']}" + (f" ({row['steps_taken']:.2f} taken)" if "steps_taken" in row else ""),
            "" if row["paper"] is None else f"{row['paper']:g}",
            "–" if row["ours"] is None else f"**{row['ours']:.3f}**",
            span,
            len(row["seeds"]),
            f"{row['iterations']:,}",
            row["protocol"],
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return HEAD + "\n".join(lines) + "\n"


def finite(value: float) -> float | None:
    """The value to four digits, `None` where JSON has no word for it."""
    return round(value, 4) if math.isfinite(value) else None


def load(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text()) if path.exists() else []


def write(path: Path, content: Any) -> None:
    """Written aside and renamed, so that a kill leaves the file of before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(aside, path)


if __name__ == "__main__":
    main()
