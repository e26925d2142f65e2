"""A user's own code or texts as a support set."""

from typing import Any

import numpy as np

from metagpt_tf.cli.apps import App
from metagpt_tf.meta import MetaLearner
from metagpt_tf.tasks.text import pack_rows


def support_of(
    learner: MetaLearner, app: App, path: str, task: str, k_shot: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """K examples of a file or folder, packed for the learner's model.

    Raises:
        FileNotFoundError: no such path.
        ValueError: fewer than K examples.
    """
    model: Any = learner.model
    pairs = app.examples(path, task, model)
    if len(pairs) < k_shot:
        raise ValueError(
            f"{path} has {len(pairs)} examples, --k-shot asks for {k_shot}. Lower it or give more of them."
        )
    chosen = np.random.default_rng(seed).choice(len(pairs), k_shot, replace=False)
    rows = [pairs[i] for i in sorted(chosen)]
    return pack_rows(rows, model.tokenizer, model.source_length, model.target_length)
