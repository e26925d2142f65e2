"""What a model writes while it learns, epoch by epoch in TensorBoard."""

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from metagpt_tf.models.drawing import Drawing
from metagpt_tf.models.image_autoencoder import ImageAutoencoder


class _Samples(keras.callbacks.Callback):
    """What both kinds of samples share: when to write, before and after adaptation, and where."""

    def __init__(
        self,
        prompts: str | Sequence[str],
        log_dir: str | os.PathLike,
        every: int,
        state_from: tuple[Any, Any] | None,
        options: dict[str, Any],
    ) -> None:
        super().__init__()
        self.prompts = [prompts] if isinstance(prompts, str) else list(prompts)
        if not self.prompts:
            raise ValueError(f"{type(self).__name__} needs at least one prompt, received none.")
        if every < 1:
            raise ValueError(f"every must be at least 1 epoch, received {every}.")
        self.log_dir, self.every, self.state_from, self.options = os.fspath(log_dir), every, state_from, options
        self._writer: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Check that the model can do what is asked, before the first epoch is spent."""
        generator, name = self._generator(), type(self).__name__
        if not hasattr(generator, "generate"):
            raise ValueError(f"{name} needs a model that generates text, received {type(generator).__name__}.")
        if self.state_from is not None and not hasattr(self.model, "adapt"):
            raise ValueError(
                f"state_from needs a model that adapts, received {type(self.model).__name__}. Fit a MetaLearner round "
                "it, or leave state_from out."
            )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write this epoch's samples, if it is one of every `every`."""
        if (epoch + 1) % self.every:
            return
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(self.log_dir)
        with self._writer.as_default(step=epoch + 1):
            self._write()
        self._writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _states(self) -> dict[str, Any]:
        """Suffix of a sample's name to the state it is made with."""
        if self.state_from is None:
            return {"": None}
        return {"/before": None, "/after": self.model.adapt(self.state_from)}

    def _write(self) -> None:
        raise NotImplementedError(f"{type(self).__name__} must define _write().")

    def _generator(self) -> Any:
        """The model that writes: the one in training, or the one inside a learner."""
        return self.model if hasattr(self.model, "generate") else getattr(self.model, "model", self.model)


class TextSamples(_Samples):
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
        super().__init__(prompts, log_dir, every, state_from, options)

    def texts(self) -> dict[str, str]:
        """Name to Markdown: each prompt in bold, and what the model makes of it as it stands in a block of code."""
        found: dict[str, str] = {}
        for suffix, state in self._states().items():
            texts = self._generator().generate(self.prompts, state=state, **self.options)
            for index, (prompt, text) in enumerate(zip(self.prompts, texts, strict=True)):
                found[f"samples/{index}{suffix}"] = f"**prompt**\n\n{_block(prompt)}\n\n**text**\n\n{_block(text)}"
        return found

    def _write(self) -> None:
        for name, text in self.texts().items():
            tf.summary.text(name, text)


class ImageSamples(_Samples):
    """Callback that draws samples for TensorBoard's Images tab after epochs.

    The counterpart of `TextSamples` for models that draw: all prompts side by side in one picture, called `drawings`,
    or with `state_from` in `drawings/before` and `drawings/after`.

    Args:
        prompts: sources as the model reads them (`"letter g:"`), or one.
        log_dir: folder for the event file.
        autoencoder: whose codes the model writes.
        every: int, draw after each epoch whose number (from 1) is a multiple of it; default 1.
        state_from: support set `(x, y)` of token ids; `None` (default) for the model as it is.
        **options: `sampler` and `seed` of `MetaGPT.generate`.

    Raises:
        ValueError: as `TextSamples`, or a model that does not write the autoencoder's codes.

    Example:

    >>> import tempfile
    >>> from metagpt_tf.models import MetaGPT
    >>> autoencoder = ImageAutoencoder(num_codes=16, code_dim=4, filters=8, num_blocks=1)
    >>> tokenizer = Drawing(autoencoder).tokenizer
    >>> sizes = {"source_length": 8, "target_length": 50, "dim": 8, "num_heads": 2, "num_layers": 1}
    >>> model = MetaGPT(tokenizer=tokenizer, **sizes)
    >>> model.compile()
    >>> x, y = tokenizer.pack(["a:"], 8), np.full((1, 50), 262, "int32")
    >>> _ = model.fit(x, y, callbacks=[ImageSamples(["a:"], tempfile.mkdtemp(), autoencoder)], verbose=0)
    """

    def __init__(
        self,
        prompts: str | Sequence[str],
        log_dir: str | os.PathLike,
        autoencoder: ImageAutoencoder,
        every: int = 1,
        state_from: tuple[Any, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(prompts, log_dir, every, state_from, options)
        self.autoencoder = autoencoder

    def on_train_begin(self, logs: Any = None) -> None:
        """Check that the model can draw, before the first epoch is spent."""
        super().on_train_begin(logs)
        Drawing(self.autoencoder, self._generator())

    def images(self) -> dict[str, np.ndarray]:
        """Name to one picture `(1, H, n W, C)` of what is drawn for all n prompts."""
        generator, found = self._generator(), {}
        drawing = Drawing(self.autoencoder, generator)
        for suffix, state in self._states().items():
            ids = generator.text_generator.ids(self.prompts, state, **self.options)
            found[f"drawings{suffix}"] = np.concatenate(list(drawing.images_of(ids)[0].numpy()), axis=1)[None]
        return found

    def _write(self) -> None:
        for name, picture in self.images().items():
            tf.summary.image(name, picture)


def _block(text: str) -> str:
    # Four blanks make Markdown show a text as it is, marks and line ends included.
    return "\n".join(f"    {line}" for line in text.split("\n"))
