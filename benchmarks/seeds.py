"""What benchmarks over several seeds share: the interval of their means, and how many threads they may use."""

import math
import statistics

# Two-sided 95 % points of Student's t, by number of values.
STUDENT_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}


def interval(values: list[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval (Student's t; 0 for a single value); NaN where a value is."""
    if len(values) < 2:
        return values[0], 0.0
    if not all(map(math.isfinite, values)):
        return math.nan, math.nan
    t = STUDENT_95.get(len(values), 1.96)
    return statistics.fmean(values), t * statistics.stdev(values) / math.sqrt(len(values))


def use_threads(threads: int) -> None:
    """As many threads as asked for (0 for TensorFlow's own choice), before it starts any."""
    import tensorflow as tf

    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
