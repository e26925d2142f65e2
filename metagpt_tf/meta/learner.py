"""MetaLearner: any Keras model, meta-trained with `fit`."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from metagpt_tf.fast_weights import FastWeights, State
from metagpt_tf.meta.adapted import AdaptedModel
from metagpt_tf.meta.algorithm import get as get_algorithm
from metagpt_tf.meta.episodes import as_episode, check_finite, check_support, zeros_like_spec
from metagpt_tf.meta.metrics import LearnerMetrics
from metagpt_tf.meta.parallel import check_form, map_tasks, mean_gradients
from metagpt_tf.meta.task import TaskModel, scalar_loss


class TaskResult(NamedTuple):
    """What one task hands back; predictions are `()` when no metric asks for them."""

    objective: Any
    loss: Any
    pre_loss: Any
    support_loss: Any
    prediction: Any
    pre_prediction: Any
    non_trainable: Any


@keras.saving.register_keras_serializable("metagpt_tf")
class MetaLearner(keras.Model):
    """Wraps any `keras.Model` so that `fit` meta-trains it and `adapt` teaches it a task.

    After each step of `fit` the model's own variables are the meta-learned initialisation, so the model can be used,
    saved or fine-tuned by itself. `adapt` never writes to them: it returns a state.

    Args:
        model: the model to meta-train.
        algorithm: name or object (`MAML`, `FOMAML`, `Reptile`, `MetaSGD`, `ANIL`, `CAVIA`).
        task_parallelism: `"vectorized"` (all tasks of a meta-batch at once) or `"sequential"` (memory of one task).

    Logs: `loss` (query, after adaptation), `pre_loss` (query, before), `support_loss` (at the last inner step),
    `adaptation_gain` (`pre_loss − loss`), each compiled metric `m` and `pre_m`.

    Example:

    >>> from metagpt_tf.tasks import Sinusoid
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(20, "tanh"), keras.layers.Dense(1)])
    >>> learner = MetaLearner(model, "maml")
    >>> learner.compile("adam", "mse")
    >>> episodes = Sinusoid().as_dataset(meta_batch_size=4, k_shot=5, n_query=5, num_batches=2)
    >>> _ = learner.fit(episodes, verbose=0)
    >>> state = learner.adapt((np.ones((5, 1), "float32"), np.ones((5, 1), "float32")))
    >>> learner.adapted(state)(np.ones((3, 1), "float32")).shape
    TensorShape([3, 1])

    Reference: Finn et al., 2017.
    """

    def __init__(
        self, model: keras.Model, algorithm: Any = "maml", task_parallelism: str = "vectorized", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(model, keras.Model):
            raise TypeError(f"MetaLearner wraps a keras.Model, received {type(model).__name__}.")
        self.model = model
        self.algorithm = get_algorithm(algorithm)
        self.task_parallelism = check_form(task_parallelism)
        self._layout: FastWeights | None = None
        self._adapt_functions: dict[Any, Any] = {}
        self._learner_metrics = LearnerMetrics(None)
        if model.built and model.trainable_variables:
            self._build_algorithm()

    # ---------------------------------------------------------------- building

    def _build_algorithm(self) -> None:
        self._layout = FastWeights(self.model, self.algorithm.scope)
        if not self.algorithm.built:
            self.algorithm.build(self._layout.shapes)
        self.built = True

    def _build_for(self, x: Any, y: Any) -> None:
        """Build a model that was given without an input shape; x and y are the rows of one task."""
        if self._layout is None:
            if not self.model.built:
                self.model(getattr(self.model, "training_inputs", lambda x, y: x)(x, y))
            self._build_algorithm()

    @property
    def layout(self) -> FastWeights:
        """Which variables a task adapts, and their order in a state."""
        if self._layout is None:
            raise ValueError(
                f"Model {self.model.name!r} is not built yet, so its weights are unknown. Call it once on data, "
                "give it an Input, or call fit or adapt first."
            )
        return self._layout

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.model(inputs, training=training)

    # ---------------------------------------------------------------- compiling

    def compile(self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None, **kwargs: Any) -> None:
        """Configure meta-training. `optimizer` is the outer loop's; loss and metrics default to the model's own.

        Raises:
            ValueError: no loss here and none in the model.
        """
        kwargs.setdefault("jit_compile", False)  # XLA recompiles a vectorized map at every call
        super().compile(optimizer=optimizer, **kwargs)
        if loss is None:
            loss = getattr(self.model, "loss", None) or getattr(self.model, "default_loss", lambda: None)()
            metrics = getattr(self.model, "default_metrics", lambda: None)() if metrics is None else metrics
        if loss is None:
            raise ValueError(
                f"MetaLearner.compile needs a loss: model {self.model.name!r} brings none. "
                "Pass loss='mse', a keras.losses.Loss, or compile the model first."
            )
        self._given_loss, self._given_metrics = loss, metrics
        self.task_loss = scalar_loss(loss)
        self._learner_metrics = LearnerMetrics(metrics)
        self._adapt_functions = {}

    def get_compile_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            "optimizer": serialize(self.optimizer),
            "loss": serialize(self._given_loss),
            "metrics": [serialize(m) for m in self._given_metrics or []],
            "jit_compile": self.jit_compile,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        # Keras drops the optimizer of a model with its own compile unless it is restored here, built.
        config = {
            **config,
            **{k: keras.saving.deserialize_keras_object(config[k]) for k in ("optimizer", "loss", "metrics")},
        }
        self.compile(**{**config, "metrics": config["metrics"] or None})
        if self._layout is not None:
            self.optimizer.build(self.trainable_variables)

    @property
    def metrics(self) -> list[Any]:
        return self._learner_metrics.all()

    # ---------------------------------------------------------------- training

    def fit(self, x: Any = None, validation_data: Any = None, **kwargs: Any) -> Any:
        """Meta-train on a `tf.data.Dataset` of episodes; everything else as in `keras.Model.fit`.

        Args:
            x: training episodes.
            validation_data: episodes of other tasks, scored after each epoch.
            **kwargs: as in `keras.Model.fit` (`epochs`, `steps_per_epoch`, `callbacks`, …).
        """
        self._prepare(x, kwargs.get("steps_per_epoch"), "steps_per_epoch")
        if isinstance(validation_data, tf.data.Dataset):
            check_finite(validation_data, kwargs.get("validation_steps"), "validation_steps")
        kwargs.setdefault("shuffle", False)  # a dataset brings its own order; Keras warns otherwise
        return super().fit(x, validation_data=validation_data, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Adapt to each episode of a dataset and score its query set; everything else as in `keras.Model.evaluate`."""
        if not kwargs.get("_use_cached_eval_dataset"):  # set by fit, which has checked its validation data
            self._prepare(x, kwargs.get("steps"), "steps")
        return super().evaluate(x, *args, **kwargs)

    def _prepare(self, x: Any, steps: int | None, argument: str) -> None:
        if not isinstance(x, tf.data.Dataset):
            raise TypeError(
                f"MetaLearner takes a tf.data.Dataset of Episode, received {type(x).__name__}. "
                "TaskDistribution.as_dataset(...) makes one; tf.data.Dataset.from_tensors(Episode(...)) holds a single meta-batch."
            )
        check_finite(x, steps, argument)
        if self._layout is None:
            support = as_episode(x.element_spec)
            self._build_for(zeros_like_spec(support.support_x), zeros_like_spec(support.support_y))
        if self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)  # inside the graph it would cost a second trace

    # Converting these by AutoGraph would double the time to trace and change nothing: there is no Python control flow
    # on tensors.
    @tf.autograph.experimental.do_not_convert
    def train_step(self, data: Any) -> dict[str, Any]:
        episodes = as_episode(data)
        weights = [tf.convert_to_tensor(v.value) for v in self.trainable_variables]
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        gradients, results = mean_gradients(
            self.task_parallelism,
            lambda task: self._run_task(weights, task, training=True),
            episodes,
            weights,
            # The optimizer sums gradients over replicas, and scales losses under float16.
            lambda loss: self.optimizer.scale_loss(loss / replicas),
        )
        self.optimizer.apply(gradients, self.trainable_variables)
        self._move_statistics(results.non_trainable)
        return self._log(episodes, results)

    @tf.autograph.experimental.do_not_convert
    def test_step(self, data: Any) -> dict[str, Any]:
        episodes = as_episode(data)
        weights = [tf.convert_to_tensor(v.value) for v in self.trainable_variables]
        results = map_tasks(self.task_parallelism, lambda task: self._run_task(weights, task, training=False), episodes)
        return self._log(episodes, results)

    def _run_task(self, weights: list[Any], episode: Any, training: bool) -> TaskResult:
        episode = as_episode(episode)
        count = len(self.model.trainable_variables)
        task = TaskModel(self.model, self.task_loss, self.layout, weights[:count], training)
        with self._algorithm_scope(weights[count:]):
            start = self.algorithm.start(self.layout.select(weights[:count]))
            before = task.predict(start, episode.query_x, episode.query_y)
            fast, support_loss = self.algorithm.adapt(start, task.loss_on(episode.support_x, episode.support_y))
            after = []

            def query_loss(fast_weights: Any) -> Any:
                after.append(task.predict(fast_weights, episode.query_x, episode.query_y))
                return tf.cast(self.task_loss(episode.query_y, after[-1]), tf.float32)

            objective, loss = self.algorithm.objective(start, fast, query_loss)
        wanted = bool(self._learner_metrics.given)
        return TaskResult(
            objective,
            tf.stop_gradient(loss),
            tf.stop_gradient(tf.cast(self.task_loss(episode.query_y, before), tf.float32)),
            tf.stop_gradient(support_loss),
            tf.stop_gradient(after[-1]) if wanted else (),
            tf.stop_gradient(before) if wanted else (),
            tuple(task.non_trainable),
        )

    def _algorithm_scope(self, weights: list[Any]) -> keras.StatelessScope:
        mapping = list(zip(self.algorithm.trainable_variables, weights, strict=True))
        return keras.StatelessScope(state_mapping=mapping)

    def _move_statistics(self, values: tuple[Any, ...]) -> None:
        """Running statistics become the mean over tasks; counters (random seeds) move on as in the first task."""
        for variable, stacked in zip(self.model.non_trainable_variables, values, strict=True):
            moving = stacked.dtype.is_floating
            variable.assign(tf.reduce_mean(stacked, axis=0) if moving else stacked[0])

    def _log(self, episodes: Any, results: TaskResult) -> dict[str, Any]:
        self._learner_metrics.update(
            results.loss,
            results.pre_loss,
            results.support_loss,
            episodes.query_y,
            results.prediction,
            results.pre_prediction,
        )
        return self._learner_metrics.results()

    # ---------------------------------------------------------------- adapting

    def adapt(self, support: tuple[Any, Any], steps: int | None = None, rate_multiplier: float = 1.0) -> State:
        """Learn a task from its support set.

        Args:
            support: `(x, y)`, each with leading axis K (nested inputs allowed).
            steps: inner steps; `None` for the algorithm's `inner_steps`.
            rate_multiplier: factor on the inner learning rates.

        Returns:
            State `(P,)` float32. The model is not changed.

        Raises:
            ValueError: empty or uneven support, or adaptation that ends in values that are not finite.
        """
        x, y = check_support(support)
        getattr(self.model, "check_data", lambda x, y: None)(x, y)
        self._build_for(x, y)
        if steps not in self._adapt_functions:

            def run(x: Any, y: Any, multiplier: Any) -> Any:
                return self.adapt_tensors(x, y, steps, multiplier)

            self._adapt_functions[steps] = tf.function(run, autograph=False, reduce_retracing=True)
        tensors = tf.nest.map_structure(tf.convert_to_tensor, (x, y))
        state = self._adapt_functions[steps](*tensors, tf.constant(rate_multiplier, tf.float32))
        return State.of(self.layout.check(state), self.layout.scope)

    def adapt_tensors(
        self, x: Any, y: Any, steps: int | None = None, rate_multiplier: Any = 1.0, rolled: bool = False
    ) -> Any:
        """The stateless core of `adapt`, to be traced into a graph: support tensors to a state `(P,)`.

        Args:
            x: support inputs, leading axis K.
            y: support targets, leading axis K.
            steps, rate_multiplier: as in `adapt`.
            rolled: run the algorithm's own steps as a loop in the graph (for files; see `Algorithm.adapt_rolled`).
        """
        weights = [tf.convert_to_tensor(v.value) for v in self.trainable_variables]
        count = len(self.model.trainable_variables)
        task = TaskModel(self.model, self.task_loss, self.layout, weights[:count])
        with self._algorithm_scope(weights[count:]):
            start = self.algorithm.start(self.layout.select(weights[:count]))
            if rolled:
                fast = self.algorithm.adapt_rolled(start, task.loss_on(x, y))
            else:
                fast, _ = self.algorithm.adapt(start, task.loss_on(x, y), steps, rate_multiplier)
        return self.layout.pack(fast)

    def adapted(self, state: Any) -> AdaptedModel:
        """The model as a task left it: `learner.adapted(state)(x)` predicts, without changing the model."""
        return AdaptedModel(self.model, self.layout, self.layout.check(state))

    # ---------------------------------------------------------------- saving

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "model": serialize(self.model),
            "algorithm": serialize(self.algorithm),
            "task_parallelism": self.task_parallelism,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "MetaLearner":
        config = dict(config)
        for part in ("model", "algorithm"):
            config[part] = keras.saving.deserialize_keras_object(config[part])
        return cls(**config)
