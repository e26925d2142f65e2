"""From strings to strings: batching, compiled decoding per shape, and streaming."""

import codecs
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from metagpt_tf import generation
from metagpt_tf.fast_weights import SCOPES, FastWeights

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
        stop: str | Sequence[str],
        stream: bool,
        truncate: bool,
        scope: str | None,
        jit_compile: bool,
    ) -> str | list[str] | Iterator[str]:
        """See `MetaGPT.generate`."""
        prompts, stop = self._prompts(prompt), self._stops(stop)
        given = self._inputs(prompts, state, max_length, sampler, seed, truncate, scope)
        source, vector, fast, length, sampler, seeds = given
        if stream:
            if len(prompts) != 1:
                raise ValueError(f"stream=True generates from one prompt at a time, received {len(prompts)}.")
            return self._stream(source, vector, fast, length, sampler, seeds, stop)
        ids = self._function(fast, length, sampler, stop, jit_compile)(tf.constant(source), vector, seeds).numpy()
        texts = [cut(self.model.tokenizer.decode(row), stop) for row in ids]
        return texts[0] if isinstance(prompt, str) else texts

    def ids(
        self,
        prompts: Sequence[str],
        state: Any = None,
        sampler: Any = "greedy",
        seed: int | None = None,
        without: Sequence[str] | None = None,
        guidance: float = 1.0,
        known: Any = None,
    ) -> np.ndarray:
        """What is written for prompts, as ids `(B, T)`: for texts that are more than text, as codes of images are.

        With a `guidance` other than 1, `without` are the prompts without their description; see `generation.guided`.
        `known` are tokens that are to be written, `(B, at most T)`, -1 where the model is to choose; see
        `generation.forced`.
        """
        given = self._inputs(list(prompts), state, None, sampler, seed, False, None)
        source, vector, fast, length, sampler, seeds = given
        free = None if without is None else tf.constant(self._source(list(without), False))
        function = self._function(fast, length, sampler, (), True, float(guidance))
        fixed = None if known is None else tf.constant(_all_known(known, len(source), length))
        return function(tf.constant(source), vector, seeds, free, fixed).numpy()

    def _inputs(
        self,
        prompts: list[str],
        state: Any,
        max_length: int | None,
        sampler: Any,
        seed: int | None,
        truncate: bool,
        scope: str | None,
    ) -> tuple[np.ndarray, Any, FastWeights | None, int, Any, Any]:
        """Source, state, where the state goes, length, sampler and seeds, each checked."""
        source, length = self._source(prompts, truncate), self._length(max_length)
        sampler, fast = generation.get(sampler), self._fast_weights(state, scope)
        vector = None if fast is None else tf.constant(fast.check(state))
        return source, vector, fast, length, sampler, self._seeds(seed)

    def _function(
        self,
        fast: FastWeights | None,
        length: int,
        sampler: Any,
        stop: tuple[str, ...],
        jit_compile: bool,
        guidance: float = 1.0,
    ) -> Any:
        """The compiled decode loop; tf.function keeps one graph for each shape of the source."""
        key = (*_place(fast), length, _identity(sampler), stop, jit_compile, guidance)
        if key not in self._compiled:
            stops = self._stop_ids(stop)

            def run(source: Any, state: Any, seed: Any, without: Any = None, known: Any = None) -> tf.Tensor:
                options: dict[str, Any] = {} if known is None else {"known": known}
                options |= {} if guidance == 1.0 else {"without": without, "guidance": guidance}
                with keras.StatelessScope(state_mapping=[] if fast is None else fast.mapping(state)):
                    return self.model.generate_ids(source, length, sampler, seed, stop_sequences=stops, **options)

            self._compiled[key] = tf.function(run, autograph=False, jit_compile=jit_compile)
        return self._compiled[key]

    def _stream(
        self,
        source: np.ndarray,
        vector: Any,
        fast: FastWeights | None,
        length: int,
        sampler: Any,
        seed: Any,
        stop: tuple[str, ...],
    ) -> Iterator[str]:
        tokenizer, state = self.model.tokenizer, () if vector is None else vector
        start, step = self._streaming_functions(fast)
        tokens = generation.stream(
            step,
            (start(tf.constant(source), state, length), state),
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

    def _streaming_functions(self, fast: FastWeights | None) -> tuple[Any, Any]:
        """The compiled start and step of a stream. The state travels in the cache, so one graph serves every state."""
        key = ("stream", *_place(fast))
        if key not in self._compiled:

            def scoped(state: Any) -> keras.StatelessScope:
                return keras.StatelessScope(state_mapping=[] if fast is None else fast.mapping(state))

            def start(source: tf.Tensor, state: Any, length: int) -> Any:
                with scoped(state):
                    return self.model.start_cache(source, source.shape[0], length)

            def step(token: tf.Tensor, position: tf.Tensor, cache: Any) -> tuple[Any, Any]:
                with scoped(cache[1]):
                    logits, steps = self.model.decode_step(token, position, cache[0])
                return logits, (steps, cache[1])

            self._compiled[key] = (tf.function(start, autograph=False), tf.function(step, autograph=False))
        return self._compiled[key]

    def _prompts(self, prompt: str | Sequence[str]) -> list[str]:
        prompts = [prompt] if isinstance(prompt, str) or not isinstance(prompt, Iterable) else list(prompt)
        if not prompts or not all(isinstance(p, str) for p in prompts):
            raise ValueError(f"generate needs a string or a non-empty list of strings, received {prompt!r}.")
        return prompts

    def _source(self, prompts: list[str], truncate: bool) -> np.ndarray:
        tokenizer, longest = self.model.tokenizer, self.model.source_length
        try:
            ids = tokenizer.pack(prompts, longest, truncate=truncate)
        except ValueError as error:
            raise ValueError(f"A prompt is longer than the model's source_length={longest}. {error}") from error
        # The shortest power of two that holds every prompt: few shapes to compile, little padding to attend to.
        used = int((ids != tokenizer.pad_id).sum(axis=1).max())
        width = SMALLEST_SOURCE
        while width < used:
            width *= 2
        return ids[:, : min(width, longest)]

    def _length(self, max_length: int | None) -> int:
        limit = self.model.target_length
        length = limit if max_length is None else max_length
        if not isinstance(length, int | np.integer) or not 1 <= length <= limit:
            raise ValueError(
                f"max_length must be an integer between 1 and the model's target_length={limit}, "
                f"received {max_length!r}. Build the model with a larger target_length for longer texts."
            )
        return int(length)

    def _fast_weights(self, state: Any, scope: str | None) -> FastWeights | None:
        if state is None:
            return None
        scope = scope or getattr(state, "scope", None)
        if scope is None:
            sizes = ", ".join(f"{name}: {size}" for name, size in scope_sizes(self.model).items())
            raise ValueError(
                f"The state of shape {np.shape(state)} does not say which scope it belongs to. Pass scope=…; the "
                f"states of this model's scopes have lengths {sizes}."
            )
        return FastWeights(self.model, scope, getattr(state, "keep_zeros", False))

    def _stops(self, stop: str | Sequence[str]) -> tuple[str, ...]:
        stops = (stop,) if isinstance(stop, str) else tuple(stop)
        if not all(isinstance(s, str) and s for s in stops):
            raise ValueError(f"stop must be a non-empty string or a sequence of them, received {stop!r}.")
        return stops

    def _stop_ids(self, stop: tuple[str, ...]) -> list[list[int]]:
        return [self.model.tokenizer.encode(s) for s in stop]

    @staticmethod
    def _seeds(seed: int | None) -> tf.Tensor:
        if seed is None:
            return tf.constant(np.random.default_rng().integers(0, 2**31, 2), tf.int32)
        if not isinstance(seed, int | np.integer):
            raise ValueError(f"seed must be an integer or None, received {seed!r} of type {type(seed).__name__}.")
        return tf.constant([0, seed % 2**31], tf.int32)


def _all_known(known: Any, rows: int, length: int) -> np.ndarray:
    """Known tokens for every place, -1 where none is given."""
    given = np.asarray(known)
    if given.ndim != 2 or len(given) != rows or given.shape[1] > length or given.dtype.kind not in "iu":
        raise ValueError(
            f"known must be whole numbers ({rows}, at most {length}), -1 where the model is to choose; received shape "
            f"{given.shape} of {given.dtype}."
        )
    return np.pad(given.astype("int32"), [(0, 0), (0, length - given.shape[1])], constant_values=generation.OPEN)


def scope_sizes(model: keras.Model) -> dict[str, int]:
    """Length of the state of every named scope that the model has."""
    return {scope: FastWeights(model, scope).size for scope, pick in SCOPES.items() if pick(model)}


def _identity(sampler: Any) -> str:
    return f"{type(sampler).__name__} {sorted(sampler.get_config().items())}"


def cut(text: str, stop: Sequence[str]) -> str:
    """`text` up to the first stop string."""
    ends = [text.find(s) for s in stop if s in text]
    return text[: min(ends)] if ends else text


def pieces(tokenizer: Any, ids: Iterator[int], stop: Sequence[str]) -> Iterator[str]:
    """Text as it becomes certain: whole characters only, and nothing that may still turn out to be a stop string.

    The pieces joined are what `cut(tokenizer.decode(ids), stop)` gives.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    held = max((len(s) for s in stop), default=1) - 1
    text, shown = "", 0
    for token in ids:
        if token == tokenizer.eos_id:
            break
        text += decoder.decode(tokenizer.decode_bytes([token]))
        if any(s in text for s in stop):
            yield from _rest(cut(text, stop), shown)
            return
        ready = len(text) - held
        if ready > shown:
            yield text[shown:ready]
            shown = ready
    # Bytes of a character that never became whole show as they do in a text decoded at once.
    yield from _rest(text + decoder.decode(b"", final=True), shown)


def _rest(text: str, shown: int) -> Iterator[str]:
    if len(text) > shown:
        yield text[shown:]


def _place(fast: FastWeights | None) -> tuple[Any, ...]:
    """What a compiled loop knows of the weights that a state stands for."""
    return (fast.scope, fast.pattern) if fast else (None, 0)
