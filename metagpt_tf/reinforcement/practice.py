"""One task of reinforcement learning as functions of a policy's fast weights.

Axes: N episodes, O observation.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from metagpt_tf.fast_weights import FastWeights
from metagpt_tf.reinforcement.advantages import advantages, discounted_sums, linear_baseline, surrogate_loss
from metagpt_tf.reinforcement.environment import Environment
from metagpt_tf.reinforcement.rollout import Noise, Previous, Trajectories, rollout


class Settings(NamedTuple):
    """How a policy practises: episodes N of a gradient, γ, λ, and the form of the surrogate loss."""

    trajectories: int
    discount: float
    gae: float
    surrogate: str


class Practice:
    """Policy-gradient losses of one task: each call plays *fresh* episodes with the weights it is given.

    So an inner loop that calls it once a step is a loop of vanilla policy gradients, whatever algorithm runs it.

    Args:
        policy: a built `keras.Model` from observations `(N, O)` to outputs of the environment's distribution.
        environment: the world.
        settings: see there.
        layout: which of the policy's variables are fast.
        trainable: all of its trainable variables as tensors.
        task: `(G,)`.
        noise: of R rollouts `(R, T, N, …)`; each call uses up one.

    Attributes:
        returns: mean undiscounted return of each call's episodes, before any gradient of them was taken.
        losses: the surrogate of each call.
    """

    def __init__(
        self,
        policy: keras.Model,
        environment: Environment,
        settings: Settings,
        layout: FastWeights,
        trainable: Sequence[Any],
        task: tf.Tensor,
        noise: Noise,
    ) -> None:
        self.policy, self.environment, self.settings = policy, environment, settings
        self.layout, self.trainable = layout, trainable
        self.task, self.noise = task, noise
        self.returns: list[tf.Tensor] = []
        self.losses: list[tf.Tensor] = []

    def outputs(self, fast: Sequence[Any], observations: tf.Tensor) -> tf.Tensor:
        """What the policy says with `fast` in place of the scope's variables, `(…, outputs)`."""
        values = self.layout.merge(self.trainable, fast)
        with keras.StatelessScope(list(zip(self.policy.trainable_variables, values, strict=True))):
            return self.policy(observations)

    def episodes(self, fast: Sequence[Any]) -> Trajectories:
        """Play N fresh episodes; nothing of them can be differentiated.

        Raises:
            ValueError: the noise is used up.
        """
        index, prepared = len(self.returns), self.noise.world.shape[0]
        if index >= prepared:
            raise ValueError(
                f"This algorithm plays more often than the {prepared} times that noise was drawn for (2 n + 2 for n "
                "inner steps). Use one that takes one gradient a step: MAML, FOMAML, MetaSGD, ANIL or CAVIA."
            )
        frozen = [tf.stop_gradient(weight) for weight in fast]

        def act(previous: Previous, memory: Any) -> tuple[tf.Tensor, Any]:
            return self.outputs(frozen, previous.observation), memory

        noise = Noise(*(part[index] for part in self.noise))
        played = rollout(self.environment, act, self.task, noise)
        self.returns.append(played.mean_return)
        return played

    def surrogate(self, fast: Sequence[Any], played: Trajectories) -> tf.Tensor:
        """The surrogate loss `()` of episodes as a function of fast weights."""
        returns = discounted_sums(played.rewards, self.settings.discount)
        values = linear_baseline(played.observations, returns, played.alive)
        advantage = advantages(played, values, self.settings.discount, self.settings.gae)
        flat = tf.reshape(played.observations, [-1, played.observations.shape[-1]])
        outputs = tf.reshape(self.outputs(fast, flat), [*played.rewards.shape, -1])
        log_prob = self.environment.actions.log_prob(outputs, played.actions)
        return surrogate_loss(log_prob, advantage, played.alive, self.settings.surrogate)

    def __call__(self, fast: Sequence[Any]) -> tf.Tensor:
        loss = self.surrogate(fast, self.episodes(fast))
        self.losses.append(loss)
        return loss
