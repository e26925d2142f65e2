"""A user's own code as a support set."""

from typing import Any

import numpy as np

from metagpt_tf.datasets import functions_at
from metagpt_tf.meta import MetaLearner


def support_of(learner: MetaLearner, path: str, k_shot: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """K documented functions of a file or folder, packed for the learner's model.

    Raises:
        FileNotFoundError: no such path.
        ValueError: fewer than K documented functions.
    """
    model: Any = learner.model
    pairs = functions_at(path)
    if len(pairs) < k_shot:
        raise ValueError(
            f"{path} has {len(pairs)} documented functions, --k-shot asks for {k_shot}. Lower it or give more code."
        )
    chosen = np.random.default_rng(seed).choice(len(pairs), k_shot, replace=False)
    sources, targets = zip(*(pairs[i] for i in sorted(chosen)), strict=True)
    return model.tokenizer.pack(sources, model.source_length), model.tokenizer.pack(targets, model.target_length)
