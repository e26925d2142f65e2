"""Bernoulli bandits, and the players that theory knows for them.

Axes: B bandits, A arms.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from metagpt_tf.reinforcement.distributions import Categorical
from metagpt_tf.reinforcement.environment import Environment, check_whole, registry
from metagpt_tf.reinforcement.rollout import Previous

CERTAIN = 1e9  # a logit that no noise overrules


@registry.register("bandits")
class Bandits(Environment):
    """A bandit of A arms, `P(reward = 1 | arm a) = p_a`, `p_a ~ U[0, 1]`; a task is `p`, an episode n pulls.

    Use it to see learning without gradients: there is nothing to observe but one's own actions and rewards, so only
    memory helps. For A = 5 and n = 10 the papers report 5.0 reward for chance and 6.7 for UCB1 and RL² alike.

    Args:
        arms: A >= 2.
        pulls: n, the horizon.

    Raises:
        ValueError: fewer than two arms, or no pull.

    Example:

    >>> world = Bandits(arms=2, pulls=3)
    >>> _, reward, _ = world.step(tf.constant([0.0, 1.0]), world.start(()), tf.constant(1), tf.constant(0.5))
    >>> float(reward)
    1.0

    Reference: Duan et al., 2016, "RL²: Fast Reinforcement Learning via Slow Reinforcement Learning", section 3.1.
    """

    observation_size = 0

    def __init__(self, arms: int = 5, pulls: int = 10) -> None:
        check_whole("arms", arms, 2)
        check_whole("pulls", pulls, 1)
        self.arms, self.pulls = arms, pulls
        self.horizon = pulls
        self.actions = Categorical(arms)

    def sample_task(self, seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform([self.arms], seed)

    def start(self, shape: Any) -> tf.Tensor:
        return tf.zeros([*shape, 0])

    def observe(self, state: Any) -> tf.Tensor:
        return state

    def noise(self, seed: tf.Tensor, shape: Any) -> tf.Tensor:
        return tf.random.stateless_uniform([*shape], seed)

    def step(self, task: tf.Tensor, state: Any, action: tf.Tensor, noise: Any) -> tuple[Any, tf.Tensor, Any]:
        chance = tf.reduce_sum(task * self.actions.features(action), axis=-1)
        reward = tf.cast(noise < chance, tf.float32)
        return state, reward, tf.zeros_like(reward, tf.bool)

    def get_config(self) -> dict[str, Any]:
        return {"arms": self.arms, "pulls": self.pulls}


class Counts(NamedTuple):
    """What a player remembers: rewards and pulls of each arm `(…, A)`, and a `(2,) int32` seed for its next draw."""

    wins: tf.Tensor
    pulls: tf.Tensor
    seed: tf.Tensor


class BanditPlayer:
    """Base of the players: counts rewards and pulls, and pulls the arm of the best `index`.

    Hand one to `play`.

    Args:
        arms: A.
    """

    def __init__(self, arms: int) -> None:
        self.arms = arms

    def memory(self, shape: Any, seed: tf.Tensor) -> Counts:
        """Counts of zero for bandits with leading axes `shape`."""
        zeros = tf.zeros([*shape, self.arms])
        return Counts(zeros, zeros, tf.cast(seed, tf.int32))

    def index(self, counts: Counts) -> tf.Tensor:
        """How promising each arm is, `(…, A)`."""
        raise NotImplementedError(f"{type(self).__name__} must define index(counts).")

    def act(self, previous: Previous, counts: Counts) -> tuple[tf.Tensor, Counts]:
        """Logits `(…, A)` of the next pull, and the counts with the last pull in them."""
        pulled = tf.one_hot(previous.action, self.arms)
        wins = counts.wins + pulled * previous.reward[..., None]
        counts = Counts(wins, counts.pulls + pulled, tf.random.fold_in(counts.seed, 1))
        return CERTAIN * tf.one_hot(tf.argmax(self.index(counts), axis=-1), self.arms), counts


class RandomPlayer(BanditPlayer):
    """Any arm, always: what playing earns without learning, n / 2 on average.

    Example:

    >>> from metagpt_tf.reinforcement import play
    >>> float(play(Bandits(2, 10), RandomPlayer(2), tasks=4)[0]) <= 10.0
    True
    """

    def index(self, counts: Counts) -> tf.Tensor:
        return tf.random.stateless_uniform(tf.shape(counts.pulls), counts.seed)


class ThompsonSampling(BanditPlayer):
    """Each arm as likely as it is to be the best one: the arm of the largest draw of `Beta(1 + wins, 1 + losses)`.

    Reference: Thompson, 1933, "On the Likelihood that One Unknown Probability Exceeds Another".
    """

    def index(self, counts: Counts) -> tf.Tensor:
        seeds = tf.random.split(counts.seed)
        shape = tf.shape(counts.pulls)
        won = tf.random.stateless_gamma(shape, seeds[0], 1.0 + counts.wins)
        lost = tf.random.stateless_gamma(shape, seeds[1], 1.0 + counts.pulls - counts.wins)
        return won / (won + lost)


class UCB1(BanditPlayer):
    """Optimism: the arm of the largest `mean + c √(ln t / pulls)`, after t pulls in all.

    Each arm counts as pulled twice already, with one reward: the uniform prior that `Bandits` draws arms from. Without
    it every arm would have to be pulled once first, half of a game of ten.

    Args:
        arms: A.
        exploration: c >= 0; √2 in theory, less in short games, 0 for greed.

    Raises:
        ValueError: c below 0.

    Reference: Auer et al., 2002, "Finite-time Analysis of the Multiarmed Bandit Problem".
    """

    def __init__(self, arms: int, exploration: float = 0.3) -> None:
        super().__init__(arms)
        if not exploration >= 0:
            raise ValueError(f"exploration must be >= 0, received {exploration}.")
        self.exploration = exploration

    def index(self, counts: Counts) -> tf.Tensor:
        pulls = counts.pulls + 2.0
        total = 1.0 + tf.reduce_sum(counts.pulls, axis=-1, keepdims=True)
        return (counts.wins + 1.0) / pulls + self.exploration * tf.sqrt(tf.math.log(total) / pulls)
