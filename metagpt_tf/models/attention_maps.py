"""Where a MetaGPT looks: the attention weights that its own layers used for one pair of texts.

Axes: H heads, S source tokens, C context tokens, T target tokens.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from metagpt_tf.layers import MultiHeadAttention
from metagpt_tf.tokenizers import Tokenizer


class AttentionTokens(NamedTuple):
    """The tokens along the axes of attention maps, readable.

    Args:
        source: S + C labels, the end mark and the context tokens included.
        target: T labels of what the decoder reads: the mark of beginning, then the target without its last token.
    """

    source: list[str]
    target: list[str]


def attention_maps(model: Any, source: str, target: str) -> dict[str, np.ndarray]:
    """Softmax weights of every attention of a `MetaGPT`, `softmax(Q Kᵀ / √E + mask)`.

    Use it to see what a token was written from. Rows sum to 1; row t of a decoder map belongs to the step that predicts
    target token t. The model runs once, without dropout, and its own layers are listened to. Inside a
    `keras.StatelessScope` with a state's weights it shows the adapted model. Attention shows where a layer looked, not
    by itself why the model decided as it did.

    Args:
        model: a `MetaGPT`.
        source: str, at most `source_length` tokens with the end mark.
        target: str, at most `target_length` tokens with the end mark.

    Returns:
        Name to `(H, queries, keys)` float32, for each layer i from 0: `"encoder/i/self"` `(H, S + C, S + C)`,
        `"decoder/i/self"` `(H, T, T)` and `"decoder/i/cross"` `(H, T, S + C)`.

    Raises:
        ValueError: a text that is too long for the model.

    Example:

    >>> from metagpt_tf.models import MetaGPT
    >>> model = MetaGPT(source_length=8, target_length=8, dim=8, num_heads=2, num_layers=1, context_tokens=0)
    >>> {name: weights.shape for name, weights in attention_maps(model, "abc", "de").items()}
    {'encoder/0/self': (2, 4, 4), 'decoder/0/self': (2, 3, 3), 'decoder/0/cross': (2, 3, 4)}

    Reference: Vaswani et al., 2017, "Attention Is All You Need", section 3.2 and appendix.
    """
    ids = (_packed(model, "source", source), _packed(model, "target", target))
    with recorded(attention_layers(model)) as weights:
        model(model.training_inputs(*ids), training=False)
    return {name: np.asarray(tf.cast(value[0], tf.float32)) for name, value in weights.items()}


def attention_tokens(model: Any, source: str, target: str) -> AttentionTokens:
    """Labels for the axes of `attention_maps(model, source, target)`.

    Args:
        model, source, target: as in `attention_maps`.

    Returns:
        `AttentionTokens(source, target)`; blanks and line ends are made visible.

    Raises:
        ValueError: a text that is too long for the model.

    Example:

    >>> from metagpt_tf.models import MetaGPT
    >>> model = MetaGPT(source_length=8, target_length=8, dim=8, num_heads=2, num_layers=1, context_tokens=1)
    >>> attention_tokens(model, "a b", "cd")
    AttentionTokens(source=['a', '␣', 'b', '<eos>', '<context 0>'], target=['<bos>', 'c', 'd'])
    """
    ids = (_packed(model, "source", source), _packed(model, "target", target))
    read, written = (np.asarray(part)[0].tolist() for part in model.training_inputs(*ids))
    context = [f"<context {index}>" for index in range(model.context_tokens)]
    return AttentionTokens(
        [_label(model.tokenizer, index) for index in read] + context,
        [_label(model.tokenizer, index) for index in written],
    )


def attention_layers(model: Any) -> dict[str, MultiHeadAttention]:
    """Name to attention layer, in the order in which a `MetaGPT` runs them."""
    layers = {f"encoder/{i}/self": layer.attention for i, layer in enumerate(model.encoder.layers)}
    for i, layer in enumerate(model.decoder.layers):
        layers[f"decoder/{i}/self"] = layer.self_attention
        layers[f"decoder/{i}/cross"] = layer.cross_attention
    return layers


@contextlib.contextmanager
def recorded(layers: Mapping[str, MultiHeadAttention]) -> Iterator[dict[str, Any]]:
    """Within the block, keep the weights `(B, H, T, S)` of the last call of each layer.

    `attend` is shadowed on these objects alone and only for the block: what is kept is what the layer used, and layers
    pay nothing for it at any other time.
    """
    found: dict[str, Any] = {}

    def listening(name: str, attend: Any) -> Any:
        def run(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
            output, weights = attend(*args, **kwargs)
            found[name] = weights
            return output, weights

        return run

    for name, layer in layers.items():
        layer.__dict__["attend"] = listening(name, layer.attend)
    try:
        yield found
    finally:
        for layer in layers.values():
            del layer.__dict__["attend"]


def _packed(model: Any, name: str, text: str) -> Any:
    longest, tokenizer = getattr(model, f"{name}_length"), model.tokenizer
    count = len(tokenizer.encode(text)) + 1
    if count > longest:
        raise ValueError(
            f"The {name} has {count} tokens with its end mark, and the model's {name}_length is {longest}. Shorten it."
        )
    return tf.constant(tokenizer.pack([text], count))


def _label(tokenizer: Tokenizer, index: int) -> str:
    marks = {tokenizer.pad_id: "<pad>", tokenizer.bos_id: "<bos>", tokenizer.eos_id: "<eos>"}
    if index in marks:
        return marks[index]
    text = tokenizer.pieces[index].decode("utf-8", errors="backslashreplace").replace(" ", "␣")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
