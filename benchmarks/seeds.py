"""What benchmarks over several seeds share: the interval of their means, and how many threads they may use."""

from metagpt_tf.applications.intervals import interval_95


def interval(values: list[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval (Student's t; 0 for a single value); NaN where a value is."""
    found = interval_95(values)
    return found.mean, found.high - found.mean


def use_threads(threads: int) -> None:
    """As many threads as asked for (0 for TensorFlow's own choice), before it starts any."""
    import tensorflow as tf

    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
