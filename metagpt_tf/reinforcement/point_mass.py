"""2-D navigation: a point, a goal it cannot see, and the reward for being near."""

from typing import Any

import tensorflow as tf

from metagpt_tf.registry import closest
from metagpt_tf.reinforcement.distributions import Gaussian
from metagpt_tf.reinforcement.environment import Environment, check_whole, registry

REWARDS = ("distance", "squared_distance")
GOALS = 0.5
MAX_SPEED = 0.1


@registry.register("point_mass")
class PointMass(Environment):
    """A point starts at (0, 0) and is paid for being near a goal that only its rewards give away.

    Use it to see whether a policy gradient learns from one gradient step, within minutes on a CPU:

        goal ~ U[-0.5, 0.5]²,   p ← p + clip(unit · a, −0.1, 0.1),   reward = −‖p − goal‖ (or its square)

    The observation is p. An episode is over when p comes within `tolerance` of the goal, or after `horizon` steps; what
    would follow counts as reward 0.

    **Which reward.** The paper's text (section 5.3) says the *squared* distance; its published code
    (`point_env_randgoal.py` in maml_rl) takes the Euclidean *distance*, and only that fits its figures: a point that
    never moves earns −100 · E‖goal‖ = −38.3 by distance and −16.7 by its square, and the paper reports −40.4 before
    adaptation. So `"distance"` is the default.

    **What an action is.** That code normalises actions, so that 1 means full speed; `action_unit=0.1` does the same,
    and lets a policy of deviation 1 explore at the scale of the world. `action_unit=1.0` makes an action the velocity.

    Args:
        reward: `"distance"` or `"squared_distance"`.
        horizon: steps of an episode; default 100.
        action_unit: velocity that an action of 1 means, before clipping.
        tolerance: how near is there; 0 for episodes that always run to the horizon.

    Raises:
        ValueError: an unknown reward, a horizon below 1, a unit that is not positive, or a negative tolerance.

    Example:

    >>> world = PointMass(action_unit=1.0)
    >>> state, reward, over = world.step(tf.constant([0.3, 0.4]), world.start(()), tf.constant([9.0, 0.0]), 0.0)
    >>> [round(x, 2) for x in state.numpy().tolist()], round(float(reward), 4), bool(over)
    ([0.1, 0.0], -0.4472, False)

    Reference: Finn et al., 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", section 5.3.
    """

    observation_size = 2

    def __init__(
        self, reward: str = "distance", horizon: int = 100, action_unit: float = MAX_SPEED, tolerance: float = 0.01
    ) -> None:
        if reward not in REWARDS:
            raise ValueError(f"Unknown reward {reward!r}. {closest(str(reward), REWARDS)}")
        check_whole("horizon", horizon, 1)
        if not (action_unit > 0 and tolerance >= 0):
            raise ValueError(f"Expected action_unit > 0 and tolerance >= 0, received {action_unit} and {tolerance}.")
        self.reward, self.horizon, self.action_unit, self.tolerance = reward, horizon, action_unit, tolerance
        self.actions = Gaussian(2)

    def sample_task(self, seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform([2], seed, -GOALS, GOALS)

    def start(self, shape: Any) -> tf.Tensor:
        return tf.zeros([*shape, 2])

    def observe(self, state: Any) -> tf.Tensor:
        return state

    def step(self, task: tf.Tensor, state: Any, action: tf.Tensor, noise: Any) -> tuple[Any, tf.Tensor, Any]:
        state = state + tf.clip_by_value(self.action_unit * action, -MAX_SPEED, MAX_SPEED)
        square = tf.reduce_sum(tf.square(state - task), axis=-1)
        cost = square if self.reward == "squared_distance" else tf.sqrt(square)
        return state, -cost, square < self.tolerance**2

    def get_config(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("reward", "horizon", "action_unit", "tolerance")}
