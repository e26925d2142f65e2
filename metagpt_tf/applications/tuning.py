"""The tutorial's verb `tune_model`, and what a search and a choice for each task look like."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from metagpt_tf.compression.copies import copy_of
from metagpt_tf.compression.report import inner_steps
from metagpt_tf.meta import MetaLearner
from metagpt_tf.plotting import front_figure, pairs_figure
from metagpt_tf.tasks import TaskDistribution
from metagpt_tf.tuning import SearchResult, Space, search
from metagpt_tf.tuning.for_task import TaskGain
from metagpt_tf.tuning.trials import Plan

# What is worth looking at when a learner goes on: it keeps its weights and the rates it has learned.
STANDARD = Space.of(
    learning_rate={"low": 1e-4, "high": 3e-3, "log": True},
    optimizer=["adam", "adamw", "rmsprop"],
    schedule=["cosine", "exponential", "warmup"],
)


@dataclass(frozen=True)
class Tuned:
    """What `tune_model` found.

    Attributes:
        learner: the best trial's, or the one that was given if no trial is better.
        values: the best trial's hyper-parameters; empty if no trial is better.
        before, after: loss of meta-validation tasks after K steps, of the learner that was given and of this one.
        result: all trials.
    """

    learner: MetaLearner
    values: dict[str, Any]
    before: float
    after: float
    result: SearchResult


def tune_model(
    learner: MetaLearner,
    tasks: TaskDistribution,
    folder: str | os.PathLike,
    space: Space | Mapping[str, Any] | None = None,
    method: str = "random",
    trials: int = 8,
    metric: str = "loss",
    **options: Any,
) -> Tuned:
    """Train a learner on with the hyper-parameters that are best for it, judged by the loss after K steps.

    Args:
        learner: compiled; it stays as it is.
        tasks: with the splits `meta_train` and `meta_validation`.
        folder: where trials are kept; an interrupted call goes on there.
        space: what may be chosen, see `search`; `None` for rate, optimizer and schedule of the outer loop.
        method, trials, metric: as in `search`.
        **options: as in `search`: `steps`, `rungs`, `judged_steps`, `k_shot`, `n_query`, `seed`, …

    Returns:
        The learner with the lowest loss, which may be the one that was given.

    Raises:
        TypeError, ValueError: as `search`, before anything is trained.
    """
    result = search(learner, STANDARD if space is None else space, tasks, folder, method, trials, metric, **options)
    names = Plan.__dataclass_fields__
    plan = Plan(lambda values, steps: learner, tasks, metric, **{k: v for k, v in options.items() if k in names})
    probe = copy_of(learner)  # evaluate keeps the graph of its first number of steps
    with inner_steps(probe, plan.judged_steps):
        before = float(probe.evaluate(plan.validation(), return_dict=True, verbose=0)[metric])
    done = [trial for trial in result.trials.values() if trial.status == "completed"]
    if not done or not min(trial.score for trial in done) < before:
        return Tuned(learner, {}, before, before, result)
    best = result.trials[result.best]
    return Tuned(result.learner(), best.values, before, best.score, result)


def search_figure(result: SearchResult) -> Any:
    """Loss after adaptation against the gradient evaluations of each trial, and the front of both.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    found = {key: t for key, t in result.trials.items() if np.isfinite(t.score)}
    points = {key: (t.gradient_evaluations, t.score) for key, t in found.items()}
    return front_figure(points, "gradient evaluations", f"{result.metric} after adaptation", "Quality and cost")


def gain_figure(gain: TaskGain, label: str = "loss") -> Any:
    """Each task's loss by default and as its support set suggested.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    mean, half = gain.gain.mean(), 1.96 * gain.gain.std(ddof=1) / np.sqrt(len(gain.gain)) if len(gain.gain) > 1 else 0.0
    title = f"Chosen for each task: {mean:.3f} ± {half:.3f} lower"
    return pairs_figure(gain.default, gain.chosen, f"{label}, default", f"{label}, chosen", title)
