"""The functions a shipped model offers, as graphs over plain variables.

`adapt` and `generate` are the learner's and the model's own code, traced once more: a file answers as Keras does by
construction.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from metagpt_tf.export.device_loop import step_for_litert
from metagpt_tf.export.state_mark import mark_of
from metagpt_tf.export.stored_weights import StoredWeights, as_read
from metagpt_tf.fast_weights import FastWeights
from metagpt_tf.generation import decode
from metagpt_tf.generation.per_request import PerRequest, Settings, ending
from metagpt_tf.kept_zeros import is_prunable, places_found_by_graph
from metagpt_tf.meta import MetaLearner
from metagpt_tf.meta.task import scalar_loss, task_mean


class Exported:
    """What is exported: a model, and the learner around it if there is one.

    Args:
        subject: a built `keras.Model`, or a compiled `MetaLearner` round one.
        storage: how matrices are stored, see `StoredWeights`.
        as_stored: what a file makes of a weight later on; `None` for what the storage makes of it.
        source_length, target_length: tokens of a text model's files, at most its own; `None` for its own.

    Raises:
        ValueError: the model is not built or the learner not compiled, or lengths that it does not have.
    """

    def __init__(
        self,
        subject: keras.Model,
        storage: str = "float32",
        as_stored: Callable[[np.ndarray], np.ndarray] | None = None,
        source_length: int | None = None,
        target_length: int | None = None,
    ) -> None:
        self.learner = subject if isinstance(subject, MetaLearner) else None
        self.model: Any = subject.model if isinstance(subject, MetaLearner) else subject
        if not self.model.built:
            raise ValueError(f"Model {self.model.name!r} is not built. Call it once on data before exporting it.")
        if self.learner is not None and not hasattr(self.learner, "task_loss"):
            raise ValueError("The learner is not compiled: adapt needs its loss. Call learner.compile(...) first.")
        self.is_generator = hasattr(self.model, "generate_ids")
        self.is_classifier: bool = getattr(self.model, "is_classifier", False)
        self.source_length = self._length("source_length", source_length)
        self.target_length = self._length("target_length", target_length)
        self.stored = StoredWeights(self.model.variables, storage)
        self._constant_places = self._rounded_away(as_stored or (lambda weight: as_read(weight, storage)))

    def _length(self, name: str, given: int | None) -> Any:
        own: Any = getattr(self.model, name, None)
        if given is not None and not (self.is_generator and 1 <= given <= own):
            raise ValueError(
                f"{name} is of text models, from 1 to the model's own ({own}), received {given}. Leave it out, or give "
                "a shorter one."
            )
        return own if given is None else given

    @property
    def layout(self) -> FastWeights:
        """Layout of the state that `adapt` returns."""
        if self.learner is None:
            raise ValueError("Only a MetaLearner has a state. Wrap the model: MetaLearner(model, 'maml').")
        return self.learner.layout

    def _rounded_away(self, as_stored: Callable[[np.ndarray], np.ndarray]) -> frozenset[int]:
        """Ids of the matrices of which a kept weight is stored as zero: their places are held as constants."""
        variables = self.layout.variables if self.learner is not None and self.learner.keep_zeros else []
        weights = [(id(v), v.numpy()) for v in variables if is_prunable(v)]
        return frozenset(i for i, w in weights if np.count_nonzero(as_stored(w)) != np.count_nonzero(w))

    @cached_property
    def mark(self) -> int:
        """The learner's checksum, which its states are marked with."""
        return mark_of(self._learner())

    def variables(self) -> list[tf.Variable]:
        """Every variable as a plain `tf.Variable`: tracking the Keras model would store each of them twice."""
        learned = self.learner.algorithm.variables if self.learner else []
        return [*self.stored.variables(), *(v.value for v in learned)]

    def with_state(self, state: tf.Tensor | None, function: Callable[[], Any], witness: tf.Tensor) -> Any:
        """Run `function` with `state` in place of the scope's variables; `witness` is an input of the graph."""
        with keras.StatelessScope(state_mapping=self._weights(state, witness)):
            return function()

    def _weights(self, state: tf.Tensor | None, witness: tf.Tensor) -> list[tuple[Any, tf.Tensor]]:
        """Each variable with what stands in its place."""
        given: dict[int, Any] = {}
        if state is not None:
            with self.stored.scope(), places_found_by_graph(witness, self._constant_places):
                given = {id(v): (v, weight) for v, weight in self.layout.mapping(state)}
        kept = [(v, weight) for v, weight in self.stored.mapping() if id(v) not in given]
        return [*kept, *given.values()]

    def generate(self, source: tf.Tensor, state: tf.Tensor | None = None) -> tf.Tensor:
        """Greedy ids `(B, T)` for `source (B, S)`."""
        return self.with_state(state, lambda: self.model.generate_ids(source, self.target_length), source)

    def generate_text(self, text: tf.Tensor, state: tf.Tensor | None = None) -> tf.Tensor:
        """Text `(B,)` for text `(B,)`."""
        tokenizer = self.model.tokenizer
        source = tokenizer.encode_tensor(text, self.source_length)
        return tokenizer.decode_tensor(self.generate(source, state))

    def sample_text(self, text: tf.Tensor, settings: Settings, state: tf.Tensor | None = None) -> tf.Tensor:
        """Text `(B,)` for text `(B,)`, drawn as each row's settings say."""
        return self.model.tokenizer.decode_tensor(self.sample_ids(text, settings, state))

    def sample_ids(self, text: tf.Tensor, settings: Settings, state: tf.Tensor | None = None) -> tf.Tensor:
        """Ids `(B, T)` for text `(B,)`, drawn as each row's settings say."""
        model = self.model
        source = model.tokenizer.encode_tensor(text, self.source_length)
        step = ending(model.decode_step, settings.max_length, model.tokenizer.eos_id)
        return self._decoded(source, step, PerRequest(settings), tf.shape(source)[0], self._weights(state, source))

    def decode_on_device(
        self, source: tf.Tensor, state: tf.Tensor, sampler: Any = "greedy", noise: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Ids `(B, T)` for ids `(B, S)`, as `generate` gives them, or drawn with Gumbel noise `(B, T, V)`."""
        learned = {id(v) for v in self.layout.variables}
        weights = self._weights(state, source)
        step = step_for_litert(self.model.decode_step, weights, learned, source)
        return self._decoded(source, step, sampler, source.shape[0], weights, noise)

    def _decoded(
        self, source: tf.Tensor, step: Any, sampler: Any, rows: Any, weights: Any, noise: Any = None
    ) -> tf.Tensor:
        tokenizer, length = self.model.tokenizer, self.target_length

        with keras.StatelessScope(state_mapping=weights):
            return decode(
                step,
                self.model.start_cache(source, rows, length),
                rows,
                bos_id=tokenizer.bos_id,
                eos_id=tokenizer.eos_id,
                pad_id=tokenizer.pad_id,
                max_length=length,
                sampler=sampler,
                noise=noise,
            )

    def start(self, source: tf.Tensor, state: tf.Tensor) -> Any:
        """What a decode carries from token to token, for a source `(B, S)`."""
        start = lambda: self.model.start_cache(source, source.shape[0], self.target_length)  # noqa: E731
        return self.with_state(state, start, source)

    def step(self, token: tf.Tensor, position: tf.Tensor, cache: Any, state: tf.Tensor) -> tuple[tf.Tensor, Any]:
        """Logits `(B, V)` after a token `(B,)` at `position ()`, and the new cache."""
        return self.with_state(state, lambda: self.model.decode_step(token, position, cache), token)

    def encoded(self, source: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Ids `(K, S)` and `(K, T)` of texts `(K,)` to read and to write."""
        encode = self.model.tokenizer.encode_tensor
        return encode(source, self.source_length), encode(target, self.target_length)

    def adapt(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """State `(P,)` from a support set of tensors with leading axis K."""
        with self.stored.scope(), places_found_by_graph(x, self._constant_places):
            return self._learner().adapt_tensors(x, y, rolled=True)

    def predict(self, x: tf.Tensor, state: tf.Tensor | None = None) -> tf.Tensor:
        """The model's prediction for `x`."""
        return self.with_state(state, lambda: self.model(x, training=False), x)

    def score(self, x: tf.Tensor, y: tf.Tensor, state: tf.Tensor | None = None) -> tf.Tensor:
        """The loss of each row `(B,)`, with or without a state."""
        one = lambda row: task_mean(self.row_loss, row[0][None], row[1][None])  # noqa: E731
        return tf.vectorized_map(one, (y, self._outputs(x, y, state)))

    def score_rows(self, x: tf.Tensor, y: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
        """`score` of as many rows as the shapes say, one by one: no operation that LiteRT lacks."""
        rows = zip(tf.unstack(y), tf.unstack(self._outputs(x, y, state)), strict=True)
        return tf.stack([task_mean(self.row_loss, target[None], output[None]) for target, output in rows])

    def classify(self, x: tf.Tensor, state: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        """The likeliest class `(B,)` int32 and the probabilities of all `(B, N)`."""
        logits = self.predict(x, state)
        return {"label": tf.argmax(logits, -1, output_type=tf.int32), "probabilities": tf.nn.softmax(logits)}

    def loss(self, x: tf.Tensor, y: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
        """The learner's loss `()` on `(x, y)` with a task's state: how well it fits."""
        return task_mean(self._learner().task_loss, y, self._outputs(x, y, state))

    def _outputs(self, x: tf.Tensor, y: tf.Tensor, state: tf.Tensor | None) -> Any:
        """What the loss compares with the targets."""
        inputs = getattr(self.model, "training_inputs", lambda x, y: x)(x, y)
        return self.with_state(state, lambda: self.model(inputs, training=False), x)

    def input_spec(self, rows: int | None, name: str) -> tf.TensorSpec:
        """Spec of a model's single input with `rows` rows."""
        if self.is_generator:
            return tf.TensorSpec((rows, self.source_length), tf.int32, name=name)
        if self.is_classifier:
            spec = self.model.input_example_spec()
            return tf.TensorSpec((rows, *spec.shape), spec.dtype, name=name)
        inputs = getattr(self.model, "inputs", None)
        if not inputs or len(inputs) != 1:
            raise ValueError(
                f"Exporting {self.model.name!r} needs exactly one declared Input (a Functional or Sequential model)."
            )
        return tf.TensorSpec((rows, *inputs[0].shape[1:]), inputs[0].dtype, name=name)

    def target_spec(self, rows: int | None, name: str, target: Any = None) -> tf.TensorSpec:
        """Spec of the targets: `target` (one example's spec) if given, else token ids or the like of the output."""
        if self.is_generator:
            return tf.TensorSpec((rows, self.target_length), tf.int32, name=name)
        if self.is_classifier and target is None:
            return tf.TensorSpec((rows,), tf.int32, name=name)
        if target is not None:
            return tf.TensorSpec((rows, *target.shape), target.dtype, name=name)
        return tf.TensorSpec((rows, *self.model.outputs[0].shape[1:]), self.model.outputs[0].dtype, name=name)

    @cached_property
    def row_loss(self) -> Any:
        """The loss that `score` measures: the learner's, else the model's own; `None` where there is none."""
        if self.learner is not None:
            return self.learner.task_loss
        own = getattr(self.model, "loss", None) or getattr(self.model, "default_loss", lambda: None)()
        return None if own is None else scalar_loss(own)

    def _learner(self) -> MetaLearner:
        if self.learner is None:
            raise ValueError("adapt is exported from a MetaLearner. Wrap the model: MetaLearner(model, 'maml').")
        return self.learner


def traced(function: Callable[..., Any], *specs: tf.TensorSpec) -> Any:
    """`function` as a graph function with a fixed signature."""
    return tf.function(function, input_signature=specs, autograph=False)
