"""Generation as a model's method: ids inside a graph, text outside of it.

Axes: B batch, S source, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import keras
from keras import ops

from metagpt_tf.generation import Step, decode, forced, guided
from metagpt_tf.models.text_generation import TextGenerator


class Generating(keras.Model):
    """Base of models that generate: they say how a decode starts and steps, and get `generate`.

    Subclasses have a `tokenizer`, `source_length` and `target_length`, and the two methods below.
    """

    tokenizer: Any
    source_length: int
    target_length: int

    def start_cache(self, source: Any, batch_size: Any, max_length: int) -> Any:
        """What `decode_step` carries, for a source `(B, S)` and up to `max_length` tokens."""
        raise NotImplementedError(f"{type(self).__name__} must define start_cache(source, batch_size, max_length).")

    def decode_step(self, token: Any, position: Any, cache: Any) -> tuple[Any, Any]:
        """`token (B,)` at `position ()` to logits `(B, V)` and the new cache."""
        raise NotImplementedError(f"{type(self).__name__} must define decode_step(token, position, cache).")

    @cached_property
    def text_generator(self) -> TextGenerator:
        """Batches texts and keeps the compiled loops."""
        return TextGenerator(self)

    def generate_ids(
        self,
        source: Any,
        max_length: int,
        sampler: Any = "greedy",
        seed: Any = (0, 0),
        without: Any = None,
        guidance: float = 1.0,
        known: Any = None,
        **options: Any,
    ) -> Any:
        """Generate inside a graph, ids `(B, S)` int32 to `(B, max_length)` int32; options as in `generation.decode`.

        With a `guidance` other than 1 (see `generation.guided`), `without` is the source without its description,
        `(B, S')`. `known` are tokens that are to be written, `(B, max_length)` int32, -1 where the model is to choose
        (see `generation.forced`).
        """
        batch_size = source.shape[0] if source.shape[0] is not None else ops.shape(source)[0]
        step: Step = self.decode_step
        cache = self.start_cache(source, batch_size, max_length)
        if guidance != 1.0 and without is None:
            raise ValueError(
                f"guidance={guidance} compares with the source without its description: give without=…, or leave "
                "guidance out."
            )
        if guidance != 1.0:
            step, cache = guided(step, guidance), (cache, self.start_cache(without, batch_size, max_length))
        if known is not None:
            step, cache = forced(step), (cache, known)
        return decode(
            step,
            cache,
            batch_size,
            bos_id=self.tokenizer.bos_id,
            eos_id=self.tokenizer.eos_id,
            pad_id=self.tokenizer.pad_id,
            max_length=max_length,
            sampler=sampler,
            seed=seed,
            **options,
        )

    def generate(
        self,
        prompt: str | Sequence[str],
        state: Any = None,
        max_length: int | None = None,
        sampler: Any = "greedy",
        seed: int | None = None,
        stop: str | Sequence[str] = (),
        stream: bool = False,
        truncate: bool = False,
        scope: str | None = None,
        jit_compile: bool = True,
    ) -> str | list[str] | Iterator[str]:
        """Generate text from text.

        Args:
            prompt: str, a source, or a list of them.
            state: what a task taught (`MetaLearner.adapt`), `(P,)` float32; `None` (default) for the model as it is.
            max_length: int, most tokens to generate; `None` (default) for the model's `target_length`.
            sampler: name or object (`metagpt_tf.generation`), default `"greedy"`.
            seed: int, makes sampling repeatable; `None` (default) draws a new one.
            stop: a string, or strings, at which the text ends; they are not part of the result.
            stream: bool, return an iterator over pieces of text instead (one prompt only).
            truncate: bool, cut prompts that are too long instead of refusing them.
            scope: scope of `state`, needed only when the state has lost it.
            jit_compile: bool, compile the loop with XLA (default): a second more for the first call of a shape, then
                several times the speed, and the same tokens. Streams are not compiled.

        Returns:
            A string for a string, a list for a list.

        Raises:
            ValueError: no prompt or one that is too long, a length the model does not have, an unknown sampler, a state
                of another model or without a scope.

        Example:

        >>> from metagpt_tf.models import MetaGPT
        >>> model = MetaGPT(source_length=16, target_length=16, dim=8, num_heads=2, num_layers=1)
        >>> len(model.generate(["ab", "c"], max_length=4, sampler="top_k", seed=1))
        2
        """
        return self.text_generator.generate(
            prompt, state, max_length, sampler, seed, stop, stream, truncate, scope, jit_compile
        )
