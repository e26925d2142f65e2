"""A policy that practises: what adapts it to a task on episodes of its own, step by step.

Axes: N episodes, G length of a task, P length of a state.
"""

from typing import Any

import tensorflow as tf

from metagpt_tf.fast_weights import State
from metagpt_tf.meta.adapting import AdaptingModel
from metagpt_tf.meta.algorithm import check_steps
from metagpt_tf.meta.inner import Weights
from metagpt_tf.reinforcement.environment import Environment, check_whole
from metagpt_tf.reinforcement.practice import Practice, Settings
from metagpt_tf.reinforcement.rollout import Noise, draw_noise


class PractisingModel(AdaptingModel):
    """An `AdaptingModel` whose support set is made by the policy itself, afresh in each inner step.

    Attributes:
        environment: the world that is practised in.
        settings: how many episodes, and how their gradient is estimated.
        later_rate: factor on the rate of steps beyond the algorithm's own.
    """

    environment: Environment
    settings: Settings
    later_rate: float

    def adapt(self, support: Any, steps: int | None = None, rate_multiplier: float = 1.0, seed: int = 0) -> State:
        """Practise a task; the policy is not changed.

        Args:
            support: what tells the task, `(G,)`; the policy does not see it, its world does.
            steps: inner steps, each on N fresh episodes; `None` for the algorithm's `inner_steps`.
            rate_multiplier: factor on the inner learning rates.
            seed: of the episodes.

        Returns:
            State `(P,)` float32; `adapted(state)(observations)` is the policy as this task left it.

        Raises:
            ValueError: a task of another shape, steps negative or not whole, or values that are not finite.
        """
        if steps is not None:
            check_steps("steps", steps)
        check_whole("seed", seed, -(2**31), 2**31)
        task = tf.convert_to_tensor(support, tf.float32)
        expected = self.environment.sample_task(tf.constant([0, 0])).shape
        if task.shape != expected:
            raise ValueError(
                f"A task of {type(self.environment).__name__} has shape {tuple(expected)}, received "
                f"{tuple(task.shape)}. Give one task, e.g. a row of TaskBatch.task."
            )
        layout = self.layout  # first: it drops graphs that are out of date
        if steps not in self._adapt_functions:

            def run(task: Any, seed: Any, multiplier: Any) -> Any:
                return self.adapt_tensors(task, seed, steps, multiplier)

            self._adapt_functions[steps] = tf.function(run, autograph=False)
        inputs = (task, tf.constant([seed, 2], tf.int32), tf.constant(rate_multiplier, tf.float32))
        return State.of(layout.check(self._adapt_functions[steps](*inputs)), layout.scope, layout.keep_zeros)

    def adapt_tensors(
        self, x: Any, y: Any, steps: int | None = None, rate_multiplier: Any = 1.0, rolled: bool = False
    ) -> Any:
        """The stateless core of `adapt`: a task `(G,)` and a seed `(2,) int32` to a state `(P,)`.

        Raises:
            ValueError: `rolled`, which would play the same episodes in each step.
        """
        if rolled:
            raise ValueError("PolicyGradientLearner plays fresh episodes in each inner step: use rolled=False.")
        weights = [tf.convert_to_tensor(v.value) for v in self.trainable_variables]
        noise = self._draw(y, self.algorithm.inner_steps if steps is None else steps)
        return self.layout.pack(self._adapt(weights, self._practice(weights, x, noise), steps, rate_multiplier))

    def _adapt(self, weights: Weights, practice: Practice, steps: int | None, multiplier: Any = 1.0) -> Weights:
        trained = self.algorithm.inner_steps
        with self._algorithm_scope(weights):
            carry = self.algorithm.begin(self.algorithm.start(self.layout.select(practice.trainable), practice))
            for index in range(trained if steps is None else steps):
                factor = multiplier * (1.0 if index < max(trained, 1) else self.later_rate)
                carry, _ = self.algorithm.step(carry, practice, factor)
        return carry.weights

    def _practice(self, weights: Weights, task: Any, noise: Noise) -> Practice:
        policy = weights[: self._trainable_count]
        return Practice(self.model, self.environment, self.settings, self.layout, policy, task, noise)

    def _draw(self, seed: tf.Tensor, steps: int) -> Noise:
        """Enough for a support set in each step, and a query set after each."""
        return draw_noise(self.environment, seed, (self.settings.trajectories,), (2 * steps + 2,))

    def _noise(self, seeds: tf.Tensor, steps: int) -> Noise:
        kinds = Noise(tf.float32, tf.float32)
        return tf.map_fn(lambda seed: self._draw(seed, steps), seeds, fn_output_signature=kinds)
