"""MetaLearner: any Keras model, meta-trained with `fit`.

Axes: M meta-batch, K support, Q query.
"""

from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.meta.adapting import AdaptingModel
from metagpt_tf.meta.episodes import Fields, as_episode, check_dataset, zeros_like_spec
from metagpt_tf.meta.metrics import LearnerMetrics
from metagpt_tf.meta.outer import TaskResult, check_inner_losses, in_order, outer_step, run_task
from metagpt_tf.meta.parallel import map_tasks, mean_gradients
from metagpt_tf.meta.rematerialize import recomputed_steps
from metagpt_tf.meta.task import scalar_loss
from metagpt_tf.meta.workers import check_replicas, mean_over_replicas, per_worker_logs


@keras.saving.register_keras_serializable("metagpt_tf")
class MetaLearner(AdaptingModel):
    """Wraps any `keras.Model` so that `fit` meta-trains it and `adapt` teaches it a task.

    `θ ← θ − β ∇_θ mean_tasks objective(θ)`, the objective being the algorithm's: for MAML `L_query(φ_n(θ))`, with `φ_n`
    the weights after n inner steps on the support set. After each step of `fit` the model's own variables are the
    meta-learned initialisation, so the model can be used, saved or fine-tuned by itself. `adapt` never writes to them:
    it returns a state.

    Dropout and batch statistics are in training mode in both loops of `fit`, and in inference mode in `evaluate` and
    `adapt`. A task's loss includes the model's own penalties (regularisers, `add_loss`), in the inner loop as well.

    Args:
        model: the model to meta-train, built or not. Weights that are not trainable stay as they are.
        algorithm: name or object (`MAML`, `FOMAML`, `Reptile`, `MetaSGD`, `ANIL`, `CAVIA`).
        task_parallelism: `"vectorized"` (all tasks of a meta-batch at once) or `"sequential"` (memory of one task).
        keep_zeros: take exact zeros of matrices (kernels, embeddings) for pruned weights: they stay zero in both loops,
            and a state holds the others only. See `metagpt_tf.compression.prune`.
        rematerialize: in second order, recompute each inner step in the outer backward pass instead of keeping its
            activations: the memory of one step instead of n, for about one more evaluation of each step.

    Raises:
        TypeError: not a `keras.Model`.
        ValueError: unknown algorithm or parallelism (with the closest name), or a scope that picks nothing.

    Logs: `loss` (query, after adaptation), `pre_loss` (query, before), `support_loss` (at the last inner step),
    `adaptation_gain` (`pre_loss − loss`), each compiled metric `m` and `pre_m`.

    Example:

    >>> import keras, numpy as np
    >>> from metagpt_tf.tasks import Sinusoid
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(20, "tanh"), keras.layers.Dense(1)])
    >>> learner = MetaLearner(model, "maml")
    >>> learner.compile("adam", "mse")
    >>> episodes = Sinusoid().as_dataset(meta_batch_size=4, k_shot=5, n_query=5, num_batches=2)
    >>> _ = learner.fit(episodes, verbose=0)
    >>> state = learner.adapt((np.ones((5, 1), "float32"), np.ones((5, 1), "float32")))
    >>> learner.adapted(state)(np.ones((3, 1), "float32")).shape
    TensorShape([3, 1])

    Reference: Finn et al., 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks".
    """

    def __init__(
        self,
        model: keras.Model,
        algorithm: Any = "maml",
        task_parallelism: str = "vectorized",
        rematerialize: bool = False,
        keep_zeros: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, algorithm, task_parallelism, keep_zeros, **kwargs)
        self.rematerialize = rematerialize
        self._learner_metrics = LearnerMetrics(None)

    def compile(self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None, **kwargs: Any) -> None:
        """Configure meta-training.

        Args:
            optimizer: the outer loop's (β); there is no second one.
            loss: name, function or object; `None` for the loss the model was compiled with, else its `default_loss()`,
                and then its `default_metrics()` as well.
            metrics: a flat list of names, functions or objects; each is measured before and after adaptation.
            **kwargs: as in `keras.Model.compile` (`run_eagerly`, `steps_per_execution`, …).

        Raises:
            ValueError: no loss here and none in the model, `loss_weights`, `weighted_metrics`, or nested metrics.
        """
        given = [name for name in ("loss_weights", "weighted_metrics") if kwargs.get(name) is not None]
        if given:
            raise ValueError(f"MetaLearner has one loss, over unweighted examples: leave {', '.join(given)} out.")
        if loss is None:
            loss = getattr(self.model, "loss", None) or getattr(self.model, "default_loss", lambda: None)()
            metrics = getattr(self.model, "default_metrics", lambda: None)() if metrics is None else metrics
        if loss is None:
            raise ValueError(
                f"MetaLearner.compile needs a loss: model {self.model.name!r} brings none. "
                "Pass loss='mse', a keras.losses.Loss, or compile the model first."
            )
        kwargs.setdefault("jit_compile", False)  # XLA recompiles a vectorized map at every call
        super().compile(optimizer=optimizer, **kwargs)
        self._given_loss, self._given_metrics = loss, metrics
        self.task_loss = scalar_loss(loss)
        self._learner_metrics = LearnerMetrics(metrics, self.algorithm.logs)
        self._forget_graphs()
        self._build_if_model_is()  # again: layers may have been frozen since

    def get_compile_config(self) -> dict[str, Any]:
        if not self.compiled:
            return {}
        serialize = keras.saving.serialize_keras_object
        return {
            "optimizer": serialize(self.optimizer),
            "loss": serialize(self._given_loss),
            "metrics": [serialize(m) for m in self._given_metrics or []],
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": self.steps_per_execution,
            "jit_compile": self.jit_compile,
            "optimizer_built": self.optimizer.built,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        # Keras drops the optimizer of a model with its own compile unless it is restored here, built.
        deserialize = keras.saving.deserialize_keras_object
        config = {**config, **{k: deserialize(config[k]) for k in ("optimizer", "loss", "metrics")}}
        built = config.pop("optimizer_built", True)  # one that never took a step has no slots in the file
        # A scaling optimizer was saved as such; without one, none was wanted.
        self.compile(**{**config, "metrics": config["metrics"] or None}, auto_scale_loss=False)
        if self._layout is not None and built:
            self.optimizer.build(self.trainable_variables)

    @property
    def metrics(self) -> list[Any]:
        return self._learner_metrics.all()

    def fit(self, x: Any = None, validation_data: Any = None, **kwargs: Any) -> Any:
        """Meta-train on episodes; everything else as in `keras.Model.fit`.

        Args:
            x: a `tf.data.Dataset` of episodes with leading axes `(M, K, …)` and `(M, Q, …)`; finite, or with
                `steps_per_epoch`.
            validation_data: episodes of other tasks, scored after each epoch.
            **kwargs: as in `keras.Model.fit` (`epochs`, `steps_per_epoch`, `callbacks`, …).

        Returns:
            A `keras.callbacks.History`.

        Raises:
            TypeError: not a dataset.
            ValueError: not compiled, an endless dataset without steps, or elements that are no episodes.
        """
        self._prepare(x, kwargs.get("steps_per_epoch"), "steps_per_epoch")
        if validation_data is not None:
            self._check_data(validation_data, kwargs.get("validation_steps"), "validation_steps")
        kwargs.setdefault("shuffle", False)  # a dataset brings its own order; Keras warns otherwise
        return super().fit(x, validation_data=validation_data, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Adapt to each episode of a dataset and score its query set; arguments and errors as in `fit`, with `steps`.

        Returns:
            As `keras.Model.evaluate`: the logged values, by name with `return_dict=True`.
        """
        if not kwargs.get("_use_cached_eval_dataset"):  # set by fit, which has checked its validation data
            self._prepare(x, kwargs.get("steps"), "steps")
        return super().evaluate(x, *args, **kwargs)

    def _check_data(self, x: Any, steps: int | None, argument: str) -> Fields:
        spec = check_dataset(x, steps, argument)
        check_replicas(self.distribute_strategy, self.optimizer, self.steps_per_execution, self.algorithm, spec)
        return spec

    def _prepare(self, x: Any, steps: int | None, argument: str) -> None:
        """Check, and build what would cost a second trace if it were built inside the graph."""
        self._check_compiled()
        spec = self._check_data(x, steps, argument)
        with self.distribute_strategy.scope():  # where new variables belong, if fit is called outside of it
            self._build_everything(spec)

    def _build_everything(self, spec: Fields) -> None:
        if self._layout is None:
            self._build_for(zeros_like_spec(spec.support_x), zeros_like_spec(spec.support_y))
        if self._learner_metrics.waiting:
            row_x, row_y = zeros_like_spec(spec.query_x), zeros_like_spec(spec.query_y)
            self._learner_metrics.build(row_y, self.model(self._inputs(row_x, row_y), training=False))
        if self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing: `_prepare` has built everything. Keras's own fails on what several workers make of an episode."""

    # AutoGraph would double the time to trace: there is no Python control flow on tensors here.
    @tf.autograph.experimental.do_not_convert
    def train_step(self, data: Any) -> dict[str, Any]:
        """One outer step on a meta-batch of episodes; returns the logs."""
        episodes = as_episode(data)
        weights = [tf.convert_to_tensor(v.value) for v in self.trainable_variables]
        gradients, results = in_order(self.algorithm, lambda: self._meta_gradients(episodes, weights))
        with tf.control_dependencies([check_inner_losses(results.inner_losses)]):  # before a weight is written
            gradients = [tf.identity(g) for g in gradients]
        outer_step(self, gradients)
        self._move_statistics(results.non_trainable)
        return self._log(episodes, results)

    def _meta_gradients(self, episodes: Any, weights: list[Any]) -> tuple[list[Any], TaskResult]:
        """Mean gradients over tasks, and the results."""
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return mean_gradients(
            self.task_parallelism,
            lambda task: self._run_task(weights, task, training=True),
            episodes,
            weights,
            # The optimizer sums gradients over replicas, and scales losses under float16.
            lambda loss: self.optimizer.scale_loss(loss / replicas),
            task_by_task=self.rematerialize,
        )

    @tf.autograph.experimental.do_not_convert
    def test_step(self, data: Any) -> dict[str, Any]:
        """Adapt to each episode of a meta-batch and score it; returns the logs."""
        episodes = as_episode(data)
        weights = [tf.convert_to_tensor(v.value) for v in self.trainable_variables]
        results = map_tasks(self.task_parallelism, lambda task: self._run_task(weights, task, training=False), episodes)
        check_inner_losses(results.inner_losses)
        return self._log(episodes, results)

    def _run_task(self, weights: list[Any], episode: Any, training: bool) -> TaskResult:
        task = self._task(weights, training)
        recomputed = self.rematerialize and training
        with self._algorithm_scope(weights), recomputed_steps(self.algorithm, recomputed):
            return run_task(task, self.algorithm, as_episode(episode), bool(self._learner_metrics.given))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rematerialize": self.rematerialize}

    def _move_statistics(self, values: tuple[Any, ...]) -> None:
        """Running statistics become the mean over tasks; counters (random seeds) move on as in the first task."""
        for variable, stacked in zip(self.model.non_trainable_variables, values, strict=True):
            if isinstance(stacked, tf.Tensor):
                moving = stacked.dtype.is_floating
                variable.assign(mean_over_replicas(tf.reduce_mean(stacked, axis=0)) if moving else stacked[0])

    def _log(self, episodes: Any, results: TaskResult) -> dict[str, Any]:
        losses = (results.loss, results.pre_loss, results.support_loss)
        self._learner_metrics.update(*losses, episodes.query_y, results.prediction, results.pre_prediction)
        self._learner_metrics.update_logs(results.logs)
        return per_worker_logs(self._learner_metrics.results())
