"""What TensorBoard should see of a meta-training beside its losses: learned rates and gradient norms."""

from typing import Any

import keras
import tensorflow as tf

from metagpt_tf.meta.episodes import as_episode
from metagpt_tf.meta.parallel import mean_gradients


class MetaTensorBoard(keras.callbacks.TensorBoard):
    """`keras.callbacks.TensorBoard` that adds, after each epoch, what the algorithm has learned and how it is moved.

    Written under `meta/`: every trainable weight of the algorithm (its mean as a scalar, all of it as a histogram),
    e.g. learned log rates by step; with `episodes`, the norm of the meta-gradient of each of the model's variables.

    Args:
        log_dir: folder of the logs.
        episodes: one meta-batch to measure meta-gradients on, or `None`.
        **kwargs: as in `keras.callbacks.TensorBoard`.

    Example:

    >>> import keras, tempfile
    >>> from metagpt_tf.meta import MAML, MetaLearner
    >>> from metagpt_tf.tasks import Sinusoid
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> learner = MetaLearner(model, MAML(1, 0.1, learn_rate=True))
    >>> learner.compile("sgd", "mse")
    >>> episodes = Sinusoid().as_dataset(2, k_shot=3, n_query=3, num_batches=1)
    >>> _ = learner.fit(episodes, verbose=0, callbacks=[MetaTensorBoard(tempfile.mkdtemp(), next(iter(episodes)))])
    """

    def __init__(self, log_dir: str = "logs", episodes: Any = None, **kwargs: Any) -> None:
        super().__init__(log_dir, **kwargs)
        self.episodes = episodes

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the learned weights and the gradient norms of this epoch."""
        super().on_epoch_end(epoch, logs)
        with self._train_writer.as_default():
            for weight in self.model.algorithm.trainable_variables:
                tf.summary.scalar(f"meta/{weight.path}", tf.reduce_mean(weight.value), step=epoch)
                tf.summary.histogram(f"meta/{weight.path}/all", weight.value, step=epoch)
            if self.episodes is not None:
                for name, norm in gradient_norms(self.model, self.episodes).items():
                    tf.summary.scalar(f"meta/gradient_norm/{name}", norm, step=epoch)


def gradient_norms(learner: Any, episodes: Any) -> dict[str, float]:
    """Euclidean norm of the meta-gradient in each trainable variable of a learner, by path.

    Args:
        learner: a compiled `MetaLearner` round a built model.
        episodes: one meta-batch, leading axes `(M, K, …)` and `(M, Q, …)`.

    Returns:
        Path of the variable to norm; the algorithm's own weights included.

    Example:

    >>> import keras
    >>> from metagpt_tf.meta import MetaLearner
    >>> from metagpt_tf.tasks import Sinusoid
    >>> learner = MetaLearner(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), "maml")
    >>> learner.compile("sgd", "mse")
    >>> norms = gradient_norms(learner, next(iter(Sinusoid().as_dataset(2, k_shot=3, n_query=3, num_batches=1))))
    >>> len(norms)
    2
    """

    @tf.function(autograph=False)
    def run(batch: Any) -> list[tf.Tensor]:
        weights = [tf.convert_to_tensor(v.value) for v in learner.trainable_variables]
        gradients, _ = mean_gradients(
            learner.task_parallelism,
            lambda task: learner._run_task(weights, task, training=False),
            batch,
            weights,
            lambda loss: loss,
        )
        return [tf.norm(g) for g in gradients]

    norms = run(as_episode(episodes))
    return {v.path: float(norm) for v, norm in zip(learner.trainable_variables, norms, strict=True)}
