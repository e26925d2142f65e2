"""What every learner of this room shares with `keras.Model.fit`: batches of tasks in, no loss to give."""

from typing import Any

import keras
import tensorflow as tf


class TrainedOnTasks(keras.Model):
    """Base of models that are trained on batches of tasks, `(task (M, G), seed (M, 2))`, and learn from rewards.

    Subclasses have a `train_step` and a `compile` of their own.
    """

    def fit(self, x: Any = None, **kwargs: Any) -> Any:
        """Train on a dataset of `TaskBatch`, as `environment.as_dataset` makes; else as `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History` of the logs.

        Raises:
            TypeError: not a `tf.data.Dataset`.
        """
        if not isinstance(x, tf.data.Dataset):
            raise TypeError(
                f"fit takes a tf.data.Dataset of TaskBatch, received {type(x).__name__}. "
                "environment.as_dataset(meta_batch_size, num_batches=…) makes one."
            )
        kwargs.setdefault("shuffle", False)  # a dataset brings its own order; Keras warns otherwise
        return super().fit(x, **kwargs)

    def get_compile_config(self) -> dict[str, Any]:
        if not self.compiled:
            return {}
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": self.steps_per_execution,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        # Keras drops the optimizer of a model with its own compile unless it is restored here, built.
        self.compile(**{**config, "optimizer": keras.saving.deserialize_keras_object(config["optimizer"])})
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
