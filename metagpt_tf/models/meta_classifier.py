"""MetaClassifier: N-way classification of images or texts, built to be adapted from K examples a class."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from metagpt_tf.layers import Projection
from metagpt_tf.layers.arguments import check_at_least, check_choice
from metagpt_tf.models.conv_backbone import ConvBackbone
from metagpt_tf.models.losses import MaskedCrossentropy, TokenAccuracy
from metagpt_tf.models.transformer_backbone import TransformerBackbone
from metagpt_tf.registry import closest

BACKBONES = ("transformer", "conv")
UNLABELLED = -1

# Parameters for five classes of 28 x 28 images: transformer nano 0.10 M, tiny 0.80 M, small 4.8 M.
CLASSIFIER_SIZES: dict[str, dict[str, Any]] = {
    "nano": {"dim": 64, "num_heads": 4, "num_layers": 2, "hidden_dim": 256, "filters": 64},
    "tiny": {"dim": 128, "num_heads": 4, "num_layers": 4, "hidden_dim": 512, "filters": 64},
    "small": {"dim": 256, "num_heads": 8, "num_layers": 6, "hidden_dim": 1024, "filters": 128},
}
CONFIG = (
    *("n_way", "image_shape", "vocabulary_size", "max_length", "dim", "num_heads", "num_layers", "hidden_dim"),
    *("dropout", "norm", "activation", "patch_size", "low_rank", "context_tokens", "filters", "num_blocks"),
    *("normalization",),
)


@keras.saving.register_keras_serializable("metagpt_tf")
class MetaClassifier(keras.Model):
    """A backbone and a linear head, `logits = f(x) W + b`, over N classes whose meaning is the task's.

    Meta-train it with `MetaLearner(model, "maml").fit(episodes)`; `"anil"` adapts the layer `head` only. Its own `fit`
    is plain training on fixed classes. Without a loss, `compile` takes cross-entropy and accuracy over labels
    `(B,) int32`, of which -1 counts as unlabelled.

    Args:
        n_way: int, classes N; default 5.
        backbone: `"transformer"` (default), over patches of an image or tokens of a text, or `"conv"`, the four
            convolutions of few-shot papers.
        image_shape: (H, W, C) of the images; default (28, 28, 1).
        vocabulary_size: int, V; above 0 the inputs are token ids `(B, S)` in place of images, 0 filling up. Transformer
            only; default 0.
        max_length: int, longest text in tokens S; default 128.
        dim, num_heads, num_layers, hidden_dim, dropout, norm, activation, patch_size, low_rank, context_tokens: of the
            transformer, see `TransformerBackbone`.
        filters, num_blocks, normalization: of the convolutions, see `ConvBackbone`.

    Call arguments:
        inputs: `(B, H, W, C)` float, or `(B, S)` int32.
        training: bool, whether to drop.

    Returns:
        Logits `(B, N)` float32.

    Raises:
        ValueError: a size below its least, an unknown name, an image shape that is no (H, W, C) or does not suit the
            backbone, or texts for convolutions.

    Example:

    >>> model = MetaClassifier.from_preset("nano", n_way=3, backbone="conv")
    >>> model.compile("adam")
    >>> keras.ops.shape(model(keras.ops.ones((2, 28, 28, 1))))
    (2, 3)

    Reference: Vinyals et al., 2016, "Matching Networks for One Shot Learning"; Finn et al., 2017, "Model-Agnostic
    Meta-Learning for Fast Adaptation of Deep Networks".
    """

    is_classifier = True  # what an exporter asks: there are labels and probabilities

    def __init__(
        self,
        n_way: int = 5,
        backbone: str = "transformer",
        image_shape: Sequence[int] = (28, 28, 1),
        vocabulary_size: int = 0,
        max_length: int = 128,
        dim: int = 64,
        num_heads: int = 4,
        num_layers: int = 2,
        hidden_dim: int | None = None,
        dropout: float = 0.0,
        norm: str = "pre",
        activation: str = "relu",
        patch_size: int = 4,
        low_rank: int = 0,
        context_tokens: int = 0,
        filters: int = 64,
        num_blocks: int = 4,
        normalization: str = "layer",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.n_way, self.image_shape = n_way, tuple(image_shape)
        self.vocabulary_size, self.max_length = vocabulary_size, max_length
        self.dim, self.num_heads, self.num_layers = dim, num_heads, num_layers
        self.hidden_dim = 4 * dim if hidden_dim is None else hidden_dim
        self.dropout, self.norm, self.activation, self.patch_size = dropout, norm, activation, patch_size
        self.low_rank, self.context_tokens = low_rank, context_tokens
        self.filters, self.num_blocks, self.normalization = filters, num_blocks, normalization
        self.backbone_name = check_choice(self, "backbone", backbone, BACKBONES)
        self._check_sizes()

        self.backbone = self._convolutions() if backbone == "conv" else self._transformer()
        self.head = Projection(n_way, name="head", dtype=self.dtype_policy)
        self.build()

    def _check_sizes(self) -> None:
        check_at_least(self, 1, n_way=self.n_way, max_length=self.max_length)
        check_at_least(self, 0, vocabulary_size=self.vocabulary_size)
        if len(self.image_shape) != 3:
            raise ValueError(f"MetaClassifier: expected image_shape (H, W, C), received {self.image_shape}.")
        check_at_least(self, 1, **dict(zip(("height", "width", "channels"), self.image_shape, strict=True)))
        if self.vocabulary_size and self.backbone_name == "conv":
            raise ValueError(
                f"MetaClassifier: convolutions read images, and vocabulary_size={self.vocabulary_size} asks for texts. "
                "Use backbone='transformer', or leave vocabulary_size out."
            )

    def _convolutions(self) -> ConvBackbone:
        sizes = (self.filters, self.num_blocks, self.normalization)
        return ConvBackbone(*sizes, name="backbone", dtype=self.dtype_policy)

    def _transformer(self) -> TransformerBackbone:
        names = ("dim", "num_heads", "num_layers", "hidden_dim", "dropout", "norm", "activation", "low_rank")
        more = ("patch_size", "vocabulary_size", "max_length", "context_tokens")
        arguments = {name: getattr(self, name) for name in (*names, *more)}
        return TransformerBackbone(**arguments, name="backbone", dtype=self.dtype_policy)

    @classmethod
    def from_preset(cls, name: str, **overrides: Any) -> "MetaClassifier":
        """A model of a named size, freshly initialised.

        Args:
            name: `"nano"`, `"tiny"` or `"small"`; the sizes hold for both backbones.
            **overrides: constructor arguments that differ from the preset's (`n_way`, `backbone`, `image_shape`, …).

        Raises:
            ValueError: unknown preset; the message suggests the closest one.

        Example:

        >>> MetaClassifier.from_preset("nano", n_way=20).n_way
        20
        """
        if name not in CLASSIFIER_SIZES:
            raise ValueError(f"Unknown preset {name!r}. {closest(name, CLASSIFIER_SIZES)}")
        return cls(**{**CLASSIFIER_SIZES[name], **overrides})

    built: bool

    @property
    def row_shape(self) -> tuple[int | None, ...]:
        """Shape of one input: (H, W, C), or (S,) with S open."""
        return (None,) if self.vocabulary_size else self.image_shape

    @property
    def inputs(self) -> list[Any]:
        """The one input, as a functional model would declare it; exports read it."""
        shape = (self.max_length,) if self.vocabulary_size else self.image_shape
        return [keras.KerasTensor((None, *shape), "int32" if self.vocabulary_size else "float32", name="x")]

    @property
    def outputs(self) -> list[Any]:
        """The one output, logits `(B, N)`."""
        return [keras.KerasTensor((None, self.n_way), "float32", name="logits")]

    def build(self, input_shape: Any = None) -> None:
        if self.built:
            return
        shape = (None, *self.row_shape)
        self.backbone.build(shape)
        self.head.build(self.backbone.compute_output_shape(shape))
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        self._check_inputs(inputs)
        return ops.cast(self.head(self.backbone(inputs, training=training)), "float32")

    def embed(self, inputs: Any, training: bool = False) -> Any:
        """The features `(B, D)` that the head reads, for heads without weights such as class means."""
        self._check_inputs(inputs)
        return self.backbone(inputs, training=training)

    def _check_inputs(self, inputs: Any) -> None:
        given, expected = tuple(getattr(inputs, "shape", ())), self.row_shape
        fits = len(given) == len(expected) + 1 and all(
            known is None or size is None or size == known for size, known in zip(given[1:], expected, strict=True)
        )
        if not fits:
            raise ValueError(
                f"{self.name}: expected {'token ids' if self.vocabulary_size else 'images'} of shape "
                f"{('B', *('S' if size is None else size for size in expected))}, received "
                f"{type(inputs).__name__} of shape {given}. Reshape them, or build the model with another image_shape "
                "or vocabulary_size."
            )

    def check_data(self, x: Any, y: Any) -> None:
        """Say clearly what is wrong with a support set, before a graph stumbles over it.

        Raises:
            ValueError: inputs of another shape, or labels that are no integers in [-1, N) of shape `(K,)`.
        """
        self._check_inputs(x)
        labels = np.asarray(y)
        whole = np.issubdtype(labels.dtype, np.integer) and labels.ndim == 1
        if not whole or (labels.size and not (labels.min() >= UNLABELLED and labels.max() < self.n_way)):
            found = f", values {labels.min()} to {labels.max()}" if labels.size else ""
            raise ValueError(
                f"{self.name}: expected labels (K,) of integers in [0, {self.n_way}), -1 for none; received shape "
                f"{labels.shape}, dtype {labels.dtype}{found}. Number the classes of a task from 0."
            )

    def compile(self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None, **kwargs: Any) -> None:
        """Configure plain training; `None` for `default_loss` and `default_metrics`, else as in `keras.Model`."""
        loss = self.default_loss() if loss is None else loss
        metrics = self.default_metrics() if metrics is None else metrics
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as saved. Keras leaves a model with its own `compile` uncompiled unless this is defined."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def default_loss(self) -> keras.losses.Loss:
        """Cross-entropy in nats, written so that its gradient runs in a LiteRT file."""
        return MaskedCrossentropy(pad_id=UNLABELLED, name="crossentropy")

    def input_example_spec(self) -> keras.KerasTensor:
        """Shape and type of one input, without its batch axis."""
        if self.vocabulary_size:
            return keras.KerasTensor((self.max_length,), dtype="int32")
        return keras.KerasTensor(self.image_shape, dtype="float32")

    def default_metrics(self) -> list[keras.metrics.Metric]:
        """Accuracy."""
        return [TokenAccuracy(name="accuracy", pad_id=UNLABELLED)]

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in CONFIG}
        return {**super().get_config(), "backbone": self.backbone_name, **own}
