"""Samplers by name: from one row of logits to one token, the same code in Python, a SavedModel and a LiteRT file.

Axes: B batch, V vocabulary.
"""

from numbers import Real
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.generation.base import Sampler, get, registry, require

__all__ = ["Greedy", "MinP", "Random", "Sampler", "TopK", "TopP", "get", "registry"]


def keep_from(logits: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """The logits that reach `threshold` ((B, 1)), all others -inf."""
    return tf.where(logits < threshold, -np.inf, logits)


def is_probability(p: Any) -> bool:
    return isinstance(p, Real) and 0.0 < float(p) <= 1.0


@registry.register("greedy")
class Greedy(Sampler):
    """The likeliest token, `argmax(logits)`: the fastest sampler, deterministic, the one for parity and accuracy tests.

    Args:
        temperature: float >= 0, accepted so that every sampler takes it; argmax does not depend on it.
        repetition_penalty: float > 0, see `Sampler`.

    Example:

    >>> import tensorflow as tf
    >>> Greedy()(tf.constant([[0.1, 2.0, 1.0]])).numpy().tolist()
    [1]
    """

    @property
    def is_greedy(self) -> bool:
        return True


@registry.register("random")
@registry.register("temperature")
class Random(Sampler):
    """The whole distribution, `softmax(logits / temperature)`: the most diverse, unbiased for evaluating a model.

    Args:
        temperature: float >= 0, default 1.0.
        repetition_penalty: float > 0, default 1.0; see `Sampler`.

    Example:

    >>> import tensorflow as tf
    >>> Random(0.5)(tf.constant([[0.0, 100.0]]), tf.constant([0, 1])).numpy().tolist()
    [1]
    """


@registry.register("top_k")
class TopK(Sampler):
    """Only the `k` likeliest tokens: a plain guard against the long tail.

    Keeps `logits >= k-th largest logit`; tokens that tie with the k-th are kept too. A `k` beyond V keeps all.

    Args:
        k: int >= 1, default 5.
        temperature: float >= 0, applied after the filter.
        repetition_penalty: float > 0, see `Sampler`.

    Raises:
        ValueError: `k` below 1 or not an integer.

    Example:

    >>> import tensorflow as tf
    >>> TopK(2).filter(tf.constant([[1.0, 3.0, 2.0]])).numpy().tolist()
    [[-inf, 3.0, 2.0]]

    Reference: Fan et al., "Hierarchical Neural Story Generation", 2018.
    """

    def __init__(self, k: int = 5, temperature: float = 1.0, repetition_penalty: float = 1.0) -> None:
        super().__init__(temperature, repetition_penalty)
        require(isinstance(k, int) and not isinstance(k, bool) and k >= 1, self, "k", k, "an integer >= 1")
        self.k = k

    def filter(self, logits: tf.Tensor) -> tf.Tensor:
        size = logits.shape[-1]
        k = tf.minimum(self.k, tf.shape(logits)[-1]) if size is None else min(self.k, size)
        return keep_from(logits, tf.math.top_k(logits, k).values[:, -1:])

    def get_config(self) -> dict[str, Any]:
        return {"k": self.k, **super().get_config()}


@registry.register("top_p")
class TopP(Sampler):
    """Nucleus sampling: the smallest set of likeliest tokens whose probability reaches `p`, never fewer than one.

    Keeps a token if the probability of all likelier ones is below `p`; adapts to how sure the model is.

    Args:
        p: float in (0, 1], default 0.9; 1 keeps all.
        temperature: float >= 0, applied after the filter.
        repetition_penalty: float > 0, see `Sampler`.

    Raises:
        ValueError: `p` outside (0, 1].

    Example:

    >>> import tensorflow as tf
    >>> TopP(0.5).filter(tf.constant([[1.0, 3.0, 2.0]])).numpy().tolist()
    [[-inf, 3.0, -inf]]

    Reference: Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020.
    """

    def __init__(self, p: float = 0.9, temperature: float = 1.0, repetition_penalty: float = 1.0) -> None:
        super().__init__(temperature, repetition_penalty)
        require(is_probability(p), self, "p", p, "a number in (0, 1]")
        self.p = float(p)

    def filter(self, logits: tf.Tensor) -> tf.Tensor:
        if self.p == 1.0:  # a cumulative sum in float32 would reach 1 before the tail does
            return logits
        size = logits.shape[-1] or tf.shape(logits)[-1]
        descending = tf.math.top_k(logits, size).values
        likelier = tf.cumsum(tf.nn.softmax(descending), axis=-1, exclusive=True)
        nucleus = tf.where(likelier < self.p, descending, np.inf)
        return keep_from(logits, tf.reduce_min(nucleus, axis=-1, keepdims=True))

    def get_config(self) -> dict[str, Any]:
        return {"p": self.p, **super().get_config()}


@registry.register("min_p")
class MinP(Sampler):
    """Tokens at least `p` times as likely as the likeliest: cheaper than `TopP` (no sort), steady when hot.

    Keeps `logit >= max(logits) + log(p)`, which is `probability >= p * max probability`.

    Args:
        p: float in (0, 1], default 0.05; 1 keeps only the likeliest.
        temperature: float >= 0, applied after the filter.
        repetition_penalty: float > 0, see `Sampler`.

    Raises:
        ValueError: `p` outside (0, 1].

    Example:

    >>> import tensorflow as tf
    >>> MinP(0.3).filter(tf.constant([[1.0, 3.0, 2.0]])).numpy().tolist()
    [[-inf, 3.0, 2.0]]

    Reference: Nguyen et al., "Turning Up the Heat: Min-p Sampling", 2024.
    """

    def __init__(self, p: float = 0.05, temperature: float = 1.0, repetition_penalty: float = 1.0) -> None:
        super().__init__(temperature, repetition_penalty)
        require(is_probability(p), self, "p", p, "a number in (0, 1]")
        self.p = float(p)

    def filter(self, logits: tf.Tensor) -> tf.Tensor:
        return keep_from(logits, tf.reduce_max(logits, axis=-1, keepdims=True) + float(np.log(self.p)))

    def get_config(self) -> dict[str, Any]:
        return {"p": self.p, **super().get_config()}
