"""How sparse a model is to be at which step: tfmot's schedules, of a number, a config or an object."""

from collections.abc import Mapping
from typing import Any

from metagpt_tf.compression._tfmot import ConstantSparsity, PolynomialDecay, PruningSchedule
from metagpt_tf.registry import closest

SCHEDULES = {cls.__name__: cls for cls in (ConstantSparsity, PolynomialDecay)}


def get(schedule: Any, steps: int | None = None, frequency: int = 10) -> PruningSchedule:
    """A pruning schedule.

    Args:
        schedule: a tfmot schedule, its `get_config()`, or a sparsity in (0, 1): reached by
            `s(t) = s + (0 − s) (1 − t / n)³` at n = 60 % of `steps`, at once without `steps`.
        steps: training steps there will be.
        frequency: steps between two updates of the masks.

    Raises:
        ValueError: a sparsity outside of (0, 1), or an unknown name.

    Example:

    >>> get(0.5).get_config()["config"]["target_sparsity"]
    0.5

    Reference: Zhu & Gupta, 2017, "To Prune, or Not to Prune", equation 1 (the polynomial).
    """
    if isinstance(schedule, PruningSchedule):
        return schedule
    if isinstance(schedule, Mapping):
        name = schedule.get("class_name")
        if name not in SCHEDULES:
            raise ValueError(f"Unknown pruning schedule {name!r}. {closest(str(name), SCHEDULES)}")
        return SCHEDULES[name].from_config(schedule["config"])
    if isinstance(schedule, bool) or not isinstance(schedule, int | float) or not 0 < schedule < 1:
        raise ValueError(f"A sparsity is a share in (0, 1), e.g. 0.8, received {schedule!r}.")
    if steps is None or steps < 2:
        return ConstantSparsity(float(schedule), begin_step=0, frequency=frequency)
    end = max(int(0.6 * steps), 1)
    frequency = min(frequency, end)
    end -= end % frequency  # else the last update comes before the end, with a little too few zeros
    return PolynomialDecay(0.0, float(schedule), begin_step=0, end_step=end, frequency=frequency)
