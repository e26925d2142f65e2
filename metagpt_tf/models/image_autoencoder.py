"""Images to a few codes and back: what lets a model of sequences draw.

Axes: B batch, H height, W width, C channels, D width of a code.
"""

import os
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from metagpt_tf.layers import VectorQuantizer
from metagpt_tf.layers.arguments import check_at_least
from metagpt_tf.models.image_metrics import CodesInUse, PeakSignalToNoise
from metagpt_tf.presets import Preset, find_preset, save_preset
from metagpt_tf.suggestions import closest

KINDS = ("vq", "plain", "vae")
HALVINGS = 2
PART = "autoencoder"  # of a preset
CONFIG = ("image_shape", "kind", "num_codes", "code_dim", "filters", "num_blocks", "kl_weight")


@keras.saving.register_keras_serializable("metagpt_tf")
class ImageAutoencoder(keras.Model):
    """Convolutional autoencoder to a quarter of the height and width, by default to discrete codes.

        z = Encoder(x) (B, H/4, W/4, D),   x̂ = Decoder(q(z))
        "vq": q takes the nearest code;  "plain": q(z) = z;  "vae": q draws N(μ, σ²), with KL(q | N(0, 1)) in the loss

    Train it with `fit(images, images)`, or `fit(dataset of (images, images))`; pixels in [0, 1]. With `"vq"`, `encode`
    gives the codes of images and `decode` images of codes.

    Args:
        image_shape: `(H, W, C)`, H and W multiples of 4; default `(28, 28, 1)`.
        kind: `"vq"` (default), `"plain"` or `"vae"`.
        num_codes: int, N of `"vq"`; default 512.
        code_dim: int, D; default 32.
        filters: int, width of the convolutions; default 64.
        num_blocks: int, residual blocks on each side; default 2.
        kl_weight: float, of `"vae"`; default 1e-3.

    Call arguments:
        images: `(B, H, W, C)` float in [0, 1].
        training: bool, whether codes move (`"vq"`) or noise is drawn (`"vae"`).

    Returns:
        `(B, H, W, C)` in [0, 1].

    Raises:
        ValueError: an unknown kind, a size below 1, or an image whose sides are no multiples of 4.

    Example:

    >>> autoencoder = ImageAutoencoder(num_codes=16, code_dim=4, filters=8, num_blocks=1)
    >>> codes = autoencoder.encode(np.zeros((2, 28, 28, 1)))
    >>> codes.shape, autoencoder.decode(codes).shape
    ((2, 7, 7), (2, 28, 28, 1))

    Reference: van den Oord et al., 2017, "Neural Discrete Representation Learning", https://arxiv.org/abs/1711.00937;
    Kingma and Welling, 2014, "Auto-Encoding Variational Bayes", https://arxiv.org/abs/1312.6114.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (28, 28, 1),
        kind: str = "vq",
        num_codes: int = 512,
        code_dim: int = 32,
        filters: int = 64,
        num_blocks: int = 2,
        kl_weight: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image_shape, self.kind, self.num_codes, self.code_dim = tuple(image_shape), kind, num_codes, code_dim
        self.filters, self.num_blocks, self.kl_weight = filters, num_blocks, kl_weight
        self._check()
        channels = self.image_shape[2]
        layer = {"dtype": self.dtype_policy}
        conv, up = keras.layers.Conv2D, keras.layers.Conv2DTranspose
        half = {"strides": 2, "padding": "same", "activation": "silu", **layer}
        self.down = [conv(filters // 2 or 1, 4, **half), conv(filters, 4, **half)]
        self.before = [ConvResidual(filters, **layer) for _ in range(num_blocks)]
        self.to_code = conv(2 * code_dim if kind == "vae" else code_dim, 1, **layer)
        self.quantizer = VectorQuantizer(num_codes, code_dim, dtype="float32") if kind == "vq" else None
        self.noise = keras.random.SeedGenerator(0) if kind == "vae" else None
        self.from_code = conv(filters, 3, padding="same", activation="silu", **layer)
        self.after = [ConvResidual(filters, **layer) for _ in range(num_blocks)]
        self.up = [up(filters // 2 or 1, 4, **half), up(channels, 4, strides=2, padding="same", activation="sigmoid")]
        self.build()

    def _check(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Unknown kind {self.kind!r}. {closest(str(self.kind), KINDS)}")
        check_at_least(self, 1, num_codes=self.num_codes, code_dim=self.code_dim, filters=self.filters)
        if len(self.image_shape) != 3 or any(side % 2**HALVINGS or side < 1 for side in self.image_shape[:2]):
            raise ValueError(
                f"image_shape is (height, width, channels), height and width multiples of {2**HALVINGS}, received "
                f"{self.image_shape}. Pad or resize the images."
            )

    def build(self, input_shape: Any = None) -> None:
        """Make all weights."""
        if getattr(self, "built", False):
            return
        shape = (None, *self.image_shape)
        for layer in (*self.down, *self.before, self.to_code):
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        shape = (*shape[:-1], self.code_dim)
        if self.quantizer is not None:
            self.quantizer.build(shape)
        for layer in (self.from_code, *self.after, *self.up):
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True

    @property
    def code_shape(self) -> tuple[int, int]:
        """Rows and columns of codes."""
        height, width, _ = self.image_shape
        return height // 2**HALVINGS, width // 2**HALVINGS

    def call(self, images: Any, training: bool | None = None) -> Any:
        """Images to their reconstructions."""
        code = self._vectors(images)
        if self.quantizer is not None:
            code = self.quantizer(code, training=training)
        elif self.kind == "vae":
            code = self._drawn(code, training)
        return self._image(code)

    def encode(self, images: Any) -> np.ndarray:
        """Codes `(B, H/4, W/4)` int32 of images `(B, H, W, C)` in [0, 1].

        Raises:
            ValueError: another shape, values outside [0, 1], or a kind without codes.
        """
        images = np.asarray(images, "float32")
        if images.ndim != 4 or images.shape[1:] != self.image_shape:
            raise ValueError(f"Expected images (B, {', '.join(map(str, self.image_shape))}), received {images.shape}.")
        if images.size and not (images.min() >= 0 and images.max() <= 1):
            raise ValueError(
                f"Pixels are to be in [0, 1], received [{images.min():.3g}, {images.max():.3g}]. Divide by 255?"
            )
        quantizer = self._with_codes()
        parts = [images[start : start + 256] for start in range(0, len(images), 256)]
        found = [ops.convert_to_numpy(quantizer.ids(self._vectors(part))) for part in parts]
        return np.concatenate(found) if found else np.zeros((0, *self.code_shape), "int32")

    def distances_of(self, images: Any) -> Any:
        """Inside a graph: how far each place of images `(B, H, W, C)` is from every code `(B, H/4, W/4, N)`.

        `encode` takes the nearest. Keras's `argmin` has no form in LiteRT, so a file takes TensorFlow's.
        """
        return self._with_codes().distances(self._vectors(images))

    def decode(self, codes: Any) -> np.ndarray:
        """Images `(B, H, W, C)` of codes `(B, H/4, W/4)`.

        Raises:
            ValueError: another shape, codes that do not exist, or a kind without codes.
        """
        codes = np.asarray(codes)
        if codes.ndim != 3 or codes.shape[1:] != self.code_shape:
            raise ValueError(f"Expected codes (B, {', '.join(map(str, self.code_shape))}), received {codes.shape}.")
        if codes.size and not (codes.min() >= 0 and codes.max() < self.num_codes):
            raise ValueError(f"Codes are from 0 to {self.num_codes - 1}, received {codes.min()} to {codes.max()}.")
        return ops.convert_to_numpy(self.image_of(ops.convert_to_tensor(codes, dtype="int32")))

    def image_of(self, codes: Any) -> Any:
        """`decode` inside a graph, unchecked."""
        return self._image(self._with_codes().vectors(codes))

    def default_loss(self) -> Any:
        """Cross-entropy a pixel: an error of an almost white pixel costs more than of a grey one."""
        return keras.losses.BinaryCrossentropy()

    def compile(self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None, **kwargs: Any) -> None:
        """As in Keras; cross-entropy and PSNR are the defaults."""
        if metrics is None:
            metrics = [PeakSignalToNoise()]
        super().compile(optimizer, self.default_loss() if loss is None else loss, metrics=metrics, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as saved. Keras leaves a model with its own `compile` uncompiled unless this is defined."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    @classmethod
    def from_preset(cls, name: str | os.PathLike = "glyph_codes") -> "ImageAutoencoder":
        """A trained autoencoder: a name that comes with the package, or a directory of `save_to_preset`.

        Raises:
            FileNotFoundError: no such preset.
            ValueError: it holds no autoencoder, or was changed.
        """
        directory = find_preset(name)
        preset = Preset(name if directory is None else directory)
        model = cls.from_config(preset.description(PART)["config"])
        preset.set_weights(PART, model)
        return model

    def save_to_preset(self, directory: str | os.PathLike, card: Mapping[str, Any] | None = None) -> None:
        """Write configuration, weights and their hashes to a new directory; see `presets.save_preset`."""
        save_preset(directory, {PART: self}, card)

    def codes_in_use(self, images: Any) -> CodesInUse:
        """How many codes these images need, and how evenly; `"vq"` only."""
        return CodesInUse.of(self.encode(images), self.num_codes)

    def _with_codes(self) -> VectorQuantizer:
        if self.quantizer is None:
            raise ValueError(f"An autoencoder of kind {self.kind!r} has no codes. Make one with kind='vq'.")
        return self.quantizer

    def _vectors(self, images: Any) -> Any:
        hidden = ops.convert_to_tensor(images)
        for layer in (*self.down, *self.before):
            hidden = layer(hidden)
        return ops.cast(self.to_code(hidden), "float32")

    def _drawn(self, code: Any, training: bool | None) -> Any:
        mean, log_variance = ops.split(code, 2, axis=-1)
        divergence = ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance
        self.add_loss(self.kl_weight * 0.5 * ops.mean(ops.sum(divergence, axis=-1)))
        if not training:
            return mean
        return mean + ops.exp(0.5 * log_variance) * keras.random.normal(ops.shape(mean), seed=self.noise)

    def _image(self, code: Any) -> Any:
        hidden = self.from_code(code)
        for layer in (*self.after, *self.up):
            hidden = layer(hidden)
        return ops.cast(hidden, "float32")

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), **{name: getattr(self, name) for name in CONFIG}}


@keras.saving.register_keras_serializable("metagpt_tf")
class ConvResidual(keras.layers.Layer):
    """`x + conv(silu(conv(silu(x))))`."""

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.first = keras.layers.Conv2D(filters, 3, padding="same", activation="silu", dtype=self.dtype_policy)
        self.second = keras.layers.Conv2D(filters, 1, dtype=self.dtype_policy)

    def build(self, input_shape: Any) -> None:
        """Make both convolutions."""
        self.first.build(input_shape)
        self.second.build((*input_shape[:-1], self.filters))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the inputs."""
        return input_shape

    def call(self, inputs: Any) -> Any:
        """The sum."""
        return inputs + self.second(self.first(ops.silu(inputs)))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "filters": self.filters}
