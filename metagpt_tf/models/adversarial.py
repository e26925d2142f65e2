"""An autoencoder trained against a discriminator of patches, so that its images look sharp and not only near.

Axes: B batch, H height, W width, C channels.
"""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from metagpt_tf.models.image_autoencoder import ImageAutoencoder


class AdversarialTraining(keras.Model):
    """`fit` for an `ImageAutoencoder` with a second loss: a discriminator should take its images for real ones.

    The autoencoder is the object that was given and has the trained weights afterwards; the discriminator is thrown
    away. With D the logits of patches, x images and x̂ their reconstructions:

        L_autoencoder = L_reconstruction(x, x̂) + w · mean(-D(x̂))
        L_discriminator = mean(max(0, 1 - D(x))) + mean(max(0, 1 + D(x̂)))

    Args:
        autoencoder: of any kind.
        weight: w, at least 0. At 0 the autoencoder learns as by itself.
        filters: of the discriminator's first convolution.

    Raises:
        ValueError: a negative weight.

    Example:

    >>> import numpy as np
    >>> training = AdversarialTraining(ImageAutoencoder(num_codes=8, code_dim=4, filters=8, num_blocks=1), weight=0.1)
    >>> training.compile("adam", discriminator_optimizer="adam")
    >>> images = np.random.default_rng(0).random((4, 28, 28, 1), "float32")
    >>> sorted(training.fit(images, images, verbose=0).history)
    ['adversarial_loss', 'discriminator_loss', 'reconstruction_loss']

    Reference: Esser et al., 2021, "Taming Transformers for High-Resolution Image Synthesis",
    https://arxiv.org/abs/2012.09841, with the hinge loss and a fixed weight.
    """

    def __init__(self, autoencoder: ImageAutoencoder, weight: float = 0.1, filters: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not weight >= 0:
            raise ValueError(f"weight must be at least 0, received {weight!r}.")
        self.autoencoder, self.weight = autoencoder, weight
        half = {"strides": 2, "padding": "same"}
        self.discriminator = keras.Sequential(
            [
                keras.layers.Input(autoencoder.image_shape),
                keras.layers.Conv2D(filters, 4, **half),
                keras.layers.LeakyReLU(0.2),
                keras.layers.Conv2D(2 * filters, 4, **half),
                keras.layers.LeakyReLU(0.2),
                keras.layers.Conv2D(1, 3, padding="same"),
            ]
        )
        self.built = True
        self.sums = [keras.metrics.Mean(name) for name in ("reconstruction", "adversarial", "discriminator")]

    def compile(self, optimizer: Any = "adam", discriminator_optimizer: Any = "adam", **kwargs: Any) -> None:
        """Choose both optimizers; the loss of reconstructions is the autoencoder's own."""
        super().compile(optimizer=optimizer, **kwargs)
        self.discriminator_optimizer = keras.optimizers.get(discriminator_optimizer)
        self.reconstruction = self.autoencoder.default_loss()

    def call(self, images: Any, training: bool | None = None) -> Any:
        """The autoencoder's images."""
        return self.autoencoder(images, training=training)

    @property
    def metrics(self) -> list[Any]:
        """The three losses."""
        return self.sums

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step of the autoencoder, then one of the discriminator on the same images."""
        images, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            found = self.autoencoder(images, training=True)
            reconstruction = self.reconstruction(images, found) + sum(self.autoencoder.losses)
            fooled = -ops.mean(self.discriminator(found, training=True))
            loss = reconstruction + self.weight * fooled
        self._apply(self.optimizer, tape, loss, self.autoencoder.trainable_variables)
        with tf.GradientTape() as tape:
            real, made = (self.discriminator(part, training=True) for part in (images, tf.stop_gradient(found)))
            told = ops.mean(ops.relu(1.0 - real)) + ops.mean(ops.relu(1.0 + made))
        self._apply(self.discriminator_optimizer, tape, told, self.discriminator.trainable_variables)
        for total, value in zip(self.sums, (reconstruction, fooled, told), strict=True):
            total.update_state(value)
        return {f"{total.name}_loss": total.result() for total in self.sums}

    def test_step(self, data: Any) -> dict[str, Any]:
        """The loss of reconstructions."""
        images, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        found = self.autoencoder(images, training=False)
        self.sums[0].update_state(self.reconstruction(images, found) + sum(self.autoencoder.losses))
        return {"reconstruction_loss": self.sums[0].result()}

    @staticmethod
    def _apply(optimizer: Any, tape: tf.GradientTape, loss: Any, variables: list[Any]) -> None:
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        pairs = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
        optimizer.apply_gradients(pairs)
