"""A curriculum over tasks that follows how difficult they are for the learner as it is now."""

from typing import Any

import tensorflow as tf

from metagpt_tf.meta.episodes import Fields, as_episode
from metagpt_tf.meta.learner import MetaLearner
from metagpt_tf.meta.task import TaskModel

ORDERS = ("easy_first", "hard_first")


class Curriculum:
    """Picks, out of more candidates than are needed, the tasks that the learner should see now.

    Difficulty of a task is its support loss at the present initialisation. Of every C · M candidates the M tasks are
    drawn evenly from the easiest share p (or the hardest), and p grows from `start_share` to 1 in `outer_steps` outer
    steps: then it is the distribution itself. Scoring costs C forward passes of the support set for each task kept.

    Use it where early training is spoilt by tasks that the model cannot learn yet (`"easy_first"`), or wasted on those
    that it can (`"hard_first"`). While p < 1 it changes the distribution that is trained on: judge it on plain
    episodes.

    Args:
        learner: compiled, round a built model; its present weights score the candidates.
        candidates: C >= 2.
        outer_steps: steps in which the share grows to 1.
        start_share: first p, in (0, 1].
        order: `"easy_first"` or `"hard_first"`.

    Raises:
        ValueError: a number outside its range, an unknown order, or a learner whose model is not built.

    Example:

    >>> import keras
    >>> from metagpt_tf.tasks import Sinusoid
    >>> learner = MetaLearner(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), "maml")
    >>> learner.compile("sgd", "mse")
    >>> curriculum = Curriculum(learner, candidates=3, outer_steps=2)
    >>> chosen = curriculum(Sinusoid().as_dataset(4 * 3, k_shot=5, n_query=5, num_batches=2))
    >>> _ = learner.fit(chosen, verbose=0)
    >>> [episode.support_x.shape[0] for episode in chosen.map(lambda *e: Fields(*e))]
    [4, 4]

    Reference: Bengio et al., 2009, "Curriculum Learning".
    """

    def __init__(
        self,
        learner: MetaLearner,
        candidates: int = 4,
        outer_steps: int = 1000,
        start_share: float = 0.5,
        order: str = "easy_first",
    ) -> None:
        if candidates < 2 or outer_steps < 1 or not 0.0 < start_share <= 1.0:
            raise ValueError(
                f"Expected candidates >= 2, outer_steps >= 1 and start_share in (0, 1], received {candidates}, "
                f"{outer_steps} and {start_share}."
            )
        if order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(ORDERS)}, received {order!r}.")
        learner.layout  # noqa: B018 - raises if the model is not built
        self.learner, self.candidates, self.outer_steps = learner, candidates, outer_steps
        self.start_share, self.order = start_share, order

    def __call__(self, episodes: tf.data.Dataset) -> tf.data.Dataset:
        """Episodes of M tasks out of meta-batches of C · M candidates.

        Args:
            episodes: meta-batches with leading axes `(C · M, K, …)`; `as_dataset(C * M, …, prefetch=0)`.

        Returns:
            A dataset of `(support_x, support_y, query_x, query_y)` with leading axes `(M, …)`, as long as `episodes`.
            It reads the learner's weights while it runs, so that nothing may be prefetched behind it.

        Raises:
            ValueError: meta-batches whose size is unknown or no multiple of C.
        """
        spec = as_episode(episodes.element_spec)
        size = tf.nest.flatten(spec.support_x)[0].shape[0]
        if size is None or size % self.candidates:
            raise ValueError(
                f"Curriculum picks one of {self.candidates} candidates: the meta-batch must be a static multiple of "
                f"that, received {size}. Use as_dataset(meta_batch_size=M * {self.candidates}, …)."
            )

        def pick(*parts: Any) -> tuple[Any, ...]:
            return tuple(self.pick(as_episode(parts[0] if len(parts) == 1 else parts), size // self.candidates))

        return episodes.map(pick, num_parallel_calls=1, deterministic=True)

    def pick(self, episodes: Fields, count: int) -> Fields:
        """`count` of the candidates, in the order of their difficulty."""
        direction = "ASCENDING" if self.order == "easy_first" else "DESCENDING"
        ranked = tf.argsort(self.difficulty(episodes), direction=direction)
        total = tf.shape(ranked)[0]
        window = tf.maximum(tf.cast(tf.math.ceil(self.share() * tf.cast(total, tf.float32)), tf.int32), count)
        places = (tf.range(count) * window) // count  # evenly through the window
        return tf.nest.map_structure(lambda t: tf.gather(t, tf.gather(ranked, places)), episodes)

    def difficulty(self, episodes: Fields) -> tf.Tensor:
        """Support loss `(tasks,)` of each task at the learner's present weights."""
        learner, layout = self.learner, self.learner.layout
        weights = [tf.convert_to_tensor(v.value) for v in learner.model.trainable_variables]

        def loss(task: Any) -> tf.Tensor:
            episode = as_episode(task)
            inside = TaskModel(learner.model, learner.task_loss, layout, weights)
            support = inside.loss_on(episode.support_x, episode.support_y)
            return support(learner.algorithm.start(layout.select(weights), support))

        return tf.stop_gradient(tf.vectorized_map(loss, episodes))

    def share(self) -> tf.Tensor:
        """p `()` at the learner's present outer step."""
        done = tf.cast(tf.convert_to_tensor(self.learner.optimizer.iterations), tf.float32) / self.outer_steps
        return tf.minimum(self.start_share + (1.0 - self.start_share) * done, 1.0)
