"""Held-out figures twice, before and after adaptation: of the loss, and of answers written in full."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from metagpt_tf.applications.text_metrics import bytes_per_token, perplexity
from metagpt_tf.meta import MetaLearner
from metagpt_tf.tasks import Episode


class Answers(NamedTuple):
    """What was asked, what is right, and what the model wrote without and with a task's state; as many of each."""

    sources: list[str]
    targets: list[str]
    before: list[str]
    after: list[str]


def loss_figures(learner: MetaLearner, episodes: tf.data.Dataset, with_perplexity: bool = False) -> dict[str, float]:
    """`bits_per_byte` and `token_accuracy` of the queries, each also as `pre_…`.

    Bits per byte divide all bits of the targets by all their bytes, an end mark counted as one byte:

        bits_per_byte = bits_per_token · tokens / bytes

    Args:
        learner: compiled with the metrics of its model.
        episodes: finite, of held-out tasks.
        with_perplexity: whether the `perplexity` of a token is among them.
    """
    generator: Any = learner.model
    logs = learner.evaluate(episodes, verbose=0, return_dict=True)
    ratio = 1.0 / bytes_per_token(generator.tokenizer, queries(episodes))
    figures = {}
    for when in ("", "pre_"):
        bits = float(logs[f"{when}bits_per_token"])
        figures[f"{when}bits_per_byte"] = bits * ratio
        if with_perplexity:
            figures[f"{when}perplexity"] = perplexity(bits)
        figures[f"{when}token_accuracy"] = float(logs[f"{when}token_accuracy"])
    return figures


def queries(episodes: tf.data.Dataset) -> np.ndarray:
    """All query targets of a dataset, `(N, T)`."""
    rows = [np.asarray(Episode(*episode).query_y) for episode in episodes]
    return np.concatenate([row.reshape(-1, row.shape[-1]) for row in rows])


def answers_before_and_after(learner: MetaLearner, episodes: tf.data.Dataset, prompts: int, **options: Any) -> Answers:
    """Answer the first queries of held-out tasks, without and with what the task's support set taught.

    Args:
        learner: compiled, round a model that generates.
        episodes: of held-out tasks.
        prompts: queries to answer, at least; whole episodes are answered.
        **options: of `MetaGPT.generate`.
    """
    generator: Any = learner.model
    found = Answers([], [], [], [])
    for row in episodes.unbatch():
        episode = Episode(*row)
        state = learner.adapt((episode.support_x, episode.support_y))
        sources, targets = (
            [generator.tokenizer.decode(ids) for ids in np.asarray(part)] for part in (episode.query_x, episode.query_y)
        )
        before, after = (generator.generate(sources, state=s, truncate=True, **options) for s in (None, state))
        for kept, new in zip(found, (sources, targets, before, after), strict=True):
            kept += new
        if len(found.sources) >= prompts:
            break
    return found
