"""Ours: a training that is fed by the real input pipeline, or by one batch of it kept in memory and repeated."""

import itertools
import time
from typing import Any

import keras
import tensorflow as tf

from contestants.base import Contestant
from contestants.meta_keras import _StepClock
from metagpt_tf.applications import code, language
from metagpt_tf.meta import MetaLearner
from metagpt_tf.tasks import pooled_examples

DRAWN = 20  # meta-batches that are drawn without a training, to time the pipeline by itself


def load(settings: dict[str, Any]) -> tuple[tf.data.Dataset, MetaLearner]:
    """The training episodes of an application and its default learner, from its own verbs."""
    lengths = {"source_length": settings["length"], "target_length": settings["length"]}
    shape = {"meta_batch_size": settings["tasks"], "k_shot": settings["support"], "n_query": settings["query"]}
    if settings["application"] == "language":
        data = language.preprocess_data(
            language.load_data(), tokenizer="bytes", **lengths, **shape, seed=settings["seed"]
        )
        return data["train"], language.define_meta_gpt_model(settings["size"], tokenizer="bytes", **lengths)
    data = code.preprocess_code_data(code.load_code_data(), **lengths, **shape, seed=settings["seed"])
    return data["train"], code.define_meta_gpt_code_model(settings["size"], **lengths)


class Fed(Contestant):
    """`fit` of a learner, or of its model on pooled examples, from the end of one step to the end of the next.

    `settings["training"]` is `"meta"` or `"plain"`, `settings["source"]` is `"pipeline"` or `"cached"`. The rest
    is the same: weights, graph, optimizer, shapes.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        keras.utils.set_random_seed(settings["seed"])
        self.real, learner = load(settings)
        self.trained: Any = learner
        if settings["training"] == "plain":
            self.real, self.trained = pooled_examples(self.real), learner.model
            self.trained.compile(keras.optimizers.Adam(1e-3, clipnorm=1.0))
        self.dataset = self.real.repeat()
        if settings["source"] == "cached":
            self.dataset = tf.data.Dataset.from_tensors(next(iter(self.real))).repeat()
        self._fit(2)

    def _fit(self, steps: int) -> list[float]:
        clock = _StepClock()
        self.trained.fit(self.dataset.take(steps), shuffle=False, verbose=0, callbacks=[clock])
        return clock.ends

    def measure(self, count: int, limit: float | None) -> dict[str, Any]:
        ends = self._fit(count + 1)
        return {"seconds": [after - before for before, after in itertools.pairwise(ends)]}

    def check(self) -> dict[str, Any]:
        """Milliseconds of the pipeline for a batch when nothing trains beside it."""
        batches = iter(self.real.repeat())
        next(batches)
        start = time.perf_counter()
        for _ in range(DRAWN):
            next(batches)
        return {"pipeline_ms": round(1e3 * (time.perf_counter() - start) / DRAWN, 3)}
