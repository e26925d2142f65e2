"""Structured pruning: whole heads, neurons and layers leave, and an ordinary smaller `MetaGPT` remains."""

import math
import os
import re
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.compression.copies import compiled_like
from metagpt_tf.compression.importance import importance
from metagpt_tf.compression.recovery import recover
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import MetaGPT

INNER_COLUMNS = re.compile(r"/(query|key|value)/(kernel|bias)$|/(query|value)_adapter/low_rank_up$")
INNER_ROWS = re.compile(r"/output/kernel$")


def shrink(
    learner: MetaLearner,
    episodes: tf.data.Dataset,
    heads: float = 0.5,
    neurons: float = 0.5,
    layers: float = 1.0,
    steps: int = 0,
    optimizer: Any = None,
    scoring_batches: int = 8,
    backup: str | os.PathLike | None = None,
    verbose: Any = 0,
    plain_steps: int = 0,
) -> MetaLearner:
    """A learner round a smaller `MetaGPT` made of the parts that the loss after adaptation hangs on most.

    Args:
        learner: compiled, round a `MetaGPT`; it stays as it is.
        episodes: training tasks, on which parts are scored (`importance`) and the smaller model recovers.
        heads: share of each attention's heads that stays, at least one.
        neurons: share of each feed-forward network's neurons that stays, at least one.
        layers: share of the layers of the encoder, and of the decoder, that stays, at least one.
        steps: meta-training steps of recovery.
        optimizer: for the recovery; `None` for a fresh one like the learner's.
        scoring_batches: meta-batches to score on.
        backup: directory that makes the recovery resumable.
        verbose: as in `fit`.
        plain_steps: as in `prune`.

    Returns:
        A compiled `MetaLearner`. Rates that the algorithm learned for each tensor are taken over; other weights of the
        algorithm of another shape begin anew.

    Raises:
        TypeError: the learner's model is no `MetaGPT`.
        ValueError: a share outside of (0, 1].

    Reference: Michel, Levy & Neubig, 2019, "Are Sixteen Heads Really Better than One?".
    """
    model = learner.model
    if not isinstance(model, MetaGPT):
        raise TypeError(f"shrink takes heads and neurons out of a MetaGPT, received {type(model).__name__}.")
    check_shares(heads=heads, neurons=neurons, layers=layers)
    counts = (
        max(1, round(heads * model.num_heads)),
        max(1, round(neurons * model.hidden_dim)),
        max(1, math.ceil(layers * model.num_layers)),
    )
    parts = Parts(model, importance(learner, episodes.take(scoring_batches)), *counts)
    copied = learner_round(parts.smaller_model(), parts, learner, optimizer)
    if steps or plain_steps:
        recover(copied, episodes, steps, (), backup, verbose, plain_steps)
    return copied


def check_shares(**shares: float) -> None:
    """Refuse what is no share of heads, neurons or layers.

    Raises:
        ValueError: outside of (0, 1].
    """
    for name, share in shares.items():
        if not 0 < share <= 1:
            raise ValueError(f"{name} is the share that stays, in (0, 1], received {share!r}.")


class Parts:
    """Which heads, neurons and layers stay, and what a smaller model takes from which variable.

    Args:
        model: which is to lose some.
        scores: of `importance`; the highest stay.
        heads, neurons, layers: how many stay, of each attention, feed-forward network and stack.
        by_score: keep heads and neurons in the order of their scores, not of their places.
    """

    def __init__(
        self, model: MetaGPT, scores: dict[str, Any], heads: int, neurons: int, layers: int, by_score: bool = False
    ) -> None:
        self.model, self.scores, self.by_score = model, scores, by_score
        self.heads, self.neurons = heads, neurons
        self.width = model.head_width or model.dim // model.num_heads
        self.layers = {
            stack: best([scores[self._path(f"{stack}/layer_{i}")] for i in range(model.num_layers)], layers)
            for stack in ("encoder", "decoder")
        }

    def smaller_model(self, kind: type[MetaGPT] = MetaGPT, config: dict[str, Any] | None = None) -> MetaGPT:
        """A new model with what stays.

        Args:
            kind: its class.
            config: its other constructor arguments; `None` for the larger model's.
        """
        config = {
            **(config or self.model.get_config()),
            "num_heads": self.heads,
            "head_width": self.width,
            "hidden_dim": self.neurons,
            "num_layers": len(self.layers["encoder"]),
        }
        small = kind.from_config(config)
        old = {self.inside(v): v for v in self.model.variables}
        for variable in small.variables:
            name = self.old_name(variable)
            if name in old and tuple(variable.shape) != () and not name.endswith("seed_generator_state"):
                variable.assign(self._cut(name, old[name].numpy()))
        return small

    def old_name(self, variable: Any) -> str:
        """Where a variable of the smaller model was in the larger one."""
        name = self.inside(variable)
        found = re.match(r"(encoder|decoder)/layer_(\d+)/", name)
        if not found:
            return name
        stack, index = found.group(1), int(found.group(2))
        return f"{stack}/layer_{self.layers[stack][index]}/{name[found.end() :]}"

    def _cut(self, name: str, values: np.ndarray) -> np.ndarray:
        if "attention/" in name:
            kept = self._chosen(name.split("attention/")[0] + "attention", self.heads)
            places = (np.asarray(kept)[:, None] * self.width + np.arange(self.width)).ravel()
            if INNER_COLUMNS.search(name):
                return values[..., places]
            return values[places] if INNER_ROWS.search(name) else values
        if "feed_forward/" in name:
            kept = self._chosen(name.split("feed_forward/")[0] + "feed_forward", self.neurons)
            if "/up/" in name:
                return values[..., kept]
            return values[kept] if name.endswith("down/kernel") else values
        return values

    def _chosen(self, name: str, count: int) -> list[int]:
        scores = self.scores[self._path(name)]
        kept = best(scores, count)
        return sorted(kept, key=lambda place: -float(scores[place])) if self.by_score else kept

    def _path(self, name: str) -> str:
        return f"{self.model.name}/{name}"

    @staticmethod
    def inside(variable: Any) -> str:
        """A variable's path without the model's name."""
        return str(variable.path).split("/", 1)[-1]


def best(scores: Any, count: int) -> list[int]:
    """Places of the `count` highest scores, in their order."""
    return sorted(int(i) for i in np.argsort(-np.asarray(scores), kind="stable")[:count])


def learner_round(
    small: MetaGPT, parts: Parts, learner: MetaLearner, optimizer: Any = None, kind: type[MetaLearner] = MetaLearner
) -> MetaLearner:
    """A learner round the smaller model, compiled as the learner of the larger one, with the rates of what stays."""
    algorithm = type(learner.algorithm).from_config(learner.algorithm.get_config())
    copied = kind(small, algorithm, learner.task_parallelism, learner.rematerialize, learner.keep_zeros)
    take_rates_over(learner, copied, parts)
    return compiled_like(copied, learner, optimizer)


def take_rates_over(learner: MetaLearner, copied: MetaLearner, parts: Parts) -> None:
    """Learned rates of the tensors that stay."""
    names = [parts.inside(v) for v in learner.layout.variables]
    columns = [names.index(parts.old_name(v)) for v in copied.layout.variables]
    if len(learner.algorithm.variables) != len(copied.algorithm.variables):
        return  # a weight for each tensor, and fewer tensors: they begin anew
    for old, new in zip(learner.algorithm.variables, copied.algorithm.variables, strict=True):
        values = old.numpy()
        if values.shape and values.shape[-1] == len(names):
            values = values[..., columns]
        if values.shape == tuple(new.shape):
            new.assign(values)
