"""The half of a learner that knows its model's weights and teaches it tasks; `learner.py` holds the half that trains.

Axes: K support, P length of a state.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import keras
import tensorflow as tf

from metagpt_tf.fast_weights import FastWeights, State
from metagpt_tf.meta.adapted import AdaptedModel, prediction_function
from metagpt_tf.meta.algorithm import check_steps
from metagpt_tf.meta.algorithm import get as get_algorithm
from metagpt_tf.meta.episodes import check_support
from metagpt_tf.meta.parallel import check_form
from metagpt_tf.meta.task import LossFunction, TaskModel


class AdaptingModel(keras.Model):
    """A model with an inner loop: what `MetaLearner` can do once it is compiled, beside training.

    Args:
        model: the model that tasks adapt.
        algorithm: name or object.
        task_parallelism: `"vectorized"` or `"sequential"`.
        keep_zeros: whether pruned weights, zeros of matrices, stay zero.

    Raises:
        TypeError: not a `keras.Model`.
        ValueError: unknown algorithm or parallelism, or a scope that picks nothing of the model.
    """

    task_loss: LossFunction

    def __init__(
        self,
        model: keras.Model,
        algorithm: Any = "maml",
        task_parallelism: str = "vectorized",
        keep_zeros: bool = False,
        **kwargs: Any,
    ) -> None:
        if not isinstance(model, keras.Model):
            raise TypeError(f"MetaLearner wraps a keras.Model, received {type(model).__name__}.")
        kwargs.setdefault("dtype", model.dtype_policy)  # under float16, compile must see that losses need scaling
        super().__init__(**kwargs)
        self.model = model
        self.algorithm = get_algorithm(algorithm)
        self.task_parallelism = check_form(task_parallelism)
        self.keep_zeros = bool(keep_zeros)
        self._layout: FastWeights | None = None
        self._forget_graphs()
        self._build_if_model_is()

    # ---------------------------------------------------------------- building

    def _build_if_model_is(self) -> None:
        if self.model.built and self.model.trainable_variables:
            self._build_algorithm()

    def _build_algorithm(self) -> None:
        self._layout = FastWeights(self.model, self.algorithm.scope, self.keep_zeros)
        self._trainable_count = len(self.model.trainable_variables)
        self.algorithm.layer_indices = self._layout.layer_indices
        if self.algorithm.built:
            self.algorithm.check_shapes(self._layout.shapes)
        else:
            self.algorithm.build(self._layout.shapes)
        self.built = True

    def _build_for(self, x: Any, y: Any) -> None:
        """Build a model that was given without an input shape; x and y are the rows of one task."""
        if self._layout is None:
            if not self.model.built:
                self.model(self._inputs(x, y))
            self._build_algorithm()

    def _inputs(self, x: Any, y: Any) -> Any:
        return getattr(self.model, "training_inputs", lambda x, y: x)(x, y)

    def _forget_graphs(self) -> None:
        self._adapt_functions: dict[int | None, Any] = {}
        self._predict_adapted: Any = None

    @property
    def layout(self) -> FastWeights:
        """Which variables a task adapts, and their order in a state; of pruned ones, which weights are left.

        Raises:
            ValueError: the model is not built, or layers were frozen or thawed since `compile`.
        """
        if self._layout is None:
            raise ValueError(
                f"Model {self.model.name!r} is not built yet, so its weights are unknown. Call it once on data, "
                "give it an Input, or call fit or adapt first."
            )
        if len(self.model.trainable_variables) != self._trainable_count:
            raise ValueError(
                f"Model {self.model.name!r} had {self._trainable_count} trainable variables and now has "
                f"{len(self.model.trainable_variables)}. Call compile again after freezing or thawing layers."
            )
        if tf.executing_eagerly() and self._layout.pattern_now() != self._layout.pattern:
            self._layout = FastWeights(self.model, self.algorithm.scope, self.keep_zeros)
            self._forget_graphs()
        return self._layout

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.model(inputs, training=training)

    # ---------------------------------------------------------------- adapting

    def adapt(self, support: tuple[Any, Any], steps: int | None = None, rate_multiplier: float = 1.0) -> State:
        """Learn a task from its support set; the model is not changed.

        Args:
            support: `(x, y)`, each with leading axis K (nested inputs allowed).
            steps: inner steps; `None` for the algorithm's `inner_steps`.
            rate_multiplier: factor on the inner learning rates.

        Returns:
            State `(P,)` float32.

        Raises:
            ValueError: not compiled, an empty or uneven support set, data that the model refuses, steps negative or not
                whole, or adaptation that ends in values that are not finite.
        """
        self._check_compiled()
        x, y = check_support(support)
        if steps is not None:
            check_steps("steps", steps)
        getattr(self.model, "check_data", lambda x, y: None)(x, y)
        self._build_for(x, y)
        layout = self.layout  # first: it drops graphs that are out of date
        if steps not in self._adapt_functions:

            def run(x: Any, y: Any, multiplier: Any) -> Any:
                return self.adapt_tensors(x, y, steps, multiplier)

            self._adapt_functions[steps] = tf.function(run, autograph=False, reduce_retracing=True)
        tensors = tf.nest.map_structure(tf.convert_to_tensor, (x, y))
        state = self._adapt_functions[steps](*tensors, tf.constant(rate_multiplier, tf.float32))
        return State.of(layout.check(state), layout.scope, layout.keep_zeros)

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
        if rolled:
            return self.layout.pack(self.in_task(x, y, self.algorithm.adapt_rolled)[1])
        run = lambda start, loss: self.algorithm.adapt(start, loss, steps, rate_multiplier)  # noqa: E731
        return self.layout.pack(self.in_task(x, y, run)[1].fast)

    def in_task(self, x: Any, y: Any, loop: Callable[[Any, Any], Any]) -> tuple[TaskModel, Any]:
        """Run an inner loop on a support set, to be traced into a graph.

        Args:
            x: support inputs, leading axis K.
            y: support targets, leading axis K.
            loop: fast weights to begin with and the support loss to whatever is wanted, e.g. `algorithm.adapt`.

        Returns:
            The model inside the task, which evaluates other examples with fast weights, and what `loop` returned.
        """
        weights = [tf.convert_to_tensor(v.value) for v in self.trainable_variables]
        task = self._task(weights)
        with self._algorithm_scope(weights):
            support_loss = task.loss_on(x, y)
            start = self.algorithm.start(task.layout.select(task.trainable), support_loss)
            return task, loop(start, support_loss)

    def adapted(self, state: Any) -> AdaptedModel:
        """The model as a task left it: `learner.adapted(state)(x)` predicts, without changing the model.

        Args:
            state: `(P,)` float32, from `adapt`.

        Raises:
            ValueError: a state of another length, or with values that are not finite.
        """
        layout = self.layout
        values = layout.check(state)
        if self._predict_adapted is None:
            self._predict_adapted = prediction_function(self.model, layout)
        return AdaptedModel(self.model, layout, values, self._predict_adapted)

    def _check_compiled(self) -> None:
        if not self.compiled:
            raise ValueError(
                "This learner is not compiled, so a task has no loss. Call learner.compile(optimizer, loss) first."
            )

    def _task(self, weights: Sequence[Any], training: bool = False) -> TaskModel:
        """The model inside a task, with `weights` in place of the learner's trainable variables."""
        return TaskModel(self.model, self.task_loss, self.layout, weights[: self._trainable_count], training)

    def _algorithm_scope(self, weights: Sequence[Any]) -> keras.StatelessScope:
        own = weights[self._trainable_count :]
        return keras.StatelessScope(state_mapping=list(zip(self.algorithm.trainable_variables, own, strict=True)))

    # ---------------------------------------------------------------- saving

    def _seeds(self) -> list[keras.Variable]:
        """States of the model's random seeds (dropout)."""
        return [v for v in self.model.non_trainable_variables if v.path.endswith("seed_generator_state")]

    def save_own_variables(self, store: Any) -> None:
        # Keras leaves seeds out of its files; without them a resumed run would draw the first epochs' masks again.
        for index, seed in enumerate(self._seeds()):
            store[f"seed_{index}"] = seed.numpy()

    def load_own_variables(self, store: Any) -> None:
        for index, seed in enumerate(self._seeds()):
            if f"seed_{index}" in store:
                seed.assign(store[f"seed_{index}"])

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "model": serialize(self.model),
            "algorithm": serialize(self.algorithm),
            "task_parallelism": self.task_parallelism,
            "keep_zeros": self.keep_zeros,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        config = dict(config)
        for part in ("model", "algorithm"):
            config[part] = keras.saving.deserialize_keras_object(config[part])
        return cls(**config)
