"""Episodes in the graph: one loop over time, all episodes at once.

Axes: T steps, N episodes (or any leading axes `…`), O observation, A action.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from metagpt_tf.reinforcement.environment import Environment


class Previous(NamedTuple):
    """What a policy may look at: the present observation `(…, O)`, its last action and last reward `(…)`."""

    observation: tf.Tensor
    action: tf.Tensor
    reward: tf.Tensor


class Noise(NamedTuple):
    """All randomness of episodes: of the actions `(T, …, A)`, and of the world `(T, …)`."""

    action: tf.Tensor
    world: tf.Tensor


class Trajectories(NamedTuple):
    """Episodes that have run; what followed an episode's end has reward 0 and is not alive.

    Attributes:
        observations: `(T, …, O) float32`, before each action.
        actions: `(T, …, A) float32` or `(T, …) int32`.
        rewards: `(T, …) float32`.
        alive: `(T, …) float32`, 1 for the steps up to and including an episode's last.
    """

    observations: tf.Tensor
    actions: tf.Tensor
    rewards: tf.Tensor
    alive: tf.Tensor

    @property
    def mean_return(self) -> tf.Tensor:
        """The average undiscounted return of an episode, `()`."""
        return tf.reduce_mean(tf.reduce_sum(self.rewards, axis=0))


Act = Callable[[Previous, Any], tuple[tf.Tensor, Any]]


def draw_noise(environment: Environment, seed: tf.Tensor, shape: Any, plays: tuple[int, ...] = ()) -> Noise:
    """The noise of episodes with leading axes `shape`, by a `(2,) int32` seed.

    It is drawn before anything runs, so that it is the same whoever loops or vectorises around a rollout (and
    `tf.vectorized_map` has no fast form of random operations).

    Args:
        environment: the world.
        seed: `(2,) int32`.
        shape: leading axes of the episodes.
        plays: axes before time, e.g. `(R,)` for R rollouts.
    """
    seeds = tf.random.split(seed)
    axes = (*plays, environment.horizon, *shape)
    return Noise(environment.actions.noise(seeds[0], axes), environment.noise(seeds[1], axes))


def rollout(environment: Environment, act: Act, task: tf.Tensor, noise: Noise, memory: Any = ()) -> Trajectories:
    """Let a policy act for a whole horizon; all episodes step together.

    Nothing of it can be differentiated: a policy gradient evaluates the policy again on what happened.

    Args:
        environment: the world.
        act: `(Previous, memory)` to a policy's outputs `(…, outputs)` and the new memory.
        task: `(G,)`, or `(…, G)` for a task of its own for each episode.
        noise: from `draw_noise`; its static shape says how many episodes run.
        memory: what `act` is handed first, nested tensors of fixed shapes.

    Returns:
        Trajectories, with gradients stopped.

    Example:

    >>> from metagpt_tf.reinforcement import PointMass
    >>> stay = lambda previous, memory: (tf.constant([[0.0, 0.0, -9.0, -9.0]] * 3), memory)
    >>> world = PointMass(horizon=5)
    >>> rollout(world, stay, tf.constant([0.3, 0.4]), draw_noise(world, tf.constant([0, 0]), (3,))).rewards.shape
    TensorShape([5, 3])
    """
    actions, (steps, *shape) = environment.actions, noise.world.shape

    def body(
        t: tf.Tensor, state: Any, previous: Previous, alive: tf.Tensor, memory: Any, stores: Trajectories
    ) -> tuple:
        outputs, memory = act(previous, memory)
        action = actions.sample(outputs, noise.action[t])
        state, reward, over = environment.step(task, state, action, noise.world[t])
        reward = reward * alive
        written = Trajectories(
            *(s.write(t, v) for s, v in zip(stores, (previous.observation, action, reward, alive), strict=True))
        )
        previous = Previous(environment.observe(state), action, reward)
        return t + 1, state, previous, alive * tf.cast(~over, tf.float32), memory, written

    state = environment.start(shape)
    first = Previous(environment.observe(state), actions.nothing(shape), tf.zeros([*shape]))
    alive = tf.ones([*shape])
    stores = Trajectories(
        *(
            tf.TensorArray(tensor.dtype, size=steps, element_shape=tensor.shape)
            for tensor in (first.observation, first.action, first.reward, alive)
        )
    )
    start = (tf.constant(0), state, first, alive, memory, stores)
    done = tf.while_loop(lambda t, *_: t < steps, body, start)[-1]
    return Trajectories(*(tf.stop_gradient(store.stack()) for store in done))


def play(environment: Environment, player: Any, tasks: int = 1000, seed: int = 0) -> tf.Tensor:
    """The total reward of each of many tasks, one episode each, for a player that makes its own memory.

    Args:
        environment: the world.
        player: a `BanditPlayer`, an `RL2`, or anything else with `memory(shape, seed)` and `act(previous, memory)`.
        tasks: B, how many.
        seed: draws tasks and noise.

    Returns:
        `(B,) float32`.

    Example:

    >>> from metagpt_tf.reinforcement import Bandits, ThompsonSampling
    >>> play(Bandits(2, 10), ThompsonSampling(2), tasks=3).shape
    TensorShape([3])
    """
    batch = next(iter(environment.as_dataset(tasks, seed=seed, num_batches=1)))
    seeds = tf.random.split(tf.constant([seed, 1], tf.int32))
    memory = player.memory((tasks,), seeds[0])
    noise = draw_noise(environment, seeds[1], (tasks,))
    return tf.reduce_sum(rollout(environment, player.act, batch.task, noise, memory).rewards, axis=0)
