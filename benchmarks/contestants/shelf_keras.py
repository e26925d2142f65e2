"""Ours: a meta-training step of any algorithm of the shelf, and the plain training step it is counted in."""

from typing import Any

import keras
import tensorflow as tf

from contestants.base import Contestant
from contestants.meta_data import episode
from contestants.meta_keras import _StepClock, build_model
from metagpt_tf.meta import MetaLearner, registry
from metagpt_tf.tasks import Episode, pooled_examples

# What a model of a million weights needs, and what would hide the cost of most of the training.
OPTIONS = {
    "cavia": {"scope": "context"},
    "hierarchical": {"gate": "tensor"},
    "maml_plus_plus": {"first_order_steps": 0},
}


class Step(Contestant):
    """`fit` over one batch, repeated: `settings["algorithm"]` is a name of the registry, or `"plain"`.

    The plain step is the model's own `fit` on the M · K support examples: one gradient of the loss on K examples for
    each task, by the same optimizer.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        batch = tf.data.Dataset.from_tensors(Episode(*episode(settings)))
        model = build_model(settings)
        if settings["algorithm"] == "plain":
            self.trained, half = model, settings["tasks"] * settings["support"]
            self.dataset = pooled_examples(batch).map(lambda x, y: (x[:half], y[:half]))
        else:
            options = OPTIONS.get(settings["algorithm"], {})
            steps, rate = settings["inner_steps"], settings["inner_learning_rate"]
            made = registry.get(settings["algorithm"], inner_steps=steps, inner_learning_rate=rate, **options)
            self.trained = MetaLearner(model, made)
            self.dataset = batch
        self.trained.compile(keras.optimizers.Adam(settings["outer_learning_rate"]), metrics=[])
        self.trained.fit(self.dataset, verbose=0)

    def measure(self, count: int, limit: float | None) -> dict[str, Any]:
        clock = _StepClock()
        self.trained.fit(self.dataset.repeat(count + 1), epochs=1, verbose=0, callbacks=[clock])
        return {"seconds": [b - a for a, b in zip(clock.ends, clock.ends[1:], strict=False)]}
