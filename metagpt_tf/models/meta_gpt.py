"""MetaGPT: the encoder-decoder Transformer that generates text and is built to be adapted."""

import os
from typing import Any

import keras
from keras import ops

from metagpt_tf import tokenizers
from metagpt_tf.layers import (
    ContextTokens,
    Decoder,
    Encoder,
    TokenAndPositionEmbedding,
    TokenHead,
    causal_mask,
    padding_mask,
)
from metagpt_tf.layers.arguments import check_at_least
from metagpt_tf.layers.masks import MASKED
from metagpt_tf.models.generating import Generating
from metagpt_tf.models.sizes import size_config
from metagpt_tf.models.teacher_forcing import TeacherForced
from metagpt_tf.presets import Preset, find_preset, save_preset

CONFIG = (
    *("source_length", "target_length", "dim", "num_heads", "num_layers", "hidden_dim", "dropout", "norm"),
    *("activation", "positions", "tie_embeddings", "low_rank", "context_tokens", "head_width"),
)


@keras.saving.register_keras_serializable("metagpt_tf")
class MetaGPT(Generating, TeacherForced):
    """Encoder-decoder Transformer from text to text, with adaptation points for meta-learning.

    `p(y | x) = Π_t p(y_t | y_<t, Encoder(x))`. Train it plainly with `fit(source, target)`, or meta-train it with
    `MetaLearner(model, "maml").fit(episodes)`; both move the same weights.

    Args:
        tokenizer: name or object (`metagpt_tf.tokenizers`), default `"bytes"`; gives the vocabulary and PAD, BOS, EOS.
        source_length: int, longest source in tokens, end mark included; default 128.
        target_length: int, longest target in tokens, end mark included; default 128.
        dim: int, model width D; default 128.
        num_heads: int, attention heads H, a divisor of D unless `head_width` is given; default 4.
        num_layers: int, layers of the encoder, and of the decoder; default 2.
        hidden_dim: int, feed-forward width; `None` (default) means 4 D.
        dropout: float in [0, 1), share dropped; default 0.
        norm: `"pre"` (default) or `"post"` (the paper's).
        activation: `"relu"` (default) or `"gelu"`.
        positions: `"sinusoidal"` (default) or `"learned"`.
        tie_embeddings: bool, one matrix for input tokens and output scores; default True.
        low_rank: int, rank of the adapters in each attention, scope `"low_rank"`; default 4, 0 for none.
        context_tokens: int, context vectors beside the source, scope `"context"`; default 4, 0 for none.
        head_width: int, E, width of a head; `None` (default) means D / H. A model that lost heads keeps theirs.

    Call arguments:
        inputs: `(source (B, S) int32, decoder_input (B, T) int32)`, the second being the target shifted right
            (`training_inputs` makes it).
        training: bool, whether to drop.

    Returns:
        Logits `(B, T, V)` float32.

    Raises:
        ValueError: a size below 1, D not divisible by H, or an unknown name; inputs that are no pair.

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
        head_width: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tokenizer = tokenizers.get(tokenizer)
        self.source_length, self.target_length = source_length, target_length
        self.dim, self.num_heads, self.num_layers = dim, num_heads, num_layers
        self.hidden_dim = 4 * dim if hidden_dim is None else hidden_dim
        self.dropout, self.norm, self.activation, self.positions = dropout, norm, activation, positions
        self.tie_embeddings, self.low_rank, self.context_tokens = tie_embeddings, low_rank, context_tokens
        self.head_width = head_width
        self._check_sizes()

        stack = (num_layers, num_heads, self.hidden_dim, dropout, norm, activation, low_rank, head_width)
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
        self.build()

    def _check_sizes(self) -> None:
        names = ("source_length", "target_length", "dim", "num_heads", "num_layers", "hidden_dim")
        check_at_least(self, 1, **{name: getattr(self, name) for name in names})
        check_at_least(self, 0, low_rank=self.low_rank, context_tokens=self.context_tokens)

    @classmethod
    def from_preset(cls, name: str | os.PathLike, **overrides: Any) -> "MetaGPT":
        """A freshly initialised model of a named size, or a trained one.

        Args:
            name: a size, `"nano"` (1 M parameters), `"tiny"` (6 M), `"small"` (59 M) or `"base"` (218 M), or the
                directory of a trained model that `save_to_preset` wrote.
            **overrides: constructor arguments that differ from the preset's; of a trained model, those that leave the
                shapes of its weights (`source_length`, `dropout`, …).

        Raises:
            ValueError: unknown preset (the message suggests the closest one), a file that differs from its hash, or
                overrides that change the weights' shapes.

        Example:

        >>> MetaGPT.from_preset("nano", num_layers=1).num_layers
        1
        """
        directory = find_preset(name)
        if directory is None:
            return cls(**{**size_config(os.fspath(name)), **overrides})
        preset = Preset(directory)
        model = cls.from_config({**preset.description("model")["config"], **overrides})
        preset.set_weights("model", model)
        return model

    def save_to_preset(self, directory: str | os.PathLike, card: Any = None, dtype: str = "float32") -> None:
        """Write this model as a directory that `from_preset` reads; see `presets.save_preset`."""
        save_preset(directory, {"model": self}, card, dtype)

    built: bool

    def build(self, input_shape: Any = None) -> None:
        if self.built:
            return
        sequence = (None, None, self.dim)
        self.embedding.build((None, None))
        if self.context is not None:
            self.context.build(sequence)
        for layer in (self.encoder, self.decoder, self.head):
            layer.build(sequence)
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        source, decoder_input = self.unpack_inputs(inputs)
        memory, memory_mask = self.encode(source, training=training)
        x = self.input_dropout(self.embedding(decoder_input), training=training)
        x = self.decoder(
            x, memory, self_mask=self._future_mask(decoder_input), cross_mask=memory_mask, training=training
        )
        return self._score(x)

    def _future_mask(self, ids: Any) -> Any:
        if ids.shape[1] is not None:
            return causal_mask(ids.shape[1])
        length = ops.shape(ids)[1]
        return ops.slice(causal_mask(self.target_length), (0, 0, 0, 0), (1, 1, length, length))

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
        future = ops.greater(ops.arange(length, dtype="int32"), position)
        future = ops.cast(future, "float32")[None, None, None] * MASKED
        x = self.embedding(token[:, None], position=position)
        x, steps = self.decoder(x, memory, self_mask=future, cross_mask=memory_mask, cache=steps, position=position)
        return self._score(x)[:, 0], (memory, memory_mask, steps)

    def start_cache(self, source: Any, batch_size: Any, max_length: int) -> Any:
        """What `decode_step` carries: projected memory, its mask, and room for `max_length` keys and values."""
        memory, memory_mask = self.encode(source)
        shape = (batch_size, self.num_heads, max_length, self.head_width or self.dim // self.num_heads)
        empty = ops.zeros(shape, self.compute_dtype)
        return self.decoder.project_memory(memory), memory_mask, [(empty, empty)] * self.num_layers

    def _score(self, x: Any) -> Any:
        return self.head(x, self.embedding.table) if self.tie_embeddings else self.head(x)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "tokenizer": keras.saving.serialize_keras_object(self.tokenizer),
            **{name: getattr(self, name) for name in CONFIG},
        }
