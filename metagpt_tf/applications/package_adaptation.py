"""Adapting to a package: learn from a few of its functions, measure on the rest.

Axes: K support, N the other functions.
"""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.applications.code_metrics import text_figures
from metagpt_tf.datasets.loading import functions_at
from metagpt_tf.fast_weights import State
from metagpt_tf.meta import MetaLearner
from metagpt_tf.tasks.code_tasks import code_pairs
from metagpt_tf.tasks.text import pack_rows

ROWS = 16


@dataclass(frozen=True)
class PackageAdaptation:
    """Figures on the rest of a package, before and after adaptation.

    Args:
        bits_per_byte: after; the end mark of a target counts as a byte.
        pre_bits_per_byte: before.
        next_line: share of lines that greedy decoding writes exactly, given all that stands before them; after.
        pre_next_line: before.
        k_shot: functions it learned from.
        functions: functions it was measured on.
        lines: lines it was measured on.
        steps: inner steps.
        state: what it learned, for `generate_code(..., state=…)`.
    """

    bits_per_byte: float
    pre_bits_per_byte: float
    next_line: float
    pre_next_line: float
    k_shot: int
    functions: int
    lines: int
    steps: int
    state: State


def package_adaptation(
    learner: MetaLearner,
    path: str | os.PathLike[str],
    k_shot: int = 8,
    steps: int | None = None,
    task: str = "body",
    representation: str = "bytes",
    max_functions: int | None = 256,
    rate_multiplier: float = 1.0,
    seed: int = 0,
) -> PackageAdaptation:
    """Adapt to K functions of a package and measure on the rest of it.

    Use it to see what adaptation is worth on one's own code, before it is used there.

    Args:
        learner: a compiled learner of a `MetaGPT`.
        path: folder of the package, or one `.py` file.
        k_shot: K, functions to learn from, drawn by the seed.
        steps: inner steps; None for the algorithm's own.
        task, representation: what the learner was trained for, as in `preprocess_code_data`; not `"review"`.
        max_functions: most functions that are measured; None for all.
        rate_multiplier: factor on the inner learning rates, as in `MetaLearner.adapt`.
        seed: of the draw, and of the cuts and faults of the task.

    Returns:
        The figures before and after.

    Raises:
        FileNotFoundError: nothing is at `path`.
        ValueError: fewer than K + 1 functions, no whole line to measure, an unknown task or representation, or
            `"review"`, whose targets are no code.

    Example:

    >>> found = package_adaptation(learner, "my_package", k_shot=8)  # doctest: +SKIP
    >>> found.bits_per_byte < found.pre_bits_per_byte  # doctest: +SKIP
    True
    """
    if task == "review":
        raise ValueError("The targets of 'review' are no code. Use 'body', 'completion', 'middle' or 'repair'.")
    model: Any = learner.model
    sizes = {"source_bytes": model.source_length - 1, "target_bytes": model.target_length - 1}
    pairs = code_pairs(functions_at(path), task, seed, representation, **sizes)
    if k_shot < 1 or len(pairs) < k_shot + 1:
        raise ValueError(
            f"{os.fspath(path)!r} has {len(pairs)} functions for the task {task!r}; k_shot={k_shot} needs at least "
            f"{max(k_shot, 1) + 1}, K of 1 or more to learn from and one to measure on. Lower k_shot, or give a larger "
            f"package."
        )
    random.Random(seed).shuffle(pairs)
    rest = pairs[k_shot:] if max_functions is None else pairs[k_shot : k_shot + max_functions]
    state = learner.adapt(_packed(model, pairs[:k_shot]), steps, rate_multiplier)
    before, after = (_measure(learner, rest, given) for given in (learner.layout.initial_state(), state))
    inner_steps = int(getattr(learner.algorithm, "inner_steps", 0)) if steps is None else steps
    return PackageAdaptation(after[0], before[0], after[1], before[1], k_shot, len(rest), after[2], inner_steps, state)


def _packed(model: Any, pairs: Sequence[tuple[str, str]]) -> tuple[np.ndarray, np.ndarray]:
    return pack_rows(pairs, model.tokenizer, model.source_length, model.target_length)


def _measure(learner: MetaLearner, pairs: Sequence[tuple[str, str]], state: State) -> tuple[float, float, int]:
    """Bits per byte, share of right lines and number of lines, in batches of one shape."""
    model: Any = learner.model
    adapted, bits, size = learner.adapted(state), 0.0, 0
    lines: list[bool] = []
    for start in range(0, len(pairs), ROWS):
        source, target = _packed(model, pairs[start : start + ROWS])
        inputs = model.training_inputs(tf.constant(source), tf.constant(target))
        more_bits, more_bytes, more_lines = text_figures(adapted(inputs), target, model.tokenizer)
        bits, size = bits + more_bits, size + more_bytes
        lines += more_lines
    if not lines:
        raise ValueError(
            f"No whole line fits the model's target_length={model.target_length}, so that none can be matched. Use a "
            f"model with longer targets."
        )
    return bits / size, float(np.mean(lines)), len(lines)
