"""RL²: a recurrent policy whose memory does the learning.

Axes: B tasks, T steps of an episode, A action.
"""

from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.reinforcement.advantages import advantages, discounted_sums
from metagpt_tf.reinforcement.environment import TaskBatch, check_whole
from metagpt_tf.reinforcement.environment import get as get_environment
from metagpt_tf.reinforcement.policies import RecurrentPolicy, recurrent_inputs
from metagpt_tf.reinforcement.rollout import Previous, Trajectories, draw_noise, rollout
from metagpt_tf.reinforcement.training import TrainedOnTasks

LOGS = ("return", "loss", "value_loss", "entropy")


@keras.saving.register_keras_serializable("metagpt_tf")
class RL2(TrainedOnTasks):
    """Fast learning by slow learning: what a GRU does with its last action and reward is learned by policy gradient.

    No gradient is taken when a task is met: one episode is a whole trial, the memory starts at zero with it, and reads
    `[observation, last action, last reward]`. Trained to earn in many such trials, it learns how to learn:

        loss = −mean(log π(a_t) · A_t) + value_weight · mean((V_t − R_t)²) − entropy_weight · mean H(π)

    with generalised advantages A over a whole trial. Use it where tasks are short, cheap and many (bandits).

    **Other than in the papers**: plain actor-critic steps of the optimizer given to `compile`, where Duan et al. use
    TRPO and Wang et al. asynchronous workers.

    Args:
        environment: name or object (`Bandits`).
        units: int >= 1, width of the GRU.
        discount: γ in [0, 1]; below 1 it learns sooner, and explores less in the end.
        gae: λ in [0, 1]; small, as in the paper: a whole trial's luck would drown what one action did.
        value_weight: >= 0.
        entropy_weight: >= 0, keeps it exploring while it learns.

    Raises:
        ValueError: an unknown environment, a size below 1, or a number outside its range.

    Logs: `return` (mean total reward of a trial), `loss`, `value_loss`, `entropy` (nats); `evaluate` has `return` only.

    Example:

    >>> from metagpt_tf.reinforcement import Bandits
    >>> world = Bandits(arms=2, pulls=5)
    >>> learner = RL2(world, units=4)
    >>> learner.compile(keras.optimizers.Adam(1e-2))
    >>> history = learner.fit(world.as_dataset(8, num_batches=2), verbose=0)
    >>> sorted(history.history)
    ['entropy', 'loss', 'return', 'value_loss']

    Reference: Duan et al., 2016, "RL²: Fast Reinforcement Learning via Slow Reinforcement Learning"; Wang et al., 2016,
    "Learning to reinforcement learn".
    """

    def __init__(
        self,
        environment: Any = "bandits",
        units: int = 32,
        discount: float = 0.9,
        gae: float = 0.3,
        value_weight: float = 0.5,
        entropy_weight: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not (0.0 <= discount <= 1.0 and 0.0 <= gae <= 1.0 and value_weight >= 0 and entropy_weight >= 0):
            raise ValueError(
                "Expected discount and gae in [0, 1], value_weight and entropy_weight >= 0, received "
                f"{discount}, {gae}, {value_weight} and {entropy_weight}."
            )
        check_whole("units", units, 1)
        self.environment, self.units = get_environment(environment), units
        self.discount, self.gae = discount, gae
        self.value_weight, self.entropy_weight = value_weight, entropy_weight
        actions = self.environment.actions
        self.policy = RecurrentPolicy(actions.outputs, units, name="policy")
        self.policy.build((None, None, self.environment.observation_size + actions.size + 1))
        self._means = {name: keras.metrics.Mean(name=name) for name in LOGS}
        self.built = True

    def compile(self, optimizer: Any = "adam", **kwargs: Any) -> None:
        """Configure training; there is no loss to give. `kwargs` as in `keras.Model.compile`."""
        kwargs.setdefault("jit_compile", False)
        super().compile(optimizer=optimizer, **kwargs)

    @property
    def metrics(self) -> list[Any]:
        return list(self._means.values())

    def call(self, inputs: Any) -> Any:
        return self.policy(inputs)

    # ---------------------------------------------------------------- acting

    def memory(self, shape: Any, seed: Any = None) -> tf.Tensor:
        """Memory before a trial, `(B, units)`: with it the learner is a player for `play`."""
        return self.policy.start(shape[0])

    def act(self, previous: Previous, memory: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Outputs for the next action, and the memory with the last reward in it; see `rollout`."""
        return self.policy.step(recurrent_inputs(previous, self.environment.actions), memory)

    def trials(self, batch: TaskBatch) -> Trajectories:
        """One trial of each task `(B, G)`: trajectories with axes `(T, B)`."""
        tasks = batch.task.shape[0]
        if tasks is None:
            raise ValueError("A batch of tasks needs a static size: use dataset.batch(M, drop_remainder=True).")
        noise = draw_noise(self.environment, batch.seed[0], (tasks,))
        return rollout(self.environment, self.act, batch.task, noise, self.memory((tasks,)))

    def replay(self, trials: Trajectories) -> tuple[tf.Tensor, tf.Tensor]:
        """Outputs `(T, B, …)` and values `(T, B)` along trials that have run; these can be differentiated."""
        actions = self.environment.actions
        none = actions.nothing(trials.rewards.shape[1:])[None]
        last = Previous(
            trials.observations,
            tf.concat([none, trials.actions[:-1]], axis=0),
            tf.concat([tf.zeros_like(trials.rewards[:1]), trials.rewards[:-1]], axis=0),
        )
        outputs, values = self.policy(tf.transpose(recurrent_inputs(last, actions), [1, 0, 2]))
        return tf.transpose(outputs, [1, 0, 2]), tf.transpose(values)

    # ---------------------------------------------------------------- training

    @tf.autograph.experimental.do_not_convert
    def train_step(self, data: Any) -> dict[str, Any]:
        """Play a trial of each task, then one step of actor-critic; returns the logs."""
        trials = self.trials(TaskBatch(*data))
        variables = self.policy.trainable_variables
        with tf.GradientTape() as tape:
            loss, value_loss, entropy = self._trial_losses(trials)
            scaled = self.optimizer.scale_loss(loss)
        self.optimizer.apply(tape.gradient(scaled, [v.value for v in variables]), variables)
        return self._log(trials.mean_return, loss, value_loss, entropy)

    def _trial_losses(self, trials: Trajectories) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        actions, alive = self.environment.actions, trials.alive
        outputs, values = self.replay(trials)
        values = values * alive
        advantage = advantages(trials, tf.stop_gradient(values), self.discount, self.gae)
        returns = discounted_sums(trials.rewards, self.discount)

        def mean(x: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(x * alive) / tf.reduce_sum(alive)

        value_loss, entropy = mean((values - returns) ** 2), mean(actions.entropy(outputs))
        policy_loss = -mean(actions.log_prob(outputs, trials.actions) * advantage)
        loss = policy_loss + self.value_weight * value_loss - self.entropy_weight * entropy
        return loss, value_loss, entropy

    @tf.autograph.experimental.do_not_convert
    def test_step(self, data: Any) -> dict[str, Any]:
        """Play a trial of each task; returns its mean return."""
        return self._log(self.trials(TaskBatch(*data)).mean_return)

    def _log(self, *values: tf.Tensor) -> dict[str, Any]:
        for mean, value in zip(self._means.values(), values, strict=False):
            mean.update_state(value)
        return {name: self._means[name].result() for name in LOGS[: len(values)]}

    def get_config(self) -> dict[str, Any]:
        names = ("units", "discount", "gae", "value_weight", "entropy_weight")
        return {
            **super().get_config(),
            "environment": keras.saving.serialize_keras_object(self.environment),
            **{name: getattr(self, name) for name in names},
        }
