"""From the ids that a model wrote to the image they stand for, in a graph.

Axes: B batch, T tokens, H height, W width, C channels.
"""

from typing import Any

import tensorflow as tf

from metagpt_tf.models.image_autoencoder import ImageAutoencoder
from metagpt_tf.tokenizers.image_codes import first_code_id, image_tokenizer


class Drawing:
    """How the texts of a model with an image tokenizer become images.

    Args:
        autoencoder: whose codes the model writes.
        model: that is to draw, to see that the two belong together; `None` for no look.

    Raises:
        ValueError: a model that does not generate, whose tokenizer is not `image_tokenizer(autoencoder.num_codes)` or
            that writes fewer tokens than an image has codes; or an autoencoder without codes.

    Example:

    >>> autoencoder = ImageAutoencoder(num_codes=16, code_dim=4, filters=8, num_blocks=1)
    >>> images, whole = Drawing(autoencoder).images_of(tf.zeros([2, 50], tf.int32))
    >>> images.shape, whole.numpy().tolist()
    (TensorShape([2, 28, 28, 1]), [False, False])
    """

    def __init__(self, autoencoder: ImageAutoencoder, model: Any = None) -> None:
        if autoencoder.quantizer is None:
            raise ValueError(f"An autoencoder of kind {autoencoder.kind!r} has no codes to draw with. Take kind='vq'.")
        self.autoencoder = autoencoder
        self.tokenizer = image_tokenizer(autoencoder.num_codes)
        self.first = first_code_id(autoencoder.num_codes)
        if model is not None:
            self._check(model)

    @property
    def places(self) -> int:
        """Codes of an image."""
        rows, columns = self.autoencoder.code_shape
        return rows * columns

    def _check(self, model: Any) -> None:
        tokenizer = getattr(model, "tokenizer", None)
        if tokenizer is None or tokenizer.get_config() != self.tokenizer.get_config():
            writes = "no tokens" if tokenizer is None else f"{tokenizer.vocabulary_size} tokens"
            raise ValueError(
                f"{type(model).__name__} writes {writes}, and the autoencoder's codes need "
                f"image_tokenizer({self.autoencoder.num_codes}) with {self.tokenizer.vocabulary_size}. Give a model "
                "that draws, and the autoencoder that the model was trained with."
            )
        if model.target_length < self.places:
            raise ValueError(
                f"The model writes {model.target_length} tokens, and an image of {self.autoencoder.image_shape} has "
                f"{self.places} codes. Give the autoencoder that the model was trained with."
            )

    def images_of(self, ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Images `(B, H, W, C)` in [0, 1] of ids `(B, T)`, and whether each was written whole `(B,)` bool.

        An image is whole if its first tokens are as many codes as it has places. Where a token is none, the image has
        the first code, so that what was written can be seen.
        """
        (rows, columns), places = self.autoencoder.code_shape, self.places
        ids = tf.pad(tf.cast(ids, tf.int32)[:, :places], [[0, 0], [0, tf.maximum(0, places - tf.shape(ids)[1])]])
        codes = ids - self.first
        known = (codes >= 0) & (codes < self.autoencoder.num_codes)
        drawn = tf.reshape(tf.where(known, codes, 0), [-1, rows, columns])
        return tf.convert_to_tensor(self.autoencoder.image_of(drawn)), tf.reduce_all(known, axis=1)

    def ids_of(self, images: tf.Tensor, length: int) -> tf.Tensor:
        """Ids `(B, length)` of images `(B, H, W, C)` in [0, 1], as a model is to write them: codes, EOS, PAD.

        Raises:
            ValueError: a length without room for all codes and EOS.
        """
        if length <= self.places:
            raise ValueError(f"An image has {self.places} codes and an end, received length={length}.")
        nearest = tf.argmin(self.autoencoder.distances_of(images), axis=-1, output_type=tf.int32)
        codes = tf.reshape(nearest, [-1, self.places]) + self.first
        end = tf.fill([images.shape[0] or tf.shape(images)[0], 1], self.tokenizer.eos_id)
        rest = [[0, 0], [0, length - self.places - 1]]
        return tf.pad(tf.concat([codes, end], axis=1), rest, constant_values=self.tokenizer.pad_id)

    def png_of(self, ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`images_of` as PNG files `(B,)` of bytes."""
        images, whole = self.images_of(ids)
        pixels = tf.cast(tf.round(255.0 * images), tf.uint8)
        return tf.map_fn(tf.io.encode_png, pixels, fn_output_signature=tf.string), whole
