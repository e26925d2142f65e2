"""Plain training of a sequence-to-sequence model: the decoder reads the target, shifted by one."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from metagpt_tf.models.checks import check_ids
from metagpt_tf.models.losses import BitsPerToken, MaskedCrossentropy, TokenAccuracy


class TeacherForced(keras.Model):
    """Base of models that are called with `(source, decoder_input)` and trained on `(source, target)`.

    `decoder_input = [BOS, target_1 … target_{T−1}]`: the model predicts each token from the ones before it. Subclasses
    have a `tokenizer`, a `source_length` and a `target_length`.
    """

    tokenizer: Any
    source_length: int
    target_length: int

    def training_inputs(self, source: Any, target: Any) -> tuple[Any, Any]:
        """The model's inputs for `source (B, S)` and `target (B, T)`: the source, and the target shifted behind BOS."""
        start = ops.full_like(target[:, :1], self.tokenizer.bos_id)
        return source, ops.concatenate([start, target[:, :-1]], axis=1)

    def unpack_inputs(self, inputs: Any) -> tuple[Any, Any]:
        """The source and the decoder input out of what the model was called with.

        Raises:
            ValueError: not a pair.
        """
        if not isinstance(inputs, (tuple, list)) or len(inputs) != 2:
            raise ValueError(
                f"{type(self).__name__} is called with (source (B, S), decoder_input (B, T)); "
                f"received {type(inputs).__name__} {getattr(inputs, 'shape', '')}. "
                "model.training_inputs(source, target) makes the pair; fit and generate need no preparation."
            )
        return inputs[0], inputs[1]

    def compile(self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None, **kwargs: Any) -> None:
        """Configure training.

        Args:
            optimizer: Keras optimizer or its name; default `"adam"`.
            loss: `None` (default) for the masked cross-entropy of `default_loss`.
            metrics: `None` (default) for token accuracy and bits per token, `[]` for none. Use Keras's
                `weighted_metrics` for metrics that follow `sample_weight`.
            **kwargs: as in `keras.Model.compile`.
        """
        loss = self.default_loss() if loss is None else loss
        metrics = self.default_metrics() if metrics is None else metrics
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as saved. Keras leaves a model with its own `compile` uncompiled unless this is defined."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def default_loss(self) -> keras.losses.Loss:
        """Cross-entropy over the tokens that are not padding."""
        return MaskedCrossentropy(pad_id=self.tokenizer.pad_id)

    def default_metrics(self) -> list[keras.metrics.Metric]:
        """Token accuracy and bits per token."""
        return [TokenAccuracy(pad_id=self.tokenizer.pad_id), BitsPerToken(pad_id=self.tokenizer.pad_id)]

    def fit(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """Train plainly with teacher forcing.

        Args:
            x: source ids `(N, S)` int32, or a dataset of `(source, target)` or `(source, target, sample_weight)`.
            y: target ids `(N, T)` int32, each row ended by EOS and filled with PAD.
            **kwargs: as in `keras.Model.fit` (`batch_size`, `epochs`, `validation_data`, `callbacks`, …).

        Returns:
            `keras.callbacks.History`.

        Raises:
            ValueError: a target is missing, or ids that the model does not take (see `check_data`).
        """
        self._check_given(x, y)
        validation = kwargs.get("validation_data")
        if isinstance(validation, (tuple, list)):
            self._check_given(*validation[:2])
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)  # a dataset brings its own order; Keras warns otherwise
        optimizer = getattr(self, "optimizer", None)
        if optimizer is not None and not optimizer.built:
            optimizer.build(self.trainable_variables)  # inside the graph it would cost a second trace
        return super().fit(x, y, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """Score with teacher forcing; data as in `fit`, everything else as in `keras.Model.evaluate`."""
        self._check_given(x, y)
        return super().evaluate(x, y, **kwargs)

    def check_data(self, source: Any, target: Any) -> None:
        """Say clearly what is wrong with arrays of token ids, before a graph stumbles over them.

        Raises:
            ValueError: wrong rank, too long, not integers, or ids outside of the vocabulary.
        """
        limits = {"source": self.source_length, "target": self.target_length}
        for (name, limit), ids in zip(limits.items(), (source, target), strict=True):
            check_ids(name, ids, limit, self.tokenizer.vocabulary_size)

    def _check_given(self, x: Any, y: Any = None) -> None:
        is_array = isinstance(x, (np.ndarray, tf.Tensor))
        if y is None and (is_array or isinstance(x, (tuple, list))):
            raise ValueError(
                f"{self.name} is trained on (source, target): two arrays of token ids, or a dataset of such pairs; "
                f"received one {type(x).__name__} and no target. Call fit(source, target)."
            )
        if is_array and y is not None:
            self.check_data(x, y)

    @tf.autograph.experimental.do_not_convert
    def train_step(self, data: Any) -> dict[str, Any]:
        """One optimizer step on a batch of `(source, target[, sample_weight])`."""
        return super().train_step(self._teacher_forced(data))

    @tf.autograph.experimental.do_not_convert
    def test_step(self, data: Any) -> dict[str, Any]:
        """Loss and metrics of a batch of `(source, target[, sample_weight])`."""
        return super().test_step(self._teacher_forced(data))

    def _teacher_forced(self, data: Any) -> tuple[Any, Any, Any]:
        source, target, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if isinstance(source, (tuple, list)):
            return source, target, sample_weight
        return self.training_inputs(source, target), target, sample_weight
