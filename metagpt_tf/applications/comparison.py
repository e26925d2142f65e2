"""Does meta-learning pay? The same model meta-trained and trained plainly, at equal cost, each at its best rate."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from metagpt_tf.meta import AdaptationCurve, MetaLearner, best_rate
from metagpt_tf.models import cosine_annealing
from metagpt_tf.tasks import TaskDistribution, pooled_examples

STEPS = (0, 1, 3, 5)
MULTIPLIERS = (0.3, 1.0, 3.0)


@dataclass(frozen=True)
class Plan:
    """Sizes of a comparison. One gradient evaluation is the gradient of the loss on K examples, of whatever order.

    Attributes:
        meta_batch_size, k_shot, n_query: shape of a meta-batch (M, K, Q).
        warm_steps: plain training steps that both models share.
        meta_steps: steps of meta-training that follow.
        plain_rate, meta_rate: peak rates of the outer optimizer (Adam).
        validation_batches, test_batches: meta-batches for tuning and for the table.
        seed: of episodes; the model's own comes from `keras.utils.set_random_seed`.
    """

    meta_batch_size: int = 4
    k_shot: int = 8
    n_query: int = 8
    warm_steps: int = 200
    meta_steps: int = 26
    plain_rate: float = 2e-3
    meta_rate: float = 5e-4
    validation_batches: int = 2
    test_batches: int = 4
    seed: int = 0

    def meta_evaluations(self, inner_steps: int) -> float:
        """Gradient evaluations of the meta-training part: each task takes its inner steps and one query gradient."""
        return self.meta_steps * self.meta_batch_size * (inner_steps + self.n_query / self.k_shot)

    def plain_evaluations_per_step(self) -> float:
        """Gradient evaluations of one plain step on the examples of a meta-batch."""
        return self.meta_batch_size * (self.k_shot + self.n_query) / self.k_shot

    def twin_steps(self, inner_steps: int) -> int:
        """Plain steps that cost as many gradient evaluations as the meta-training part."""
        return round(self.meta_evaluations(inner_steps) / self.plain_evaluations_per_step())


@dataclass(frozen=True)
class Comparison:
    """Losses in bits after each of `STEPS`, `(tasks, 4)`, of both models on the same held-out episodes.

    Attributes:
        meta, twin: the curves.
        meta_rate, twin_rate: multipliers of the inner rate chosen on validation tasks.
        gradient_evaluations: cost of each model, warm start included.
        history: losses during meta-training.
    """

    meta: np.ndarray
    twin: np.ndarray
    meta_rate: float
    twin_rate: float
    gradient_evaluations: float
    history: dict[str, list[float]]

    def at(self, curve: np.ndarray) -> dict[str, float]:
        """Mean of a curve at 1, 3 and 5 steps, keyed by the step."""
        return {str(step): float(curve[:, i].mean()) for i, step in enumerate(STEPS) if step}


def compare_with_plain_twin(
    learner: MetaLearner,
    tasks: TaskDistribution,
    plan: Plan,
    report: Callable[[str], None] = lambda message: None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 0,
) -> Comparison:
    """Train both models from one warm start and measure both on held-out tasks.

    The learner is left with the meta-trained weights.

    The twin is the same model object with other weights, so that both run the same compiled graphs.

    Args:
        learner: a compiled learner round a model that can be trained plainly too (`MetaGPT`).
        tasks: a distribution with three splits.
        plan: sizes.
        report: told what begins, in one line each.
        callbacks: given to each `fit`.
        verbose: as in `keras.Model.fit`.
    """
    model, inner_steps = learner.model, learner.algorithm.inner_steps
    twin_steps = plan.twin_steps(inner_steps)
    episodes = tasks.as_dataset(plan.meta_batch_size, plan.k_shot, plan.n_query, seed=plan.seed)
    fit = {"callbacks": list(callbacks), "verbose": verbose}
    first = learner.algorithm.get_weights()

    report(f"plain training, {plan.warm_steps} steps: the start that both models share")
    total = plan.warm_steps + twin_steps
    model.compile(_adam(cosine_annealing(plan.plain_rate, total, warmup_steps=max(1, total // 20))))
    plain = iter_batches(pooled_examples(episodes), plan.warm_steps, twin_steps)
    model.fit(plain[0], steps_per_epoch=plan.warm_steps, **fit)
    start = model.get_weights()
    report(f"the twin goes on plainly, {twin_steps} steps: as many gradient evaluations as the meta-training")
    model.fit(plain[1], steps_per_epoch=twin_steps, **fit)
    twin_weights = model.get_weights()

    report(f"meta-training with {type(learner.algorithm).__name__}, {plan.meta_steps} steps")
    model.set_weights(start)
    learner.compile(_adam(cosine_annealing(plan.meta_rate, plan.meta_steps, floor=0.1)), learner.task_loss, metrics=[])
    later = episodes.skip(plan.warm_steps)
    history = learner.fit(later, steps_per_epoch=plan.meta_steps, **fit).history
    meta_weights, rates = model.get_weights(), learner.algorithm.get_weights()

    report("tuning the inner rate of each on validation tasks, measuring both on held-out tasks")
    curve = AdaptationCurve(learner, STEPS)
    model.set_weights(twin_weights)
    learner.algorithm.set_weights(first)
    twin, twin_rate = _tuned_curve(curve, tasks, plan)
    model.set_weights(meta_weights)
    learner.algorithm.set_weights(rates)
    meta, meta_rate = _tuned_curve(curve, tasks, plan)
    cost = plan.warm_steps * plan.plain_evaluations_per_step() + plan.meta_evaluations(inner_steps)
    return Comparison(meta / math.log(2), twin / math.log(2), meta_rate, twin_rate, cost, dict(history))


def iter_batches(dataset: tf.data.Dataset, *counts: int) -> list[tf.data.Dataset]:
    """Consecutive parts of an endless dataset, of so many batches each."""
    parts, done = [], 0
    for count in counts:
        parts.append(dataset.skip(done).take(count))
        done += count
    return parts


def annealed_adam(peak: float, steps: int) -> keras.optimizers.Optimizer:
    """Adam with clipped gradients, whose rate rises for a twentieth of the steps and falls to 0 by a cosine."""
    return _adam(cosine_annealing(peak, max(steps, 2), warmup_steps=steps // 20))


def _adam(rate: Any) -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(rate, clipnorm=1.0)


def _tuned_curve(curve: AdaptationCurve, tasks: TaskDistribution, plan: Plan) -> tuple[np.ndarray, float]:
    def episodes(split: str, batches: int) -> tf.data.Dataset:
        return tasks.split(split).as_dataset(
            plan.meta_batch_size, plan.k_shot, plan.n_query, seed=plan.seed + 1, num_batches=batches
        )

    rate, _ = best_rate(curve, episodes("meta_validation", plan.validation_batches), MULTIPLIERS)
    return curve(episodes("meta_test", plan.test_batches), rate), rate
