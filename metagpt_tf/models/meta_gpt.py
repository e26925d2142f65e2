"""MetaGPT: the encoder-decoder Transformer that generates text and is built to be adapted."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from metagpt_tf import tokenizers
from metagpt_tf.generation import decode
from metagpt_tf.layers import (
    ContextTokens,
    Decoder,
    Encoder,
    TokenAndPositionEmbedding,
    TokenHead,
    causal_mask,
    padding_mask,
)
from metagpt_tf.layers.masks import MASKED
from metagpt_tf.models.checks import check_ids
from metagpt_tf.models.losses import BitsPerToken, MaskedCrossentropy, TokenAccuracy
from metagpt_tf.models.presets import preset_config
from metagpt_tf.models.text_generation import TextGenerator


@keras.saving.register_keras_serializable("metagpt_tf")
class MetaGPT(keras.Model):
    """Encoder-decoder Transformer from text to text, with adaptation points for meta-learning.

    `p(y | x) = Π_t p(y_t | y_<t, Encoder(x))`. Train it plainly with `fit(source, target)`, or meta-train it with
    `MetaLearner(model, "maml").fit(episodes)`; both move the same weights.

    Args:
        tokenizer: name or object (`metagpt_tf.tokenizers`); gives the vocabulary and PAD, BOS, EOS.
        source_length: longest source in tokens, end mark included.
        target_length: longest target in tokens, end mark included.
        dim: model width D.
        num_heads: attention heads H, a divisor of D.
        num_layers: layers of the encoder, and of the decoder.
        hidden_dim: feed-forward width; `None` means 4 D.
        dropout: share dropped in training.
        norm: `"pre"` or `"post"` (the paper's).
        activation: `"relu"` or `"gelu"`.
        positions: `"sinusoidal"` or `"learned"`.
        tie_embeddings: one matrix for input tokens and output scores.
        low_rank: rank of the adapters in each attention, scope `"low_rank"`; 0 for none.
        context_tokens: context vectors beside the source, scope `"context"`; 0 for none.

    Call arguments:
        inputs: `(source (B, S) int32, decoder_input (B, T) int32)`, the second being the target shifted right
            (`training_inputs` makes it).

    Returns:
        Logits `(B, T, V)` float32.

    Example:

    >>> model = MetaGPT.from_preset("nano", source_length=16, target_length=16)
    >>> model.compile("adam")
    >>> isinstance(model.generate("abc", max_length=4), str)
    True

    Reference: Vaswani et al., 2017, "Attention Is All You Need".
    """

    def __init__(
        self,
        tokenizer: Any = "bytes",
        source_length: int = 128,
        target_length: int = 128,
        dim: int = 128,
        num_heads: int = 4,
        num_layers: int = 2,
        hidden_dim: int | None = None,
        dropout: float = 0.0,
        norm: str = "pre",
        activation: str = "relu",
        positions: str = "sinusoidal",
        tie_embeddings: bool = True,
        low_rank: int = 4,
        context_tokens: int = 4,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tokenizer = tokenizers.get(tokenizer)
        self.source_length, self.target_length = source_length, target_length
        self.dim, self.num_heads, self.num_layers = dim, num_heads, num_layers
        self.hidden_dim = 4 * dim if hidden_dim is None else hidden_dim
        self.dropout, self.norm, self.activation, self.positions = dropout, norm, activation, positions
        self.tie_embeddings, self.low_rank, self.context_tokens = tie_embeddings, low_rank, context_tokens

        stack = (num_layers, num_heads, self.hidden_dim, dropout, norm, activation, low_rank)
        longest = max(source_length, target_length)
        vocabulary_size = self.tokenizer.vocabulary_size
        self.embedding = TokenAndPositionEmbedding(
            vocabulary_size, dim, longest, positions, name="embedding", dtype=self.dtype_policy
        )
        self.context = (
            ContextTokens(context_tokens, name="context", dtype=self.dtype_policy) if context_tokens else None
        )
        self.encoder = Encoder(*stack, name="encoder", dtype=self.dtype_policy)
        self.decoder = Decoder(*stack, name="decoder", dtype=self.dtype_policy)
        self.head = TokenHead(vocabulary_size, tied=tie_embeddings, name="head", dtype=self.dtype_policy)
        self.input_dropout = keras.layers.Dropout(dropout, name="input_dropout", dtype=self.dtype_policy)
        self.text_generator = TextGenerator(self)
        self.build()

    @classmethod
    def from_preset(cls, name: str, **overrides: Any) -> "MetaGPT":
        """A model of a named size (`nano`, `tiny`, `small`, `base`), freshly initialised; keywords override the preset's."""
        return cls(**{**preset_config(name), **overrides})

    def build(self, input_shape: Any = None) -> None:
        sequence = (None, None, self.dim)
        self.embedding.build((None, None))
        if self.context is not None:
            self.context.build(sequence)
        for layer in (self.encoder, self.decoder, self.head):
            layer.build(sequence)
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        source, decoder_input = self._unpack(inputs)
        memory, memory_mask = self.encode(source, training=training)
        x = self.input_dropout(self.embedding(decoder_input), training=training)
        length = decoder_input.shape[1] or self.target_length
        self_mask = causal_mask(length)[:, :, : ops.shape(x)[1], : ops.shape(x)[1]]
        x = self.decoder(x, memory, self_mask=self_mask, cross_mask=memory_mask, training=training)
        return self._score(x)

    def encode(self, source: Any, training: bool = False) -> tuple[Any, Any]:
        """Encoder output `(B, S + C, D)` of a source `(B, S)`, and the additive mask of its padding."""
        x = self.input_dropout(self.embedding(source), training=training)
        keep = ops.not_equal(source, self.tokenizer.pad_id)
        if self.context is not None:
            x, keep = self.context(x), self.context.extend_keep(keep)
        mask = padding_mask(keep)
        return self.encoder(x, attention_mask=mask, training=training), mask

    def decode_step(self, token: Any, position: Any, cache: Any) -> tuple[Any, Any]:
        """One step of generation: `token (B,)` at `position ()` to logits `(B, V)` and the new cache."""
        memory, memory_mask, steps = cache
        length = steps[0][0].shape[2]
        future = (
            ops.cast(ops.greater(ops.arange(length, dtype="int32"), position), "float32")[None, None, None] * MASKED
        )
        x = self.embedding(token[:, None], position=position)
        x, steps = self.decoder(x, memory, self_mask=future, cross_mask=memory_mask, cache=steps, position=position)
        return self._score(x)[:, 0], (memory, memory_mask, steps)

    def start_cache(self, source: Any, batch_size: Any, max_length: int) -> Any:
        """What `decode_step` carries: projected memory, its mask, and room for `max_length` keys and values."""
        memory, memory_mask = self.encode(source)
        shape = (batch_size, self.num_heads, max_length, self.dim // self.num_heads)
        empty = [
            (ops.zeros(shape, self.compute_dtype), ops.zeros(shape, self.compute_dtype)) for _ in self.decoder.layers
        ]
        return self.decoder.project_memory(memory), memory_mask, empty

    def generate_ids(
        self, source: Any, max_length: int, sampler: Any = "greedy", seed: Any = (0, 0), **options: Any
    ) -> Any:
        """Generate token ids inside a graph: `source (B, S)` int32 to `(B, max_length)` int32 (see `generation.decode`)."""
        batch_size = source.shape[0] if source.shape[0] is not None else ops.shape(source)[0]
        return decode(
            self.decode_step,
            self.start_cache(source, batch_size, max_length),
            batch_size,
            bos_id=self.tokenizer.bos_id,
            eos_id=self.tokenizer.eos_id,
            pad_id=self.tokenizer.pad_id,
            max_length=max_length,
            sampler=sampler,
            seed=seed,
            **options,
        )

    def generate(
        self,
        prompt: str | Sequence[str],
        state: Any = None,
        max_length: int | None = None,
        sampler: Any = "greedy",
        seed: int | None = None,
        stop: Sequence[str] = (),
        stream: bool = False,
        truncate: bool = False,
        scope: str | None = None,
    ) -> str | list[str] | Iterator[str]:
        """Generate text from text.

        Args:
            prompt: a source, or a list of them.
            state: what a task taught (`MetaLearner.adapt`), `(P,)` float32; `None` for the model as it is.
            max_length: most tokens to generate; `None` for the model's `target_length`.
            sampler: name or object (`metagpt_tf.generation`).
            seed: makes sampling repeatable; `None` draws a new one.
            stop: strings at which the text ends; they are not part of the result.
            stream: return an iterator over pieces of text instead (one prompt only).
            truncate: cut prompts that are too long instead of refusing them.
            scope: scope of `state`, needed only when the state has lost it.

        Returns:
            A string for a string, a list for a list.

        Raises:
            ValueError: empty or too long prompt, a length the model does not have, a state of another model.
        """
        return self.text_generator.generate(
            prompt, state, max_length, sampler, seed, tuple(stop), stream, truncate, scope
        )

    def training_inputs(self, source: Any, target: Any) -> tuple[Any, Any]:
        """Teacher forcing: `(source, BOS + target without its last token)`, the model's inputs for `(source, target)`."""
        start = ops.full_like(target[:, :1], self.tokenizer.bos_id)
        return source, ops.concatenate([start, target[:, :-1]], axis=1)

    def compile(self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None, **kwargs: Any) -> None:
        """Configure training; by default masked cross-entropy, token accuracy and bits per token."""
        loss = self.default_loss() if loss is None else loss
        metrics = self.default_metrics() if metrics is None else metrics
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)

    def default_loss(self) -> keras.losses.Loss:
        """Cross-entropy over the tokens that are not padding."""
        return MaskedCrossentropy(pad_id=self.tokenizer.pad_id)

    def default_metrics(self) -> list[keras.metrics.Metric]:
        """Token accuracy and bits per token."""
        return [TokenAccuracy(pad_id=self.tokenizer.pad_id), BitsPerToken(pad_id=self.tokenizer.pad_id)]

    def fit(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """Train plainly on `(source, target)` ids with teacher forcing; everything else as in `keras.Model.fit`."""
        if y is not None:
            self.check_data(x, y)
        else:
            kwargs.setdefault("shuffle", False)  # a dataset brings its own order; Keras warns otherwise
        if self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)  # inside the graph it would cost a second trace
        return super().fit(x, y, **kwargs)

    def check_data(self, source: Any, target: Any) -> None:
        """Say clearly what is wrong with arrays of token ids, before a graph stumbles over them.

        Raises:
            ValueError: wrong rank, too long, not integers, or ids outside of the vocabulary.
        """
        limits = {"source": self.source_length, "target": self.target_length}
        for (name, limit), ids in zip(limits.items(), (source, target), strict=True):
            check_ids(name, ids, limit, self.tokenizer.vocabulary_size)

    @tf.autograph.experimental.do_not_convert
    def train_step(self, data: Any) -> dict[str, Any]:
        return super().train_step(self._teacher_forced(data))

    @tf.autograph.experimental.do_not_convert
    def test_step(self, data: Any) -> dict[str, Any]:
        return super().test_step(self._teacher_forced(data))

    def _teacher_forced(self, data: Any) -> tuple[Any, Any, Any]:
        source, target, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if isinstance(source, (tuple, list)):
            return source, target, sample_weight
        return self.training_inputs(source, target), target, sample_weight

    def _score(self, x: Any) -> Any:
        return self.head(x, self.embedding.table) if self.tie_embeddings else self.head(x)

    def _unpack(self, inputs: Any) -> tuple[Any, Any]:
        if not isinstance(inputs, (tuple, list)) or len(inputs) != 2:
            raise ValueError(
                "MetaGPT is called with (source (B, S), decoder_input (B, T)); "
                f"received {type(inputs).__name__} {getattr(inputs, 'shape', '')}. "
                "model.training_inputs(source, target) makes the pair; fit and generate need no preparation."
            )
        return inputs[0], inputs[1]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        names = (
            "source_length target_length dim num_heads num_layers hidden_dim dropout norm activation positions "
            "tie_embeddings low_rank context_tokens"
        )
        return {
            **config,
            "tokenizer": keras.saving.serialize_keras_object(self.tokenizer),
            **{name: getattr(self, name) for name in names.split()},
        }
