"""The base of all samplers: what they share when they turn a row of logits into a token.

Axes: B batch, V vocabulary.
"""

from numbers import Real
from typing import Any

import tensorflow as tf

from metagpt_tf.registry import Registry

registry: Registry["Sampler"] = Registry("sampler")
get = registry.get

RESOLUTION = 2**23  # uniform numbers apart by this much are exact in float32, and none of them is 0 or 1


def gumbel(shape: tf.Tensor | tuple[int, ...], seed: tf.Tensor) -> tf.Tensor:
    """Standard Gumbel noise, `-log(-log(u))` with u uniform in (0, 1), a pure function of `seed` ((2,) int32)."""
    # Drawn as integers: XLA makes other floats than the kernels from the same seed, but the same integers.
    bits = tf.random.stateless_uniform(shape, seed, minval=None, maxval=None, dtype=tf.uint32, alg="philox")
    uniform = (tf.cast(tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32)), tf.float32) + 0.5) / RESOLUTION
    return -tf.math.log(-tf.math.log(uniform))


def require(good: bool, owner: object, name: str, value: Any, expected: str) -> None:
    """Raise a ValueError that names the argument, what was given and what was expected."""
    if not good:
        raise ValueError(f"{type(owner).__name__}: expected {name} to be {expected}. Received {name}={value!r}.")


class Sampler:
    """Base of all samplers: repetition penalty, filter, temperature, draw.

    Subclass it and override `filter` for a new way to cut the distribution; the rest stays here.
    The draw is Gumbel-max, `argmax(filter(logits) / temperature + g)`, an exact sample of
    `softmax(filter(logits) / temperature)` that needs neither a softmax nor a cumulative sum; rows are independent.
    The penalty divides the positive logits of tokens generated before, and multiplies their negative ones.

    Args:
        temperature: float >= 0; below 1 sharper, above 1 flatter, 0 takes the likeliest token. Default 1.0.
        repetition_penalty: float > 0; above 1 discourages repetition, 1 is off. Default 1.0.

    Raises:
        ValueError: negative temperature, or a penalty that is not positive.

    Example:

    >>> import tensorflow as tf
    >>> Sampler(temperature=0.0)(tf.constant([[0.1, 2.0, 1.0]]), tf.constant([0, 7])).numpy().tolist()
    [1]

    Reference: Maddison et al., "A* Sampling", 2014 (Gumbel-max); Keskar et al., "CTRL", 2019 (penalty).
    """

    can_stream = True  # whether a token is final once drawn

    def __init__(self, temperature: float = 1.0, repetition_penalty: float = 1.0) -> None:
        require(isinstance(temperature, Real) and temperature >= 0, self, "temperature", temperature, "a number >= 0")
        good = isinstance(repetition_penalty, Real) and repetition_penalty > 0
        require(good, self, "repetition_penalty", repetition_penalty, "a number > 0 (1 is off)")
        self.temperature = float(temperature)
        self.repetition_penalty = float(repetition_penalty)

    @property
    def needs_seen(self) -> bool:
        """Whether the decode loop has to keep track of the tokens generated so far."""
        return self.repetition_penalty != 1.0

    @property
    def is_greedy(self) -> bool:
        """Whether the draw is the plain argmax, so that no filter and no noise has to be computed."""
        return self.temperature == 0.0

    def filter(self, logits: tf.Tensor) -> tf.Tensor:
        """Mask the tokens that must not be drawn: (B, V) logits in, (B, V) out with -inf for the masked."""
        return logits

    def penalize(self, logits: tf.Tensor, seen: tf.Tensor | None) -> tf.Tensor:
        """Apply the repetition penalty to the (B, V) logits where `seen` ((B, V) bool) is true."""
        if not self.needs_seen:
            return logits
        if seen is None:
            raise ValueError(
                f"{type(self).__name__} has repetition_penalty={self.repetition_penalty} and therefore needs `seen`, "
                f"a bool tensor of the logits' shape {logits.shape}. Received seen=None."
            )
        logits = tf.cast(logits, tf.float32)
        penalty = self.repetition_penalty
        return tf.where(seen, tf.where(logits > 0, logits / penalty, logits * penalty), logits)

    def __call__(
        self,
        logits: tf.Tensor,
        seed: tf.Tensor | None = None,
        seen: tf.Tensor | None = None,
        noise: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Draw one token per row.

        Args:
            logits: (B, V) float.
            seed: (2,) int32; the same seed draws the same tokens. Unused by greedy samplers or with `noise`.
            seen: (B, V) bool, tokens generated before; needed only with a repetition penalty.
            noise: (B, V) float Gumbel noise in place of `seed`, for LiteRT, whose random operations repeat themselves.

        Returns:
            (B,) int32 token ids.

        Raises:
            ValueError: neither `seed` nor `noise` for a random draw, or no `seen` for a penalty.
        """
        logits = self.penalize(logits, seen)
        if self.is_greedy:
            return tf.argmax(logits, -1, output_type=tf.int32)
        if noise is None and seed is None:
            raise ValueError(f"{type(self).__name__} draws at random: give it seed, (2,) int32, or noise, (B, V).")
        logits = self.filter(tf.cast(logits, tf.float32))
        if self.temperature != 1.0:
            logits = logits / self.temperature
        if noise is None:
            shape = logits.shape if logits.shape.is_fully_defined() else tf.shape(logits)
            noise = gumbel(shape, seed)
        return tf.argmax(logits + noise, -1, output_type=tf.int32)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"temperature": self.temperature, "repetition_penalty": self.repetition_penalty}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Sampler":
        """Build a sampler from `get_config`."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"
