"""Sampling whose settings are inputs of the graph, a row each: what a server's requests ask for.

Axes: B batch, V vocabulary.
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from metagpt_tf.generation.base import Sampler, gumbel
from metagpt_tf.generation.samplers import keep_from
from metagpt_tf.generation.steps import Cache, Step


class Settings(NamedTuple):
    """What each row asks for.

    Attributes:
        temperature: `(B,)` float32; 0 takes the likeliest token.
        top_k: `(B,)` int32; 0 keeps all.
        top_p: `(B,)` float32; 1 keeps all.
        seed: `(B,)` int32; a row's text depends on its own seed only, not on its neighbours.
        max_length: `(B,)` int32, most tokens.
    """

    temperature: Any
    top_k: Any
    top_p: Any
    seed: Any
    max_length: Any


class PerRequest(Sampler):
    """`TopK`, then `TopP`, then the temperature, each as its row asks; for one row the same tokens as those samplers.

    Args:
        settings: one value a row.

    Example:

    >>> import tensorflow as tf
    >>> one = PerRequest(Settings(*(tf.constant([v]) for v in (0.0, 0, 1.0, 7, 4))))
    >>> one(tf.constant([[0.1, 2.0, 1.0]]), tf.constant([0, 0])).numpy().tolist()
    [1]
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings

    def filter(self, logits: tf.Tensor) -> tf.Tensor:
        size = logits.shape[-1] or tf.shape(logits)[-1]
        descending = tf.math.top_k(logits, size).values
        asked = self.settings.top_k[:, None]
        last = tf.where((asked <= 0) | (asked > size), size, asked) - 1
        smallest = tf.gather(descending, last, batch_dims=1)
        descending = keep_from(descending, smallest)
        likelier = tf.cumsum(tf.nn.softmax(descending), axis=-1, exclusive=True)
        share = self.settings.top_p[:, None]
        share = tf.where(share > 0, share, 1e-9)  # whatever is asked, the likeliest token stays
        nucleus = tf.where((likelier < share) | (share >= 1.0), descending, np.inf)
        nucleus = tf.where(nucleus > -np.inf, nucleus, np.inf)
        return keep_from(logits, tf.maximum(smallest, tf.reduce_min(nucleus, axis=-1, keepdims=True)))

    def __call__(
        self,
        logits: tf.Tensor,
        seed: tf.Tensor | None = None,
        seen: tf.Tensor | None = None,
        noise: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Draw one token per row; `seed` is what the loop adds to each row's own, `seen` is not used."""
        logits = tf.cast(logits, tf.float32)
        if noise is None:
            own = tf.bitwise.bitwise_and(self.settings.seed, np.int32(2**31 - 1))
            seeds = tf.stack([tf.zeros_like(own), own], axis=1) + seed
            noise = tf.map_fn(lambda row: gumbel(tf.shape(logits)[1:], row), seeds, fn_output_signature=tf.float32)
        hot = self.settings.temperature[:, None]
        drawn = self.filter(logits) / tf.where(hot > 0, hot, 1.0) + noise
        return tf.argmax(tf.where(hot > 0, drawn, logits), -1, output_type=tf.int32)


def ending(step: Step, limits: tf.Tensor, eos_id: int) -> Step:
    """The step, after which a row that has written its `limits (B,)` tokens can only end."""

    def limited(token: tf.Tensor, position: tf.Tensor, cache: Cache) -> tuple[tf.Tensor, Cache]:
        logits, cache = step(token, position, cache)
        end = tf.where(tf.equal(tf.range(logits.shape[-1]), eos_id), 0.0, -np.inf)[None]
        return tf.where((position < limits)[:, None], tf.cast(logits, tf.float32), end), cache

    return limited
