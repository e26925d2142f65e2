"""Attention, drawn."""

from typing import Any

from metagpt_tf.models import attention_maps, attention_tokens
from metagpt_tf.plotting import attention_figure
from metagpt_tf.registry import closest


def plot_attention(model: Any, source: str, target: str | None = None, name: str | None = None) -> Any:
    """Draw where a model looks while it writes a text, one panel a head.

    Args:
        model: a `MetaGPT`, or a `MetaLearner` round one.
        source: str, the prompt.
        target: str, the text to explain; `None` (default) for what the model writes itself, greedily.
        name: which attention, such as `"encoder/0/self"`, `"decoder/0/self"` or `"decoder/0/cross"`; `None` (default)
            for the cross-attention of the last decoder layer.

    Returns:
        A `matplotlib.figure.Figure`; save it with `figure.savefig(path)`.

    Raises:
        ValueError: a text that is too long for the model, or an unknown name (the closest one is suggested).

    Example:

    >>> from metagpt_tf.models import MetaGPT
    >>> model = MetaGPT(source_length=8, target_length=8, dim=8, num_heads=2, num_layers=1)
    >>> len(plot_attention(model, "abc", "de").axes)  # two heads and the scale
    3
    """
    model = model if hasattr(model, "decoder") else model.model
    if target is None:
        # One token short of the model's length: the end mark needs its place.
        target = model.generate(source, max_length=max(1, model.target_length - 1))
        target = _fitting(model, target)
    maps, tokens = attention_maps(model, source, target), attention_tokens(model, source, target)
    name = f"decoder/{model.num_layers - 1}/cross" if name is None else name
    if name not in maps:
        raise ValueError(f"Unknown attention {name!r}. {closest(name, maps)}")
    rows = tokens.target if name.startswith("decoder") else tokens.source
    columns = tokens.target if name.startswith("decoder") and name.endswith("self") else tokens.source
    return attention_figure(maps[name], columns, rows, title=name)


def _fitting(model: Any, text: str) -> str:
    """`text` cut to what the model reads: bytes that are no UTF-8 take more room as the sign that replaces them."""
    return model.tokenizer.decode(model.tokenizer.pack([text], model.target_length)[0]).rstrip("\ufffd")
