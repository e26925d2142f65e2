"""From strings to strings: batching, compiled decoding per shape, and streaming."""

import codecs
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from metagpt_tf import generation
from metagpt_tf.fast_weights import SCOPES, FastWeights, scope_variables

SMALLEST_SOURCE = 16


class TextGenerator:
    """Runs a model's decode loop on text, one compiled function for each combination of shape, sampler and scope.

    Args:
        model: a `MetaGPT`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._compiled: dict[tuple, Any] = {}

    def generate(
        self,
        prompt: str | Sequence[str],
        state: Any,
        max_length: int | None,
        sampler: Any,
        seed: int | None,
        stop: tuple[str, ...],
        stream: bool,
        truncate: bool,
        scope: str | None,
    ) -> str | list[str] | Iterator[str]:
        """See `MetaGPT.generate`."""
        prompts = self._prompts(prompt)
        source = self._source(prompts, truncate)
        length = self._length(max_length)
        sampler = generation.get(sampler)
        fast = self._fast_weights(state, scope)
        vector = None if fast is None else tf.constant(fast.check(state))
        seeds = self._seeds(seed)
        if stream:
            if len(prompts) != 1:
                raise ValueError(f"stream=True generates from one prompt at a time, received {len(prompts)}.")
            return self._stream(source, vector, fast, length, sampler, seeds, stop)
        ids = self._function(fast, length, sampler, stop)(tf.constant(source), vector, seeds).numpy()
        texts = [cut(self.model.tokenizer.decode(row), stop) for row in ids]
        return texts[0] if isinstance(prompt, str) else texts

    def _function(self, fast: FastWeights | None, length: int, sampler: Any, stop: tuple[str, ...]) -> Any:
        """The compiled decode loop; tf.function keeps one graph for each shape of the source."""
        key = (fast.scope if fast else None, length, _identity(sampler), stop)
        if key not in self._compiled:
            stops = self._stop_ids(stop)

            def run(source: tf.Tensor, state: tf.Tensor | None, seed: tf.Tensor) -> tf.Tensor:
                with keras.StatelessScope(state_mapping=[] if fast is None else fast.mapping(state)):
                    return self.model.generate_ids(source, length, sampler, seed, stop_sequences=stops)

            self._compiled[key] = tf.function(run, autograph=False)
        return self._compiled[key]

    def _stream(
        self,
        source: np.ndarray,
        vector: Any,
        fast: FastWeights | None,
        length: int,
        sampler: Any,
        seed: Any,
        stop: tuple,
    ) -> Iterator[str]:
        model, tokenizer = self.model, self.model.tokenizer

        def scoped() -> keras.StatelessScope:
            return keras.StatelessScope(state_mapping=[] if fast is None else fast.mapping(vector))

        def step(token: Any, position: Any, cache: Any) -> tuple[Any, Any]:
            with scoped():
                return model.decode_step(token, position, cache)

        with scoped():
            cache = model.start_cache(tf.constant(source), len(source), length)
        tokens = generation.stream(
            step,
            cache,
            len(source),
            bos_id=tokenizer.bos_id,
            eos_id=tokenizer.eos_id,
            pad_id=tokenizer.pad_id,
            max_length=length,
            sampler=sampler,
            seed=seed,
            stop_sequences=self._stop_ids(stop),
        )
        return pieces(tokenizer, (int(row[0]) for row in tokens), stop)

    def _prompts(self, prompt: str | Sequence[str]) -> list[str]:
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        if not prompts or not all(isinstance(p, str) for p in prompts):
            raise ValueError(f"generate needs a string or a non-empty list of strings, received {prompt!r}.")
        return prompts

    def _source(self, prompts: list[str], truncate: bool) -> np.ndarray:
        tokenizer, longest = self.model.tokenizer, self.model.source_length
        ids = tokenizer.pack(prompts, longest, truncate=truncate)
        # The shortest power of two that holds every prompt: few shapes to compile, little padding to attend to.
        used = int((ids != tokenizer.pad_id).sum(axis=1).max())
        width = SMALLEST_SOURCE
        while width < used:
            width *= 2
        return ids[:, : min(width, longest)]

    def _length(self, max_length: int | None) -> int:
        limit = self.model.target_length
        length = limit if max_length is None else int(max_length)
        if not 1 <= length <= limit:
            raise ValueError(
                f"max_length must be between 1 and the model's target_length={limit}, received {max_length}. "
                "Build the model with a larger target_length for longer texts."
            )
        return length

    def _fast_weights(self, state: Any, scope: str | None) -> FastWeights | None:
        if state is None:
            return None
        scope = scope or getattr(state, "scope", None)
        if scope is None:
            sizes = ", ".join(f"{name}: {size}" for name, size in scope_sizes(self.model).items())
            raise ValueError(
                f"The state of shape {np.shape(state)} does not say which scope it belongs to. Pass scope=…; lengths of "
                f"this model's scopes are {sizes}."
            )
        return FastWeights(self.model, scope)

    def _stop_ids(self, stop: tuple[str, ...]) -> list[list[int]]:
        if any(not s for s in stop):
            raise ValueError(f"stop must hold non-empty strings, received {stop!r}.")
        return [self.model.tokenizer.encode(s) for s in stop]

    @staticmethod
    def _seeds(seed: int | None) -> tf.Tensor:
        if seed is None:
            return tf.constant(np.random.default_rng().integers(0, 2**31, 2), tf.int32)
        return tf.constant([0, seed % 2**31], tf.int32)


def scope_sizes(model: keras.Model) -> dict[str, int]:
    """Length of the state of every named scope that the model has."""
    sizes = {}
    for scope in SCOPES:
        try:
            sizes[scope] = sum(int(np.prod(v.shape)) for v in scope_variables(model, scope))
        except ValueError:  # the model has no such weights: the scope is not one of its choices
            continue
    return sizes


def _identity(sampler: Any) -> str:
    return f"{type(sampler).__name__} {sorted(sampler.get_config().items())}"


def cut(text: str, stop: Sequence[str]) -> str:
    """`text` up to the first stop string."""
    ends = [text.find(s) for s in stop if s in text]
    return text[: min(ends)] if ends else text


def pieces(tokenizer: Any, ids: Iterator[int], stop: Sequence[str]) -> Iterator[str]:
    """Text as it becomes certain: whole characters only, and nothing that may still turn out to be a stop string."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    held = max((len(s) for s in stop), default=1) - 1
    text, shown = "", 0
    for token in ids:
        if token == tokenizer.eos_id:
            break
        text += decoder.decode(tokenizer.decode_bytes([token]))
        if any(s in text for s in stop):
            text = cut(text, stop)
            break
        ready = max(len(text) - held, shown)
        if ready > shown:
            yield text[shown:ready]
            shown = ready
    else:
        text += decoder.decode(b"", final=True)
    if len(text) > shown:
        yield text[shown:]
