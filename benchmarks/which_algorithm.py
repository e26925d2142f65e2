"""Writes `docs/which_algorithm.md` from what was measured: `results/meta_step.json` and `results/papers.json`."""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "which_algorithm.md"

# By name of the registry: class, how it learns, size of its state, when to use it, and its rows of papers.json, that of
# the sinusoid and that of the six families.
ALGORITHMS: dict[str, tuple[str, str, str, str, str, str]] = {
    "maml": (
        "MAML",
        "second order through n steps",
        "P",
        "the default; after a warm start by plain training",
        "sinusoid/maml_rate_0.001",
        "mixed/maml",
    ),
    "fomaml": ("FOMAML", "first order", "P", "when second order is too slow or too large", "sinusoid/fomaml", ""),
    "maml_plus_plus": (
        "MAMLPlusPlus",
        "second order; rates by tensor and step",
        "P",
        "several inner steps that train unsteadily",
        "",
        "mixed/maml_learned_rates",
    ),
    "meta_sgd": (
        "MetaSGD",
        "second order; a rate for each parameter",
        "P",
        "one step must do it; doubles what is learned",
        "sinusoid/meta_sgd",
        "",
    ),
    "alfa": (
        "ALFA",
        "second order; rates and decay from gradients",
        "P",
        "tasks that need to move unequally far",
        "",
        "",
    ),
    "imaml": (
        "IMAML",
        "implicit gradient by conjugate gradient",
        "P",
        "many inner steps; memory does not grow with them",
        "",
        "",
    ),
    "reptile": (
        "Reptile",
        "plain gradients only, no query set",
        "P",
        "the cheapest that learns an initialisation",
        "sinusoid/reptile",
        "",
    ),
    "anil": (
        "ANIL",
        "second order in the head only",
        "the head",
        "tasks that differ in what outputs mean",
        "",
        "",
    ),
    "cavia": (
        "CAVIA",
        "second order in the context only",
        "the context",
        "tiny states; adapting cannot overfit",
        "",
        "",
    ),
    "hierarchical": (
        "Hierarchical",
        "MAML from a gated start",
        "P",
        "several kinds of task in one distribution",
        "",
        "mixed/gated",
    ),
    "multi_task": (
        "MultiTask",
        "MAML, learned weight for each family",
        "P",
        "families of different scale or noise",
        "",
        "",
    ),
    "dynamic": (
        "Dynamic",
        "MAML, steps and rate by task, halting",
        "P",
        "tasks of very different difficulty (not yet shown to pay)",
        "",
        "",
    ),
}

HEAD = """# Which algorithm?

Made by `python benchmarks/which_algorithm.py`. Costs are of one meta-training step of `nano` ({tasks} tasks,
K = Q = {support}, {inner_steps} inner steps, {length} + {length} tokens), in units of a plain training step on the same
support examples measured beside it, with the peak memory of the process: `python benchmarks/meta_step.py`,
[results](../benchmarks/results/meta_step.json).

The last two columns are mean squared errors from [papers.md](papers.md): new sine waves after one step on 5 points, and
functions of six families after 5 steps on 10 points. P is the size of the scope. `Hierarchical` was measured with one
gate for each tensor, `MAMLPlusPlus` after its first-order phase.

| algorithm | how it learns | cost | peak MiB | state | use it when | sinusoid | six families |
|---|---|---|---|---|---|---|---|
"""

REST = """
A plain step in this table peaks at {plain} MiB. With learned rates at three levels `Hierarchical` reaches {three} on
the six families. The row of `MAMLPlusPlus` there is `MAML` with its learned rates alone. What every row shares:

- **Judge the level after adaptation, not the gain.** A ruined start gains much. The twin trained plainly for the same
  cost, with its own tuned rate, is what to beat; on text it often is not beaten at small cost (the README's
  quickstart).
- **Options compose.** `inner_optimizer`, `learn_rate`, `multi_step_loss`, `include_start` and `first_order_steps` are
  MAML's and so also of everything built on it (`FOMAML`, `ANIL`, `Hierarchical`, `MultiTask`, `Dynamic`).
- **The scope decides the state.** `scope="low_rank"`, `"context"`, `"norm_bias"` or `"head"` make states of kilobytes,
  whatever the algorithm.

Without gradients: `PrototypicalNetwork` learns a class from the mean of its examples; `InContext` puts the support set
into the input and adapts in zero steps; `RL2` learns by the memory of a recurrent policy. They can be combined:
`ProtoMAML` starts the head from prototypes, and a model that reads its context can be adapted by gradient too.

For rewards in place of labels: `metagpt_tf.reinforcement.PolicyGradientLearner` takes the same algorithm objects.
"""


def main() -> None:
    measured = json.loads((HERE / "results" / "meta_step.json").read_text())
    rows = json.loads((HERE / "results" / "papers.json").read_text())
    costs = measured["algorithms"]
    lines = [line(costs.get(name), rows, *words) for name, words in ALGORITHMS.items()]
    plain = max(cost["plain_peak_mb"] for cost in costs.values())
    three = quality(rows, "mixed/gated_three_level_rates", 10, 5)
    head, rest = HEAD.format(**measured["settings"]), REST.format(plain=plain, three=three)
    PAGE.write_text(head + "\n".join(lines) + "\n" + rest)


def line(
    cost: dict[str, Any] | None, rows: list[dict[str, Any]], name: str, how: str, state: str, when: str, *places: str
) -> str:
    """One row of the table; what was not measured says so."""
    measured = (f"{cost['ratio_to_plain']:.1f} ×", f"{cost['peak_mb']}") if cost else ("not run", "")
    found = (quality(rows, places[0], 5, 1), quality(rows, places[1], 10, 5))
    return "| " + " | ".join((f"`{name}`", how, *measured, state, when, *found)) + " |"


def quality(rows: list[dict[str, Any]], name: str, shots: int, steps: int) -> str:
    """A figure of the papers' table with its interval, or how many seeds it is of."""
    for row in rows:
        if (row["row"], row["shots"], row["steps"]) == (name, shots, steps) and row["ours"] is not None:
            spread = f"{row['low']:.2f}–{row['high']:.2f}" if len(row["seeds"]) > 1 else "one seed"
            return f"{row['ours']:.2f} ({spread})"
    return "not run" if name else ""


if __name__ == "__main__":
    main()
