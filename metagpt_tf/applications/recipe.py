"""The recipe of a pretraining: sizes, inner loop, and how it is judged."""

import dataclasses
import functools
from typing import Any

import tensorflow as tf

from metagpt_tf.applications.comparison import Plan
from metagpt_tf.meta import MAML
from metagpt_tf.tasks import ArrayTasks, TextTasks


@dataclasses.dataclass(frozen=True)
class Recipe(Plan):
    """Sizes of a pretraining: a `Plan`, and what the model, its inner loop and the measuring are.

    Attributes:
        size: of the model; `options` are constructor arguments that differ from it.
        source_length, target_length: of the model, in tokens.
        twin_rate: peak rate of the twins' optimizer.
        inner_steps, inner_learning_rate, rate_speed, scope: of the inner loop, which learns a rate for each tensor and
            step.
        size_exponent: of the warm start's draw of tasks, see `ArrayTasks.by_size`.
        warm_tasks: tasks of a step of the warm start; by default as many as of a meta-batch.
        warm_dtype: policy of the warm start; `"mixed_bfloat16"` is the faster one where the processor has it.
        second_warm_steps: of the warm start, after `warm_steps`: in float32, on the tasks of the meta-training.
        first_order_steps: of the meta-training, the first ones, which cost half as much.
        multi_step_loss: meta-steps in which the loss of the steps between fades; the start's keeps its share.
        new_tasks: whether the meta-training has tasks that the warm start has not seen, every second one of all: a task
            that is known already has little to teach about adapting. The twins go on with all tasks.
        judged_steps: most steps a held-out task may take.
        judged_episodes: episodes that each held-out task is judged on.
        unit: of the figures: `"byte"`, or `"code"` of an image.
        parts: pieces of each training; a killed one goes on after the last whole piece.
    """

    size: str = "nano"
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    source_length: int = 64
    target_length: int = 64
    warm_steps: int = 1500
    meta_steps: int = 160
    meta_rate: float = 1e-3
    twin_rate: float = 1e-3
    inner_steps: int = 3
    inner_learning_rate: float = 0.05
    rate_speed: float = 20.0
    scope: str = "all"
    size_exponent: float = 0.0
    warm_tasks: int = 0
    warm_dtype: str = "float32"
    second_warm_steps: int = 0
    first_order_steps: int = 0
    multi_step_loss: int = 10**9
    new_tasks: bool = False
    judged_steps: int = 5
    judged_episodes: int = 1
    validation_batches: int = 8
    unit: str = "byte"
    parts: int = 4

    def judged(self, tasks: ArrayTasks) -> tf.data.Dataset:
        """`judged_episodes` of each task of a split."""
        shape = (self.k_shot, self.n_query, self.meta_batch_size)
        first, *others = [tasks.every_task(*shape, seed=seed) for seed in range(self.judged_episodes)]
        return functools.reduce(tf.data.Dataset.concatenate, others, first)

    def halves(self, tasks: TextTasks) -> tuple[ArrayTasks, ArrayTasks]:
        """Tasks of the warm start and of the meta-training."""
        names = tasks.task_names
        first, second = (names[::2], names[1::2]) if self.new_tasks else (names, names)
        return tasks.only(first).by_size(self.size_exponent), tasks.only(second)

    def algorithm(self) -> MAML:
        """MAML with learned rates; the loss of every step and of the start counts: it stays good."""
        return MAML(
            self.inner_steps,
            self.inner_learning_rate,
            scope=self.scope,
            learn_rate="per_tensor_per_step",
            multi_step_loss=self.multi_step_loss,
            include_start=True,
            first_order_steps=self.first_order_steps,
            rate_speed=self.rate_speed,
        )
