"""What an environment is: a distribution of tasks, each a small world written in TensorFlow.

Axes: M tasks of a meta-batch, N episodes of a task, G numbers that tell a task, O numbers of an observation.
"""

import numbers
from typing import Any, NamedTuple

import tensorflow as tf

from metagpt_tf.registry import Registry
from metagpt_tf.reinforcement.distributions import ActionDistribution

registry: Registry["Environment"] = Registry("environment")
get = registry.get


class TaskBatch(NamedTuple):
    """Tasks to practise on.

    Attributes:
        task: `(M, G) float32`, what tells the tasks apart and no policy sees (goals, probabilities).
        seed: `(M, 2) int32`, the randomness of each task's episodes.
    """

    task: Any
    seed: Any


class Environment:
    """Base of the environments: pure functions of tensors, without a state of their own.

    A subclass defines the functions below for *any* leading axes, with tasks that broadcast against them: `(G,)` tasks
    with `(N, …)` states are N episodes of one task, `(N, G)` tasks are one episode of each. Register it with
    `registry.register("name")`, so that it is saved with a learner.

    Attributes:
        horizon: steps of an episode.
        observation_size: O; 0 where there is nothing to see but one's own rewards.
        actions: what an action is.
    """

    horizon: int
    observation_size: int
    actions: ActionDistribution

    def sample_task(self, seed: tf.Tensor) -> tf.Tensor:
        """Draw a task `(G,) float32` by a `(2,) int32` stateless seed."""
        raise NotImplementedError(f"{type(self).__name__} must define sample_task(seed).")

    def start(self, shape: Any) -> Any:
        """State (nested tensors) of episodes with leading axes `shape` before the first step."""
        raise NotImplementedError(f"{type(self).__name__} must define start(shape).")

    def observe(self, state: Any) -> tf.Tensor:
        """What the policy sees of a state, `(…, O) float32`."""
        raise NotImplementedError(f"{type(self).__name__} must define observe(state).")

    def noise(self, seed: tf.Tensor, shape: Any) -> tf.Tensor:
        """The world's own randomness, one entry for each step: leading axes `shape`; zeros where it has none."""
        return tf.zeros([*shape])

    def step(self, task: tf.Tensor, state: Any, action: tf.Tensor, noise: tf.Tensor) -> tuple[Any, tf.Tensor, Any]:
        """The state after an action, its reward `(…) float32`, and whether the episode is over, `(…) bool`."""
        raise NotImplementedError(f"{type(self).__name__} must define step(task, state, action, noise).")

    def as_dataset(self, meta_batch_size: int, seed: int = 0, num_batches: int | None = None) -> tf.data.Dataset:
        """Batches of tasks for `fit` and `evaluate`.

        The i-th task depends on the seed and on i alone. Two seeds give different tasks: use another one for
        validation than for training.

        Args:
            meta_batch_size: tasks M in a batch.
            seed: any 32-bit integer.
            num_batches: batches in one iteration; `None` for an endless dataset (give `fit` its `steps_per_epoch`).

        Returns:
            A dataset of `TaskBatch`.

        Raises:
            ValueError: a size below 1, or a seed that is no 32-bit integer.

        Example:

        >>> from metagpt_tf.reinforcement import PointMass
        >>> [batch.task.shape for batch in PointMass().as_dataset(3, num_batches=1)]
        [TensorShape([3, 2])]
        """
        check_whole("meta_batch_size", meta_batch_size, 1)
        check_whole("seed", seed, -(2**31), 2**31)
        if num_batches is not None:
            check_whole("num_batches", num_batches, 1)

        def draw(index: tf.Tensor) -> TaskBatch:
            seeds = tf.random.split(tf.random.fold_in(tf.constant([seed, 0], tf.int32), index))
            return TaskBatch(self.sample_task(seeds[0]), seeds[1])

        indices = tf.data.Dataset.counter()
        if num_batches is not None:
            indices = indices.take(num_batches * meta_batch_size)
        return indices.map(draw).batch(meta_batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Environment":
        """Build from `get_config`."""
        return cls(**config)


def check_whole(name: str, value: Any, least: int, below: int | None = None) -> None:
    """Refuse what is not a whole number of at least `least` (and less than `below`).

    Raises:
        ValueError: such a value.
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < least or (below is not None and value >= below):
        wanted = f">= {least}" if below is None else f"in [{least}, {below})"
        raise ValueError(f"{name} must be a whole number {wanted}, received {value!r}.")
