"""What an experiment is, and how its seeds become an interval."""

import dataclasses
import math
import statistics
from collections.abc import Callable
from typing import Any

# Two-sided 95 % points of Student's t, by degrees of freedom.
STUDENT_95 = (math.inf, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)

Result = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One training, judged at several points.

    Args:
        name: the row's name, e.g. `"sinusoid/maml"`.
        run: `(seed, iterations)` to figures by point, `"shots/steps"`: `{"5/1": 0.6, "5/10": 0.4}`.
        iterations: outer steps of the full run.
        quick: outer steps of `--quick`.
        paper: the paper's figures for some of the points.
        protocol: what differs from the paper, in words.
    """

    name: str
    run: Callable[[int, int], Result]
    iterations: int
    quick: int
    paper: dict[str, float]
    protocol: str


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean, and the ends of its 95 % interval (Student's t); the value itself where there is only one."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, mean, mean
    half = STUDENT_95[min(len(values) - 1, len(STUDENT_95) - 1)] * statistics.stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def curve_of(learner: Any, tasks: Any, shots: int, steps: tuple[int, ...], queries: int = 100) -> Result:
    """Mean query loss of 1,000 held-out tasks after each number of steps on `shots` examples."""
    from metagpt_tf.meta import AdaptationCurve

    episodes = tasks.as_dataset(100, shots, queries, seed=1, num_batches=10)
    means = AdaptationCurve(learner, steps)(episodes).mean(axis=0)
    return {f"{shots}/{step}": float(mean) for step, mean in zip(steps, means, strict=True)}
