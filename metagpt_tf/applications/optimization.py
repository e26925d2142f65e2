"""The verbs `optimize_model`, a smaller file that still learns within a budget, `tune_model` and `deploy_model`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import tensorflow as tf

from metagpt_tf.applications.deployment import Deployed, deploy_model
from metagpt_tf.applications.tuning import Tuned, tune_model
from metagpt_tf.compression import CompressionReport, compression_report
from metagpt_tf.compression.recipes import CompressionRecipe, standard_recipes
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.plotting import front_figure
from metagpt_tf.suggestions import closest

VARIANT = "optimized"

__all__ = ["Budget", "Deployed", "Optimized", "Tuned", "deploy_model", "optimize_model", "tune_model"]


@dataclass(frozen=True)
class Budget:
    """What a compressed learner may need, as a share of what it needed before; `None` where it does not matter.

    Attributes:
        size: bytes of the LiteRT file.
        packed: bytes of the file packed with gzip.
        latency: time of an answer.
        loss: held-out loss after adaptation; 1.02 for two per cent worse.
    """

    size: float | None = None
    packed: float | None = None
    latency: float | None = None
    loss: float | None = None

    @classmethod
    def of(cls, target: "Budget | Mapping[str, float]") -> "Budget":
        """A budget, or one of a mapping.

        Raises:
            ValueError: nothing in it, an unknown name, or a share that is not positive.
        """
        if isinstance(target, Budget):
            return target
        names = [field.name for field in fields(cls)]
        for name in target:
            if name not in names:
                raise ValueError(f"Unknown target {name!r}. {closest(name, names)}")
        return cls(**target)

    def __post_init__(self) -> None:
        shares = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, share in shares.items():
            if share is not None and not share > 0:
                raise ValueError(f"Target {name!r} is a share of what it was, above 0, received {share!r}.")
        if all(share is None for share in shares.values()):
            raise ValueError(f"A target needs one of {', '.join(shares)}, received none.")

    def shortfall(self, ratios: Mapping[str, float]) -> dict[str, float]:
        """By how much each share is over the budget; empty if it is kept."""
        names = {"size": "bytes", "packed": "gzip_bytes", "latency": "latency_ms_p50", "loss": "after"}
        over = {}
        for field in fields(self):
            share = getattr(self, field.name)
            if share is not None and not ratios[names[field.name]] <= share:
                over[field.name] = ratios[names[field.name]] - share
        return over


@dataclass(frozen=True)
class Optimized:
    """What `optimize_model` made.

    Attributes:
        learner: the compressed learner.
        path: its LiteRT file.
        recipe: what was done.
        report: the learner as it was and as it is, measured on held-out tasks.
        shortfall: by how much each share is over the budget; empty if the budget is kept.
    """

    learner: MetaLearner
    path: Path
    recipe: CompressionRecipe
    report: CompressionReport
    shortfall: dict[str, float]


def optimize_model(
    learner: MetaLearner,
    episodes: tf.data.Dataset,
    held_out: tf.data.Dataset,
    target: Budget | Mapping[str, float],
    folder: str | os.PathLike,
    recipe: CompressionRecipe | None = None,
    steps: int = 100,
    plain_steps: int = 0,
    inner_steps: int | None = None,
    verbose: Any = 0,
) -> Optimized:
    """Compress a learner until it keeps a budget, and say what that cost.

    Without a recipe the standard ones are tried from mild to strong until one keeps the budget.

    Args:
        learner: compiled; it stays as it is.
        episodes: training tasks, for recovery.
        held_out: finite, of other tasks, with as many queries as support examples; what is reported is measured here,
            and what is chosen is chosen by it: give validation tasks, and measure what comes back on others.
        target: budget, e.g. `{"size": 0.3, "loss": 1.01}`.
        folder: where files and steps are kept; an interrupted call goes on there.
        recipe: what to do; `None` to look for it.
        steps: training steps of each standard step.
        plain_steps: of plain training before those that prune or shrink; for texts and code ten times `steps` cost as
            much as `steps`.
        inner_steps: of an adaptation; `None` for the learner's own.
        verbose: as in `fit`.

    Returns:
        The learner, its file and the report; of several recipes that miss the budget, the last one tried with its
        `shortfall`.

    Raises:
        TypeError, ValueError: a recipe that cannot be applied, before anything is trained; an unknown target.
    """
    budget = Budget.of(target)
    structured = isinstance(getattr(learner, "model", None), MetaGPT)
    candidates = list(standard_recipes(steps, structured, plain_steps)) if recipe is None else [("recipe", recipe)]
    for _, candidate in candidates:
        candidate.check(learner)
    for name, candidate in candidates:
        place = Path(folder) / name
        small = candidate.apply(learner, episodes, place, verbose)
        variants: dict[str, Any] = {"original": learner, VARIANT: (small, candidate.quantization)}
        report = compression_report(variants, held_out, inner_steps, place)
        shortfall = budget.shortfall(report.ratios(VARIANT))
        if not shortfall:
            break
    return Optimized(small, place / f"{VARIANT}.tflite", candidate, report, shortfall)


def compression_figure(report: CompressionReport, ylabel: str = "bits per token after adaptation") -> Any:
    """Loss after adaptation against the size of the packed file, a point for each variant.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    points = {row.variant: (row.gzip_bytes / 1e6, row.after) for row in report.rows}
    return front_figure(points, "MB, packed", ylabel, "Size and quality")
