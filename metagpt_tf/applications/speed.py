"""How fast this machine trains, adapts and generates."""

import functools
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from metagpt_tf.meta import FOMAML, MAML, MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.tasks import Episode


def measure_speed(preset: str = "nano", length: int = 64, repeats: int = 5, inner_steps: int = 2) -> dict[str, float]:
    """Median times of the main operations on random tokens: M = 4 tasks, K = Q = 4 examples.

    Args:
        preset: size of the model.
        length: tokens of source and target.
        repeats: calls behind each median, after one that is not counted.
        inner_steps: gradient steps on the support set.

    Returns:
        `parameters`, `maml_step_ms`, `fomaml_step_ms`, `plain_step_ms` (16 examples), `adapt_ms`, `tokens_per_second`.
    """
    model = MetaGPT.from_preset(preset, source_length=length, target_length=length)
    draw = np.random.default_rng(0)
    ids = lambda *shape: draw.integers(3, model.tokenizer.vocabulary_size, shape).astype("int32")  # noqa: E731
    episode = Episode(*(tf.constant(ids(4, 4, length)) for _ in range(4)))
    figures = {"parameters": float(model.count_params())}
    for algorithm in (MAML(inner_steps, 0.1), FOMAML(inner_steps, 0.1)):
        learner = MetaLearner(model, algorithm)
        learner.compile("adam", metrics=[])
        learner.optimizer.build(learner.trainable_variables)
        step = functools.partial(tf.function(learner.train_step, autograph=False), episode)
        figures[f"{type(algorithm).__name__.lower()}_step_ms"] = _median_ms(step, repeats)
    model.compile("adam", metrics=[])
    model.optimizer.build(model.trainable_variables)
    plain = tf.function(model.train_step, autograph=False)
    batch = (tf.constant(ids(16, length)), tf.constant(ids(16, length)))
    figures["plain_step_ms"] = _median_ms(lambda: plain(batch), repeats)
    support = (ids(4, length), ids(4, length))
    figures["adapt_ms"] = _median_ms(lambda: learner.adapt(support), repeats)
    figures["tokens_per_second"] = tokens_per_second(model, length, repeats)
    return figures


def tokens_per_second(model: MetaGPT, length: int, repeats: int) -> float:
    """Greedy tokens per second at batch 1, the end mark made impossible so that every run has `length` tokens."""
    bias = model.head.bias
    kept = keras.ops.convert_to_numpy(bias)
    bias.assign(np.where(np.arange(len(kept)) == model.tokenizer.eos_id, -1e9, kept))
    milliseconds = _median_ms(lambda: model.generate("def f(x):", max_length=length), repeats)
    bias.assign(kept)
    return 1e3 * length / milliseconds


def _median_ms(call: Callable[[], Any], repeats: int) -> float:
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        tf.nest.map_structure(np.asarray, call())
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))
