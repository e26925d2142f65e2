"""How much a task's loss after adaptation hangs on each head, neuron and layer.

Axes: H heads, F hidden neurons.
"""

import re
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.meta import MetaLearner
from metagpt_tf.meta.episodes import as_episode
from metagpt_tf.meta.task import TaskModel
from metagpt_tf.models import MetaGPT

HEADS = re.compile(r"(.*attention)/output/kernel$")
NEURONS = re.compile(r"(.*feed_forward)/down/kernel$")
LAYER = re.compile(r"(.*layer_\d+)/")


def importance(learner: MetaLearner, episodes: tf.data.Dataset) -> dict[str, np.ndarray]:
    """First-order Taylor scores of the parts of a `MetaGPT`, on the query loss after adaptation.

    A part is scaled by a gate g that is 1 and would be 0 if the part were removed, so that the loss changes by about
    `ΔL ≈ −∂L/∂g`; as the gate acts on what the part's last matrix W reads, `∂L/∂g = Σ w ∂L/∂w` over its rows. The score
    is `mean over tasks of |Σ w ∂L_query/∂w|` at the adapted weights.

    Args:
        learner: compiled, round a `MetaGPT`.
        episodes: finite; of training or validation tasks, not of those that are reported on.

    Returns:
        Path of each attention to scores `(H,)`, of each feed-forward network to scores `(F,)`, and of each layer (its
        networks' gates together) to a score `()`.

    Raises:
        TypeError: the learner's model is no `MetaGPT`.
        ValueError: no episodes.

    Reference: Michel, Levy & Neubig, 2019, "Are Sixteen Heads Really Better than One?"; Molchanov et al., 2019,
    "Importance Estimation for Neural Network Pruning".
    """
    if not isinstance(learner.model, MetaGPT):
        raise TypeError(f"importance scores the parts of a MetaGPT, received a {type(learner.model).__name__}.")
    paths = [v.path for v in learner.model.trainable_variables]
    places = [i for i, path in enumerate(paths) if HEADS.match(path) or NEURONS.match(path)]
    measure = _row_scores(learner, places)
    batches = [[np.asarray(rows) for rows in measure(as_episode(batch))] for batch in episodes]
    if not batches:
        raise ValueError("importance needs at least one meta-batch of episodes, received none.")
    rows = {
        paths[place]: np.concatenate(parts) for place, parts in zip(places, zip(*batches, strict=True), strict=True)
    }
    return _by_part(rows, learner.model.num_heads)


def _row_scores(learner: MetaLearner, places: list[int]) -> Any:
    """A graph function: a meta-batch of episodes to `Σ_columns w ∂L/∂w` `(M, rows)` of each matrix."""

    def of_task(task: Any) -> list[tf.Tensor]:
        episode, layout = as_episode(task), learner.layout
        model, run = learner.in_task(episode.support_x, episode.support_y, learner.algorithm.adapt)
        adapted = [tf.convert_to_tensor(w) for w in layout.merge(model.trainable, run.fast)]
        with tf.GradientTape() as tape:
            watched = [adapted[place] for place in places]
            tape.watch(watched)
            changed = TaskModel(learner.model, learner.task_loss, layout, adapted)
            loss = changed.evaluate(layout.select(adapted), episode.query_x, episode.query_y)[0]
        return [tf.reduce_sum(w * g, axis=1) for w, g in zip(watched, tape.gradient(loss, watched), strict=True)]

    return tf.function(lambda episodes: tf.vectorized_map(of_task, episodes), autograph=False)


def _by_part(rows: dict[str, np.ndarray], num_heads: int) -> dict[str, np.ndarray]:
    scores: dict[str, Any] = {}
    layers: dict[str, np.ndarray] = {}
    for path, values in rows.items():
        heads, neurons = HEADS.match(path), NEURONS.match(path)
        if heads:
            grouped = values.reshape(len(values), num_heads, -1).sum(axis=2)
            scores[heads.group(1)] = np.abs(grouped).mean(axis=0)
        elif neurons:
            scores[neurons.group(1)] = np.abs(values).mean(axis=0)
        layer = LAYER.match(path)
        if layer:
            layers[layer.group(1)] = layers.get(layer.group(1), 0.0) + values.sum(axis=1)
    return {**scores, **{name: np.abs(total).mean() for name, total in layers.items()}}
