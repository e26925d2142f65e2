"""Ours: `MetaLearner.fit` with any algorithm, MAML as a bare `tf.function`, and the plain step all are counted in."""

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from contestants.base import Contestant
from contestants.meta_data import episode, load_weights, save_weights
from metagpt_tf.meta import MetaLearner, registry
from metagpt_tf.models import MetaGPT
from metagpt_tf.tasks import Episode, pooled_examples

LOSSES = ("loss", "pre_loss", "support_loss")
# What a model of a million weights needs, and what would hide the cost of most of the training.
OPTIONS = {
    "cavia": {"scope": "context"},
    "hierarchical": {"gate": "tensor"},
    "maml_plus_plus": {"first_order_steps": 0},
}


def build_model(settings: dict[str, Any]) -> MetaGPT:
    """The model with the weights of the file, which the first to come writes."""
    keras.utils.set_random_seed(settings["seed"])
    model = MetaGPT(
        source_length=settings["length"],
        target_length=settings["length"],
        dim=settings["dim"],
        num_heads=settings["heads"],
        num_layers=settings["layers"],
        hidden_dim=settings["hidden"],
        low_rank=4,
        context_tokens=4,
    )
    if not Path(settings["weights"]).exists():
        save_weights(settings["weights"], _moved_weights(model, settings["seed"]))
    weights = load_weights(settings["weights"])
    for variable in model.trainable_variables:
        variable.assign(weights[_name(variable)])
    return model


def _moved_weights(model: MetaGPT, seed: int) -> dict[str, np.ndarray]:
    """Fresh weights and a little noise: what starts at zero (adapters, context, biases) would hide an error in it."""
    random = np.random.default_rng(seed)
    values = {_name(v): keras.ops.convert_to_numpy(v) for v in model.trainable_variables}
    return {n: (v + 0.02 * random.standard_normal(v.shape)).astype("float32") for n, v in values.items()}


def _name(variable: Any) -> str:
    return variable.path.partition("/")[2]


class Fit(Contestant):
    """`MetaLearner.fit` over a dataset of one episode, repeated; the algorithm is any of the registry."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        name, options = settings["algorithm"], OPTIONS.get(settings["algorithm"], {})
        steps, rate = settings["inner_steps"], settings["inner_learning_rate"]
        algorithm = registry.get(name, inner_steps=steps, inner_learning_rate=rate, **options)
        self.learner = MetaLearner(build_model(settings), algorithm)
        self.learner.compile(keras.optimizers.Adam(settings["outer_learning_rate"]), metrics=[])
        self.dataset = tf.data.Dataset.from_tensors(Episode(*episode(settings)))
        # One step an epoch, so that the means of an epoch are the losses of a step.
        history = self.learner.fit(self.dataset, epochs=settings["checked_steps"], verbose=0).history
        self.facts = {name: history[name] for name in LOSSES}

    def measure(self, count: int, limit: float | None) -> dict[str, Any]:
        clock = _StepClock()
        start = time.perf_counter()
        self.learner.fit(self.dataset.repeat(count + 1), epochs=1, verbose=0, callbacks=[clock])
        whole = (time.perf_counter() - start) / (count + 1)
        return {"seconds": np.diff(clock.ends).tolist(), "epoch_seconds_per_step": whole}


class _StepClock(keras.callbacks.Callback):
    """The times at which steps ended: from one to the next is everything that `fit` does for a step."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.ends.append(time.perf_counter())


class Plain(Contestant):
    """A plain training step: the model's own `fit` on the M · K support examples, by the same optimizer.

    That is one gradient of the loss on K examples for each task.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        batch = tf.data.Dataset.from_tensors(Episode(*episode(settings)))
        half = settings["tasks"] * settings["support"]
        self.dataset = pooled_examples(batch).map(lambda x, y: (x[:half], y[:half]))
        self.model = build_model(settings)
        self.model.compile(keras.optimizers.Adam(settings["outer_learning_rate"]), metrics=[])
        self.model.fit(self.dataset, verbose=0)

    def measure(self, count: int, limit: float | None) -> dict[str, Any]:
        clock = _StepClock()
        self.model.fit(self.dataset.repeat(count + 1), epochs=1, verbose=0, callbacks=[clock])
        return {"seconds": np.diff(clock.ends).tolist()}


class Bare(Contestant):
    """The step of MAML or FOMAML written down directly: two tapes, `vectorized_map`, the optimizer."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        self.model = build_model(settings)
        self.loss = self.model.default_loss()
        self.optimizer = keras.optimizers.Adam(settings["outer_learning_rate"])
        self.optimizer.build(self.model.trainable_variables)
        self.batches = iter(tf.data.Dataset.from_tensors(Episode(*episode(settings))).repeat())
        self.run = tf.function(self._meta_step, autograph=False)
        losses = [[float(x) for x in self.run(next(self.batches))] for _ in range(settings["checked_steps"])]
        self.facts = dict(zip(LOSSES, map(list, zip(*losses, strict=True)), strict=True))

    def step(self) -> None:
        self.run(next(self.batches))

    def _meta_step(self, batch: Episode) -> tuple[tf.Tensor, ...]:
        variables = self.model.trainable_variables
        weights = [tf.convert_to_tensor(v.value) for v in variables]
        with tf.GradientTape() as tape:
            tape.watch(weights)
            losses = tf.vectorized_map(lambda task: self._task(weights, task), batch)
            query, before, support = [tf.reduce_mean(loss) for loss in losses]
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(query, weights)]
        self.optimizer.apply(gradients, variables)
        return query, before, support

    def _task(self, weights: list[tf.Tensor], task: Episode) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        before = tf.stop_gradient(self._loss_of(weights, task.query_x, task.query_y))
        fast, support = weights, before
        for _ in range(self.settings["inner_steps"]):
            with tf.GradientTape() as tape:
                tape.watch(fast)
                support = self._loss_of(fast, task.support_x, task.support_y)
            gradients = [tf.convert_to_tensor(g) for g in tape.gradient(support, fast)]
            if self.settings["algorithm"] == "fomaml":
                gradients = [tf.stop_gradient(g) for g in gradients]
            fast = [w - self.settings["inner_learning_rate"] * g for w, g in zip(fast, gradients, strict=True)]
        return self._loss_of(fast, task.query_x, task.query_y), before, tf.stop_gradient(support)

    def _loss_of(self, weights: list[tf.Tensor], x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        logits, _ = self.model.stateless_call(weights, [], self.model.training_inputs(x, y), training=True)
        return self.loss(y, logits)
