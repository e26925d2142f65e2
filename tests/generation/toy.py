"""A toy language whose next token depends on the whole history, and the same language in NumPy."""

from typing import Any

import numpy as np
import tensorflow as tf

PAD, BOS, EOS = 0, 1, 2
IDS = {"bos_id": BOS, "eos_id": EOS, "pad_id": PAD}


class Language:
    """Logits = table[latest token] + (how often each token came before) @ memory + position * drift, a bias per row."""

    def __init__(self, vocabulary: int, seed: int = 0, scale: float = 2.0) -> None:
        rng = np.random.default_rng(seed)
        self.size = vocabulary
        self.table = (scale * rng.normal(size=(vocabulary, vocabulary))).astype("float32")
        self.memory = (rng.normal(size=(vocabulary, vocabulary)) - 2 * np.eye(vocabulary)).astype("float32")
        self.drift = (0.3 * rng.normal(size=vocabulary)).astype("float32")

    def bias(self, batch: int) -> np.ndarray:
        return np.random.default_rng(99).normal(size=(batch, self.size)).astype("float32")

    def cache(self, bias: Any) -> dict[str, tf.Tensor]:
        return {"counts": tf.zeros_like(bias), "bias": tf.convert_to_tensor(bias)}

    def step(self, tokens: tf.Tensor, position: tf.Tensor, cache: dict[str, tf.Tensor]) -> tuple[tf.Tensor, Any]:
        counts = cache["counts"] + tf.one_hot(tokens, self.size)
        logits = tf.gather(self.table, tokens) + tf.matmul(counts, self.memory) + cache["bias"]
        return logits + tf.cast(position, tf.float32) * self.drift, {"counts": counts, "bias": cache["bias"]}

    def logits(self, history: list[int], bias: np.ndarray) -> np.ndarray:
        """The (V,) logits after `history` (without BOS), from scratch."""
        fed = [BOS, *history]
        counts = np.bincount(fed, minlength=self.size).astype("float32")
        return self.table[fed[-1]] + counts @ self.memory + bias + len(history) * self.drift

    def log_probability(self, tokens: list[int], bias: np.ndarray) -> float:
        total = 0.0
        for i, token in enumerate(tokens):
            z = self.logits(tokens[:i], bias).astype("float64")
            total += z[token] - np.log(np.exp(z - z.max()).sum()) - z.max()
        return total

    def greedy(self, bias: np.ndarray, length: int, stop: tuple[tuple[int, ...], ...] = ((EOS,),)) -> list[int]:
        tokens: list[int] = []
        while len(tokens) < length and not any(tuple(tokens[-len(s) :]) == s for s in stop if tokens):
            tokens.append(int(self.logits(tokens, bias).argmax()))
        return tokens + [PAD] * (length - len(tokens))


class Markov:
    """Memoryless: every step draws from softmax(logits), whatever came before; counts its steps in the cache."""

    def __init__(self, logits: list[float]) -> None:
        self.row = tf.constant(logits)

    def step(self, tokens: tf.Tensor, position: tf.Tensor, cache: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.tile(self.row[None], (tf.shape(tokens)[0], 1)), cache + 1
