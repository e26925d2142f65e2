"""A MetaGPT of which smaller ones are parts: its first layers, heads and neurons.

Axes: B batch, T tokens, H heads, F hidden neurons.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import ops

from metagpt_tf.layers import projection_arithmetic
from metagpt_tf.models.meta_gpt import MetaGPT
from metagpt_tf.registry import closest

LAST = re.compile(r"/layer_(\d+)/(?:\w*attention/(output)|feed_forward/(down))/kernel$")
RANDOM_PARTS = 2


class Sizes(NamedTuple):
    """How much of an elastic model is in use.

    Attributes:
        num_layers: layers of the encoder, and of the decoder.
        num_heads: of each attention.
        hidden_dim: neurons of each feed-forward network.
    """

    num_layers: Any
    num_heads: Any
    hidden_dim: Any


@keras.saving.register_keras_serializable("metagpt_tf")
class ElasticGPT(MetaGPT):
    """A `MetaGPT` that can run as any smaller one made of its first layers, heads and neurons; one training serves all.

    Each plain training step runs the whole model, the smallest part and two drawn ones (the sandwich rule); the parts
    learn from the labels and from what the whole model answers in the same step (in-place distillation):
    `L = mean over parts of (1 − w) CE(y) + w KL(whole ‖ part)`, with `w = 0` for the whole model. `activate` says which
    part runs. `metagpt_tf.tuning.elastic` meta-trains it and takes parts out as ordinary models.

    What is switched off is multiplied by 0, so a part costs as much as the whole model until it is taken out.

    Args:
        choices: what each size may be, e.g. `{"num_layers": [1, 2], "num_heads": [2, 4], "hidden_dim": [256, 512]}`;
            `None` (default), or a size left out, for every number of layers and heads and quarters of the neurons.
        weight: float in [0, 1], w; default 0.5.
        **kwargs: as in `MetaGPT`.

    Raises:
        ValueError: a size that is unknown or out of range, or `norm="post"`: a layer that is switched off must leave
            what passes it as it is.

    Example:

    >>> model = ElasticGPT(source_length=8, target_length=8, dim=8, num_heads=2, num_layers=2)
    >>> model.activate(num_layers=1, num_heads=1)
    >>> model.active_sizes
    Sizes(num_layers=1, num_heads=1, hidden_dim=32)

    Reference: Yu et al., 2019, "Universally Slimmable Networks and Improved Training Techniques"; Cai et al., 2020,
    "Once-for-All".
    """

    def __init__(
        self, *args: Any, choices: Mapping[str, Sequence[int]] | None = None, weight: float = 0.5, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        if self.norm != "pre":
            raise ValueError(f"An elastic model needs norm='pre', received {self.norm!r}.")
        if not 0 <= weight <= 1:
            raise ValueError(f"weight is a share in [0, 1], received {weight!r}.")
        self.weight = weight
        self.choices = self._checked(dict(choices or {}))
        self._places = {
            id(layer): (int(found.group(1)), found.group(2) or found.group(3))
            for layer in self._flatten_layers()
            if hasattr(layer, "affine") and (found := LAST.search(layer.kernel.path))
        }

    def build(self, input_shape: Any = None) -> None:
        if not self.built:
            self.active = self.add_weight(
                shape=(3,), dtype="int32", initializer="zeros", trainable=False, name="active_sizes"
            )
            self.active.assign(self.largest)
            super().build(input_shape)

    @property
    def largest(self) -> Sizes:
        """The whole model."""
        return Sizes(self.num_layers, self.num_heads, self.hidden_dim)

    @property
    def smallest(self) -> Sizes:
        """The least of each choice."""
        return Sizes(*(min(self.choices[name]) for name in Sizes._fields))

    @property
    def active_sizes(self) -> Sizes:
        """What runs now."""
        return Sizes(*(int(size) for size in self.active.numpy()))

    def activate(self, **sizes: int) -> None:
        """Run as a part from now on; sizes that are not named are those of the whole model.

        Args:
            **sizes: `num_layers`, `num_heads`, `hidden_dim`.

        Raises:
            ValueError: an unknown size, or one that the model does not have.
        """
        self.active.assign(Sizes(**{**self.largest._asdict(), **self._in_range(sizes)}))

    def _in_range(self, sizes: Mapping[str, int]) -> Mapping[str, int]:
        for name, size in sizes.items():
            if name not in Sizes._fields:
                raise ValueError(f"Unknown size {name!r}. {closest(name, Sizes._fields)}")
            if not 1 <= size <= getattr(self, name):
                raise ValueError(f"{name} must be between 1 and {getattr(self, name)}, received {size!r}.")
        return sizes

    def _checked(self, given: dict[str, Sequence[int]]) -> dict[str, list[int]]:
        quarters = sorted({max(1, self.hidden_dim * i // 4) for i in range(1, 5)})
        every = {
            "num_layers": list(range(1, self.num_layers + 1)),
            "num_heads": list(range(1, self.num_heads + 1)),
            "hidden_dim": quarters,
        }
        for name, sizes in given.items():
            for size in sizes:
                self._in_range({name: size})
        return {name: sorted({int(size) for size in given.get(name) or every[name]}) for name in every}

    # ---------------------------------------------------------------- running a part

    def _masked(self, layer: Any, x: Any) -> Any:
        """A projection of the active part: what is beyond it is multiplied by 0."""
        index, kind = self._places.get(id(layer), (0, ""))
        if not kind:
            return layer.affine(x, layer.kernel)
        layers, heads, neurons = ops.unstack(ops.convert_to_tensor(self.active))
        width = x.shape[-1]
        places = ops.arange(width, dtype="int32")
        kept = places < neurons if kind == "down" else places // (width // self.num_heads) < heads
        y = layer.affine(x * ops.cast(kept, x.dtype), layer.kernel)
        return y * ops.cast(index < layers, y.dtype)

    def call(self, inputs: Any, training: bool = False) -> Any:
        with projection_arithmetic(self._masked):
            return super().call(inputs, training=training)

    def encode(self, source: Any, training: bool = False) -> tuple[Any, Any]:
        with projection_arithmetic(self._masked):
            return super().encode(source, training=training)

    def decode_step(self, token: Any, position: Any, cache: Any) -> tuple[Any, Any]:
        with projection_arithmetic(self._masked):
            return super().decode_step(token, position, cache)

    # ---------------------------------------------------------------- training all of them

    def sandwich(self, step: Any, seed: int = 0) -> list[Any]:
        """Sizes `(3,)` int32 of the parts of one training step: the whole model, the smallest part, two drawn ones.

        Args:
            step: `()` int, which step; the same step draws the same parts.
            seed: another stream of parts.
        """
        drawn = []
        for index in range(RANDOM_PARTS):
            sizes = []
            for axis, name in enumerate(Sizes._fields):
                known = tf.constant(self.choices[name], tf.int32)
                key = tf.stack([tf.cast(step, tf.int32), tf.constant(seed * 97 + index * 3 + axis)])
                place = tf.random.stateless_uniform((), key, 0, len(self.choices[name]), tf.int32)
                sizes.append(known[place])
            drawn.append(tf.stack(sizes))
        return [tf.constant(self.largest, tf.int32), tf.constant(self.smallest, tf.int32), *drawn]

    @tf.autograph.experimental.do_not_convert
    def train_step(self, data: Any) -> dict[str, Any]:
        """One optimizer step on a batch of `(source, target[, sample_weight])`, for the whole model and three parts."""
        inputs, target, sample_weight = self._teacher_forced(data)
        parts = self.sandwich(self.optimizer.iterations)
        with tf.GradientTape() as tape:
            losses, whole = [], None
            for sizes in parts:
                with keras.StatelessScope(state_mapping=[(self.active, sizes)]) as scope:
                    answer = self(inputs, training=True)
                losses.append(self._part_loss(target, answer, whole, sample_weight))
                if whole is None:
                    whole, seeds = answer, [(v, scope.get_current_value(v)) for v in self._seeds()]
            loss = tf.add_n(losses) / len(parts)
            scaled = self.optimizer.scale_loss(loss)
        for variable, value in seeds:
            variable.assign(value)
        self.optimizer.apply_gradients(
            zip(tape.gradient(scaled, self.trainable_variables), self.trainable_variables, strict=True)
        )
        return self.compute_metrics(inputs, target, whole, sample_weight) | {"loss": losses[0], "parts_loss": loss}

    def _seeds(self) -> list[Any]:
        return [v for v in self.non_trainable_variables if v.path.endswith("seed_generator_state")]

    def _part_loss(self, target: Any, answer: Any, whole: Any, sample_weight: Any) -> Any:
        loss = self.loss(target, answer, sample_weight=sample_weight)
        if whole is None:
            return loss
        log_p = ops.log_softmax(answer, axis=-1)
        shares = ops.stop_gradient(ops.softmax(whole, axis=-1))
        kept = ops.cast(ops.not_equal(target, self.tokenizer.pad_id), "float32")
        # The entropy of the whole model's answer moves nothing: cross-entropy and divergence have one gradient.
        soft = ops.sum(-ops.sum(shares * log_p, axis=-1) * kept) / ops.maximum(ops.sum(kept), 1.0)
        return (1.0 - self.weight) * loss + self.weight * soft

    def plain_config(self) -> dict[str, Any]:
        """Constructor arguments of a `MetaGPT` as large as the whole model."""
        return super().get_config()

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "choices": self.choices, "weight": self.weight}
