"""What an experiment is."""

import dataclasses
from collections.abc import Callable
from typing import Any

Result = dict[str, float]
# Outer steps in one call of the graph: the same losses, and half the time of networks as small as these.
TOGETHER = 20


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One training, judged at several points.

    Args:
        name: the row's name, e.g. `"sinusoid/maml"`.
        run: `(seed, iterations)` to figures by point, `"shots/steps"`: `{"5/1": 0.6, "5/10": 0.4}`.
        iterations: outer steps of the full run.
        quick: outer steps of `--quick`, 0 to be left out of it.
        paper: the paper's figures for some of the points.
        protocol: what differs from the paper, in words.
        downloads: whether it needs data from the internet; such a row is run only when it is named.
    """

    name: str
    run: Callable[[int, int], Result]
    iterations: int
    quick: int
    paper: dict[str, float]
    protocol: str
    downloads: bool = False


def curve_of(learner: Any, tasks: Any, shots: int, steps: tuple[int, ...], queries: int = 100) -> Result:
    """Mean query loss of 1,000 held-out tasks after each number of steps on `shots` examples."""
    from metagpt_tf.meta import AdaptationCurve

    episodes = tasks.as_dataset(100, shots, queries, seed=1, num_batches=10)
    means = AdaptationCurve(learner, steps)(episodes).mean(axis=0)
    return {f"{shots}/{step}": float(mean) for step, mean in zip(steps, means, strict=True)}
