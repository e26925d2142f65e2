"""What a model writes while it learns, epoch by epoch in TensorBoard."""

import os
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


class TextSamples(keras.callbacks.Callback):
    """Callback that writes sample texts to TensorBoard's Text tab after epochs.

    Use it beside the loss: a model that repeats itself can have a good one. Works in the `fit` of a `MetaGPT` and of a
    `MetaLearner` round one; with `state_from` the learner adapts first, and the texts before and after stand side by
    side as `samples/0/before` and `samples/0/after`; without it they are called `samples/0`.

    Args:
        prompts: texts to go on from, or one.
        log_dir: folder for the event file, such as the one of `keras.callbacks.TensorBoard`.
        every: int, write after each epoch whose number (from 1) is a multiple of it; default 1.
        state_from: support set `(x, y)` of token ids, `(K, S)` and `(K, T)` int32; `None` (default) for the model as it
            is. Needs a `MetaLearner`.
        **options: of `MetaGPT.generate` (`max_length`, `sampler`, `seed`, …); a `seed` makes epochs comparable.

    Raises:
        ValueError: no prompts, or `every` below 1; when training begins, a model that does not generate, or a
            `state_from` for a model that does not adapt.

    Example:

    >>> import tempfile
    >>> from metagpt_tf.models import MetaGPT
    >>> model = MetaGPT(source_length=8, target_length=8, dim=8, num_heads=2, num_layers=1)
    >>> model.compile()
    >>> ids = model.tokenizer.pack(["ab", "cd"], 8)
    >>> samples = TextSamples(["ab"], tempfile.mkdtemp(), max_length=4)
    >>> _ = model.fit(ids, ids, callbacks=[samples], verbose=0)
    """

    def __init__(
        self,
        prompts: str | Sequence[str],
        log_dir: str | os.PathLike,
        every: int = 1,
        state_from: tuple[Any, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.prompts = [prompts] if isinstance(prompts, str) else list(prompts)
        if not self.prompts:
            raise ValueError("TextSamples needs at least one prompt, received none.")
        if every < 1:
            raise ValueError(f"every must be at least 1 epoch, received {every}.")
        self.log_dir, self.every, self.state_from, self.options = os.fspath(log_dir), every, state_from, options
        self._writer: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Check that the model can do what is asked, before the first epoch is spent."""
        generator = self._generator()
        if not hasattr(generator, "generate"):
            raise ValueError(f"TextSamples needs a model that generates text, received {type(generator).__name__}.")
        if self.state_from is not None and not hasattr(self.model, "adapt"):
            raise ValueError(
                f"state_from needs a model that adapts, received {type(self.model).__name__}. Fit a MetaLearner round "
                "it, or leave state_from out."
            )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write this epoch's texts, if it is one of every `every`."""
        if (epoch + 1) % self.every:
            return
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(self.log_dir)
        with self._writer.as_default(step=epoch + 1):
            for name, text in self.texts().items():
                tf.summary.text(name, text)
        self._writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def texts(self) -> dict[str, str]:
        """Name to Markdown: each prompt in bold, and what the model makes of it as it stands in a block of code."""
        suffixes = {"": None}
        if self.state_from is not None:
            suffixes = {"/before": None, "/after": self.model.adapt(self.state_from)}
        found: dict[str, str] = {}
        for suffix, state in suffixes.items():
            texts = self._generator().generate(self.prompts, state=state, **self.options)
            for index, (prompt, text) in enumerate(zip(self.prompts, texts, strict=True)):
                found[f"samples/{index}{suffix}"] = f"**prompt**\n\n{_block(prompt)}\n\n**text**\n\n{_block(text)}"
        return found

    def _generator(self) -> Any:
        """The model that writes: the one in training, or the one inside a learner."""
        return self.model if hasattr(self.model, "generate") else getattr(self.model, "model", self.model)


def _block(text: str) -> str:
    # Four blanks make Markdown show a text as it is, marks and line ends included.
    return "\n".join(f"    {line}" for line in text.split("\n"))
