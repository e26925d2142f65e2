"""The interval of a mean over seeds: what a result of training is reported with."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

# Two-sided 95 % points of Student's t, by number of values.
STUDENT_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}


class Interval(NamedTuple):
    """A mean and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


def interval_95(values: Sequence[float]) -> Interval:
    """Mean of a few values and its 95 % interval, `mean ± t · s / √n`.

    Args:
        values: one for each seed; a single one has an interval of no width.

    Returns:
        The interval; NaN in all its parts where a value is not finite.

    Raises:
        ValueError: no values.

    Example:

    >>> [round(x, 3) for x in interval_95([1.0, 2.0, 3.0])]
    [2.0, -0.484, 4.484]

    Reference: Student, 1908, "The Probable Error of a Mean".
    """
    if not values:
        raise ValueError("interval_95 needs at least one value, received none.")
    if not all(map(math.isfinite, values)):
        return Interval(math.nan, math.nan, math.nan)
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Interval(mean, mean, mean)
    half = STUDENT_95.get(len(values), 1.96) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)
