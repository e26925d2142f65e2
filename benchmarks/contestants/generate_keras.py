"""Ours: `MetaGPT.generate` with its cache, and a loop that runs the whole model again for every token.

Axes: B batch, T tokens to generate.
"""

from typing import Any

import keras
import tensorflow as tf

from contestants.base import Contestant
from metagpt_tf.models import MetaGPT
from metagpt_tf.tokenizers import Tokenizer

NEVER = -1e9


def prompts(settings: dict[str, Any], tokenizer: Tokenizer) -> list[str]:
    """Texts whose tokens and end mark fill the source: exactly with bytes, nearly with pieces that may join anew."""
    letters = "abcdefghijklmnopqrstuvwxyz "
    room = settings["source"] - 1
    longest = room * max(map(len, tokenizer.pieces))
    texts = ["".join(letters[(7 * row + 5 * i * i) % 27] for i in range(longest)) for row in range(settings["batch"])]
    return [tokenizer.decode(tokenizer.encode(text)[:room]) for text in texts]


def build_model(settings: dict[str, Any]) -> MetaGPT:
    """A fresh or a trained model that never ends early: the end mark's bias in the head forbids it."""
    model = MetaGPT.from_preset(settings["preset"]) if settings.get("preset") else fresh_model(settings)
    bias = keras.ops.convert_to_numpy(model.head.bias)
    model.head.bias.assign([NEVER if i == model.tokenizer.eos_id else b for i, b in enumerate(bias)])
    return model


def fresh_model(settings: dict[str, Any]) -> MetaGPT:
    """A model of the given size with enlarged kernels.

    Fresh weights with tied embeddings would repeat the first token, and agreement would show nothing.
    """
    keras.utils.set_random_seed(settings["seed"])
    model = MetaGPT(
        source_length=settings["source"],
        target_length=settings["tokens"],
        dim=settings["dim"],
        num_heads=settings["heads"],
        num_layers=settings["layers"],
        hidden_dim=settings["hidden"],
    )
    for variable in model.trainable_variables:
        if variable.name == "kernel":
            variable.assign(3.0 * variable)
    return model


class Cached(Contestant):
    """`model.generate(prompts)`: text in, text out, greedy."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        self.model = build_model(settings)
        self.prompts = prompts(settings, self.model.tokenizer)
        self.step()

    def step(self) -> None:
        self.texts = self.model.generate(self.prompts, max_length=self.settings["tokens"])

    def check(self) -> dict[str, Any]:
        source = tf.constant(self.model.tokenizer.pack(self.prompts, self.settings["source"]))
        ids = tf.function(self.model.generate_ids, autograph=False)(source, self.settings["tokens"]).numpy()
        if [self.model.tokenizer.decode(row) for row in ids] != self.texts:
            raise RuntimeError("generate and generate_ids gave different texts: what was measured cannot be checked.")
        return {"ids": ids.tolist(), "eos": int((ids == self.model.tokenizer.eos_id).sum())}


class Uncached(Contestant):
    """A `tf.while_loop` that calls the whole model, encoder included, on the full width for each token."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        self.model = build_model(settings)
        texts = prompts(settings, self.model.tokenizer)
        self.source = tf.constant(self.model.tokenizer.pack(texts, settings["source"]))
        self.run = tf.function(self._generate, autograph=False)
        self.step()

    def step(self) -> None:
        self.ids = self.run(self.source).numpy()

    def check(self) -> dict[str, Any]:
        return {"ids": self.ids.tolist(), "eos": int((self.ids == self.model.tokenizer.eos_id).sum())}

    def _generate(self, source: tf.Tensor) -> tf.Tensor:
        batch, length = self.settings["batch"], self.settings["tokens"]
        start = tf.fill((batch, 1), self.model.tokenizer.bos_id)

        def body(i: tf.Tensor, output: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            logits = self.model((source, tf.concat([start, output[:, :-1]], axis=1)))
            token = tf.argmax(tf.gather(logits, i, axis=1), axis=-1, output_type=tf.int32)
            return i + 1, tf.where(tf.range(length)[None] == i, token[:, None], output)

        empty = tf.fill((batch, length), self.model.tokenizer.pad_id)
        return tf.while_loop(lambda i, _: i < length, body, (tf.constant(0), empty), maximum_iterations=length)[1]
