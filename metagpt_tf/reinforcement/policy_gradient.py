"""PolicyGradientLearner: a policy that is meta-trained so that one policy gradient teaches it a task.

Axes: M tasks of a meta-batch, N episodes.
"""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from metagpt_tf.meta.inner import Weights
from metagpt_tf.meta.outer import in_order, outer_step
from metagpt_tf.meta.parallel import map_tasks, mean_gradients
from metagpt_tf.reinforcement.advantages import check_surrogate
from metagpt_tf.reinforcement.environment import TaskBatch, check_whole
from metagpt_tf.reinforcement.environment import get as get_environment
from metagpt_tf.reinforcement.practice import Settings
from metagpt_tf.reinforcement.practising import PractisingModel
from metagpt_tf.reinforcement.rollout import Noise
from metagpt_tf.reinforcement.training import TrainedOnTasks

LOGS = ("return", "pre_return", "loss")


class PracticeResult(NamedTuple):
    """What one task hands back: the objective, its surrogate loss, and the mean return after each step `(n + 1,)`."""

    objective: Any
    loss: Any
    returns: Any


@keras.saving.register_keras_serializable("metagpt_tf")
class PolicyGradientLearner(TrainedOnTasks, PractisingModel):
    """MAML for reinforcement learning: any Keras policy, any of `metagpt_tf.meta`'s algorithms, trained with `fit`.

    `φ_{i+1} = φ_i − α ∇L(φ_i; episodes of φ_i)`, then `θ ← θ − β ∇_θ mean_tasks L(φ_n; episodes of φ_n)`, where `L` is
    the surrogate of `advantages.surrogate_loss` on N fresh episodes, with a linear baseline and advantages of mean 0
    and deviation 1. The gradient runs through the inner steps.

    **Other than in the paper**, whose outer step is TRPO (a natural gradient with a bound on the divergence): here it
    is a step of the optimizer given to `compile`, on the same gradient. Clip it (`keras.optimizers.Adam(…,
    clipnorm=…)`), and expect to need more steps. Nor has the outer gradient E-MAML's term, which credits the episodes
    before adaptation for what they taught. `surrogate="likelihood_ratio"` differs from the paper's code too, whose
    inner loss is `"log_likelihood"`.

    Args:
        policy: from observations `(B, O)` to the outputs of the environment's action distribution.
        environment: name or object (`PointMass`).
        algorithm: name or object (`MAML(inner_steps=1, inner_learning_rate=0.1)`, …).
        trajectories: N, episodes of one gradient.
        discount: γ in [0, 1].
        gae: λ in [0, 1]; 1 for returns minus baseline.
        surrogate: `"likelihood_ratio"` or `"log_likelihood"`.
        evaluation_steps: how many steps `evaluate` takes.
        later_rate: factor on the rate of steps beyond `inner_steps`, in `adapt` and `evaluate`; ½ as in the paper.
        task_parallelism: `"vectorized"` or `"sequential"`.

    Raises:
        TypeError: not a `keras.Model`.
        ValueError: unknown names, sizes below 1, shares outside [0, 1], or a policy whose outputs do not fit.

    Logs: `return` (mean return of an episode after adaptation), `pre_return` (before), `loss` (the surrogate, near 0
    whatever the policy is worth: only its gradient counts). `evaluate`: `return_0`, `return_1`, ….

    Example:

    >>> from metagpt_tf.meta import MAML
    >>> from metagpt_tf.reinforcement import PointMass, gaussian_policy
    >>> world = PointMass(horizon=5)
    >>> learner = PolicyGradientLearner(gaussian_policy(hidden=(4,)), world, MAML(1, 0.1), trajectories=3)
    >>> learner.compile(keras.optimizers.Adam(1e-2))
    >>> history = learner.fit(world.as_dataset(2, num_batches=2), verbose=0)
    >>> learner.adapt([0.3, 0.4]).shape
    (24,)

    Reference: Finn et al., 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", section 4.2.
    """

    def __init__(
        self,
        model: keras.Model,
        environment: Any = "point_mass",
        algorithm: Any = "maml",
        trajectories: int = 20,
        discount: float = 0.99,
        gae: float = 1.0,
        surrogate: str = "likelihood_ratio",
        evaluation_steps: int = 3,
        later_rate: float = 0.5,
        task_parallelism: str = "vectorized",
        **kwargs: Any,
    ) -> None:
        check_whole("trajectories", trajectories, 1)
        check_whole("evaluation_steps", evaluation_steps, 0)
        if not (0.0 <= discount <= 1.0 and 0.0 <= gae <= 1.0 and later_rate > 0):
            raise ValueError(
                f"Expected discount and gae in [0, 1] and later_rate > 0, received {discount}, {gae} and {later_rate}."
            )
        self.environment = get_environment(environment)
        self.settings = Settings(trajectories, discount, gae, check_surrogate(surrogate))
        self.evaluation_steps, self.later_rate = evaluation_steps, later_rate
        super().__init__(model, algorithm, task_parallelism, **kwargs)
        self._check_policy()
        self._means = {name: keras.metrics.Mean(name=name) for name in self._metric_names()}

    def _check_policy(self) -> None:
        world = self.environment
        outputs = self.model(tf.zeros([1, world.observation_size]))
        self._build_for(None, None)
        if tuple(outputs.shape) != (1, world.actions.outputs):
            raise ValueError(
                f"A policy for {type(world).__name__} gives {world.actions.outputs} numbers for each observation; "
                f"model {self.model.name!r} gives shape {tuple(outputs.shape)} for one. "
                f"End it with {type(world.actions).__name__} outputs, e.g. gaussian_policy(…)."
            )

    def _metric_names(self) -> list[str]:
        return [*LOGS, *(f"return_{step}" for step in range(self.evaluation_steps + 1))]

    def compile(self, optimizer: Any = "adam", **kwargs: Any) -> None:
        """Configure meta-training; there is no loss to give.

        Args:
            optimizer: the outer loop's (β).
            **kwargs: as in `keras.Model.compile` (`run_eagerly`, `steps_per_execution`, …).

        Raises:
            ValueError: a loss or metrics.
        """
        given = [name for name in ("loss", "metrics", "weighted_metrics", "loss_weights") if kwargs.get(name)]
        if given:
            raise ValueError(f"PolicyGradientLearner learns from rewards: leave {', '.join(given)} out.")
        kwargs.setdefault("jit_compile", False)  # XLA recompiles a vectorized map at every call
        super().compile(optimizer=optimizer, **kwargs)
        self._forget_graphs()
        self._build_if_model_is()
        self.optimizer.build(self.trainable_variables)

    @property
    def metrics(self) -> list[Any]:
        return list(self._means.values())

    @tf.autograph.experimental.do_not_convert
    def train_step(self, data: Any) -> dict[str, Any]:
        """One outer step on a batch of tasks; returns the logs."""
        weights = [tf.convert_to_tensor(v.value) for v in self.trainable_variables]
        gradients, results = self._policy_gradients(TaskBatch(*data), weights)
        outer_step(self, gradients)
        return self._log(LOGS, (results.returns[:, -1], results.returns[:, 0], results.loss))

    def _policy_gradients(self, batch: TaskBatch, weights: Weights) -> tuple[Weights, PracticeResult]:
        noise = self._noise(batch.seed, self.algorithm.inner_steps)

        def gradients_of() -> tuple[Weights, PracticeResult]:
            return mean_gradients(
                self.task_parallelism,
                lambda task: self._run_task(weights, *task),
                (batch.task, noise),
                weights,
                self.optimizer.scale_loss,
            )

        return in_order(self.algorithm, gradients_of)

    def _run_task(self, weights: Weights, task: tf.Tensor, noise: Noise) -> PracticeResult:
        practice = self._practice(weights, task, noise)
        with self._algorithm_scope(weights):
            start = self.algorithm.start(self.layout.select(practice.trainable), practice)
            run = self.algorithm.adapt(start, practice)
            objective, loss = self.algorithm.objective(run, practice, practice)
        return PracticeResult(objective, tf.stop_gradient(loss), tf.stack(practice.returns))

    @tf.autograph.experimental.do_not_convert
    def test_step(self, data: Any) -> dict[str, Any]:
        """Adapt to each task of a batch, step by step; returns the mean return after each number of steps."""
        batch = TaskBatch(*data)
        weights = [tf.convert_to_tensor(v.value) for v in self.trainable_variables]

        def run(task: Any) -> tf.Tensor:
            practice = self._practice(weights, *task)
            practice.episodes(self._adapt(weights, practice, self.evaluation_steps))
            return tf.stack(practice.returns)

        noise = self._noise(batch.seed, self.evaluation_steps)
        returns = map_tasks(self.task_parallelism, run, (batch.task, noise))
        return self._log(self._metric_names()[len(LOGS) :], tf.unstack(returns, axis=1))

    def _log(self, names: Any, values: Any) -> dict[str, Any]:
        for name, value in zip(names, values, strict=True):
            self._means[name].update_state(value)
        return {name: self._means[name].result() for name in names}

    def get_config(self) -> dict[str, Any]:
        names = ("evaluation_steps", "later_rate")
        return {
            **super().get_config(),
            **self.settings._asdict(),
            **{name: getattr(self, name) for name in names},
            "environment": keras.saving.serialize_keras_object(self.environment),
        }
