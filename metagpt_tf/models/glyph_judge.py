"""A small classifier that reads glyphs and knows styles: what drawings are judged by.

Axes: B batch, H height, W width, F features.
"""

import os
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from metagpt_tf.layers.arguments import check_at_least
from metagpt_tf.presets import Preset, find_preset, save_preset

PART = "judge"
CONFIG = ("image_shape", "num_characters", "num_styles", "filters", "num_features")
BATCH = 512


@keras.saving.register_keras_serializable("metagpt_tf")
class GlyphJudge(keras.Model):
    """Which character an image shows, and features in which styles differ.

    Use `from_preset("glyph_judge")`, which was trained on the styles of meta_train, to judge drawings of styles that it
    has not seen: `read` says whether a drawing can be read, `features` are what a style classifier and the kernel
    distance (`models.kernel_distance`) look at. Its figures compare models judged by the same judge, and nothing else:
    the kernel distance is not that of published tables, whose features are an Inception network's.

    Args:
        image_shape: `(H, W, C)`.
        num_characters: how many there are to read, in the order of `datasets.glyphs.CHARACTERS`.
        num_styles: of the training.
        filters: of the first of three convolutions; each halves the image and the next has twice as many.
        num_features: F.

    Call arguments:
        images: `(B, H, W, C)` float in [0, 1].

    Returns:
        Logits of characters and of the training's styles, `{"character": (B, N), "style": (B, M)}`.

    Raises:
        ValueError: sizes below 1.

    Example:

    >>> judge = GlyphJudge(num_styles=3, filters=4, num_features=8)
    >>> judge.read(np.zeros((2, 28, 28, 1), "float32")).shape, judge.features(np.zeros((2, 28, 28, 1), "float32")).shape
    ((2,), (2, 8))
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (28, 28, 1),
        num_characters: int = 62,
        num_styles: int = 199,
        filters: int = 32,
        num_features: int = 128,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image_shape, self.num_characters, self.num_styles = tuple(image_shape), num_characters, num_styles
        self.filters, self.num_features = filters, num_features
        sizes = {"num_characters": num_characters, "num_styles": num_styles, "filters": filters}
        check_at_least(self, 1, **sizes, num_features=num_features)
        conv = keras.layers.Conv2D
        self.convolutions = [conv(filters * 2**i, 3, strides=2, padding="same", activation="relu") for i in range(3)]
        self.hidden = keras.layers.Dense(num_features, activation="relu")
        self.dropout = keras.layers.Dropout(0.2)
        self.character, self.style = keras.layers.Dense(num_characters), keras.layers.Dense(num_styles)
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Make all weights."""
        if getattr(self, "built", False):
            return
        shape: Any = (None, *self.image_shape)
        for layer in self.convolutions:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.hidden.build((None, int(np.prod(shape[1:]))))
        for head in (self.character, self.style):
            head.build((None, self.num_features))
        self.built = True

    def call(self, images: Any, training: bool | None = None) -> dict[str, Any]:
        """Images to both kinds of logits."""
        features = self.dropout(self._features(images), training=training)
        return {"character": self.character(features), "style": self.style(features)}

    def features(self, images: Any) -> np.ndarray:
        """`(B, F)` float32 of images `(B, H, W, C)`.

        Raises:
            ValueError: images of another shape.
        """
        return self._in_parts(images, self._features, self.num_features)

    def read(self, images: Any) -> np.ndarray:
        """The number of the character that each image shows, `(B,)` int64.

        Raises:
            ValueError: images of another shape.
        """
        logits = self._in_parts(images, lambda part: self(part)["character"], self.num_characters)
        return logits.argmax(axis=1)

    def _features(self, images: Any) -> Any:
        hidden = ops.convert_to_tensor(images)
        for convolution in self.convolutions:
            hidden = convolution(hidden)
        return self.hidden(ops.reshape(hidden, (ops.shape(hidden)[0], int(np.prod(hidden.shape[1:])))))

    def _in_parts(self, images: Any, function: Any, width: int) -> np.ndarray:
        images = np.asarray(images, "float32")
        if images.shape[1:] != self.image_shape:
            raise ValueError(f"Expected images (B, {', '.join(map(str, self.image_shape))}), received {images.shape}.")
        parts = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        found = [ops.convert_to_numpy(function(part)) for part in parts]
        return np.concatenate(found) if found else np.zeros((0, width), "float32")

    @classmethod
    def from_preset(cls, name: str | os.PathLike = "glyph_judge") -> "GlyphJudge":
        """A trained judge: a name that comes with the package, or a directory of `save_to_preset`.

        Raises:
            FileNotFoundError: no such preset.
            ValueError: it holds no judge, or was changed.
        """
        directory = find_preset(name)
        preset = Preset(name if directory is None else directory)
        model = cls.from_config(preset.description(PART)["config"])
        preset.set_weights(PART, model)
        return model

    def save_to_preset(self, directory: str | os.PathLike, card: Mapping[str, Any] | None = None) -> None:
        """Write configuration, weights (half precision) and their hashes to a new directory; see `save_preset`."""
        save_preset(directory, {PART: self}, card, dtype="float16")

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), **{name: getattr(self, name) for name in CONFIG}}
