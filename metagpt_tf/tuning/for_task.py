"""How one task should be learned, found on its support set alone: which weights, how far, how many steps.

Axes: K support examples, n inner steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.fast_weights import SCOPES, State
from metagpt_tf.meta import MAML, AdaptationCurve, Algorithm, MetaLearner
from metagpt_tf.meta.episodes import as_episode, check_support
from metagpt_tf.registry import closest

DEFAULT = "default"
MULTIPLIERS = (0.3, 1.0, 3.0)


@dataclass(frozen=True)
class TaskChoice:
    """How a task is to be learned.

    Attributes:
        option: which way of adapting, `"default"` for the learner's own.
        rate_multiplier, steps: of it.
        loss: of an example that was left out, mean over the support set.
        default_loss: the same with the learner's own rates and steps.
    """

    option: str
    rate_multiplier: float
    steps: int
    loss: float
    default_loss: float


@dataclass(frozen=True)
class TaskGain:
    """Query losses of tasks, learned by default and as each task's own support set suggested.

    Attributes:
        default, chosen: `(tasks,)`.
        choices: of each task.
    """

    default: np.ndarray
    chosen: np.ndarray
    choices: list[TaskChoice]

    @property
    def gain(self) -> np.ndarray:
        """By how much each task's loss is lower `(tasks,)`."""
        return self.default - self.chosen


class TaskTuner:
    """Chooses scope, rate and steps for a task by leave-one-out on its support set; no query label is seen.

    Each of the K examples is left out once: the loss of that example after n steps on the others, for every option,
    multiplier of its rates and n. The lowest mean is taken if it is below the default's by more than one standard
    error of their difference; with a few examples the lowest of many means is mostly luck.

    Use it where a task is learned once and used long: it costs K times as many gradient evaluations as there are
    options and multipliers.

    Args:
        learner: compiled, round a built model.
        scopes: others than the learner's that are tried with plain gradient steps; `None` for all that the model has
            among norm_bias, low_rank and context.
        multipliers: factors on each option's rates.
        max_steps: most steps; each number from 0 is tried.
        options: further ways by name: an algorithm, or a learner round the same model (of Meta-SGD or ALFA, whose rates
            were meta-learned).
        cautious: keep the default unless the difference is larger than its standard error.

    Raises:
        ValueError: a learner that is not compiled, an unknown scope, no multipliers, or steps below 1.

    Example:

    >>> import keras, numpy as np
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="head")])
    >>> learner = MetaLearner(model, MAML(1, 1e-4))
    >>> learner.compile("sgd", "mse")
    >>> x = np.linspace(-1, 1, 6, dtype="float32")[:, None]
    >>> tuner = TaskTuner(learner, scopes=(), multipliers=(1.0, 1000.0), max_steps=5)
    >>> tuner.choose((x, 3 * x)).rate_multiplier
    1000.0

    Reference: Breiman et al., 1984, "Classification and Regression Trees" (one standard error).
    """

    def __init__(
        self,
        learner: MetaLearner,
        scopes: Sequence[str] | None = None,
        multipliers: Sequence[float] = MULTIPLIERS,
        max_steps: int = 6,
        options: Mapping[str, Algorithm | MetaLearner] | None = None,
        cautious: bool = True,
    ) -> None:
        if not learner.compiled:
            raise ValueError("The learner is not compiled. Call learner.compile(optimizer, loss) first.")
        if not multipliers or min(multipliers) <= 0 or max_steps < 1:
            raise ValueError(
                f"Expected multipliers above 0 and max_steps >= 1, received {multipliers} and {max_steps}."
            )
        self.learner, self.cautious = learner, cautious
        self.multipliers = tuple(dict.fromkeys((1.0, *multipliers)))
        self.steps = tuple(range(max(max_steps, learner.algorithm.inner_steps) + 1))
        self.learners = {DEFAULT: learner, **self._others(scopes, options or {})}
        # Folds have other shapes than whole tasks: a graph for each.
        self._curves = {name: AdaptationCurve(one, self.steps) for name, one in self.learners.items()}
        self._measured = {name: AdaptationCurve(one, self.steps) for name, one in self.learners.items()}

    def _others(self, scopes: Sequence[str] | None, options: Mapping[str, Any]) -> dict[str, MetaLearner]:
        learner = self.learner
        if scopes is None:
            there = [name for name in ("norm_bias", "low_rank", "context") if SCOPES[name](learner.model)]
            scopes = [name for name in there if name != learner.algorithm.scope]
        for scope in scopes:
            if scope not in SCOPES:
                raise ValueError(f"Unknown scope {scope!r}. {closest(scope, SCOPES)}")
        plain = {
            scope: MAML(learner.algorithm.inner_steps, learner.algorithm.inner_learning_rate, scope=scope)
            for scope in scopes
        }
        made: dict[str, MetaLearner] = {}
        for name, option in {**plain, **options}.items():
            if isinstance(option, MetaLearner) and option.model is not learner.model:
                raise ValueError(f"Option {name!r} is a learner round another model. Wrap the same one.")
            made[name] = option if isinstance(option, MetaLearner) else self._round(option)
        return made

    def _round(self, algorithm: Algorithm) -> MetaLearner:
        kept = (self.learner.task_parallelism, self.learner.rematerialize, self.learner.keep_zeros)
        made = MetaLearner(self.learner.model, algorithm, *kept)
        made.compile("sgd", self.learner._given_loss, metrics=[])
        return made

    def choose(self, support: tuple[Any, Any]) -> TaskChoice:
        """How to learn a task.

        Args:
            support: `(x, y)` with leading axis K, two examples at least.

        Raises:
            ValueError: fewer than two examples.
        """
        x, y = check_support(support)
        folds = _left_out(x, y)
        found = {
            (name, multiplier): curve(folds, multiplier)
            for name, curve in self._curves.items()
            for multiplier in self.multipliers
        }
        own = found[DEFAULT, 1.0][:, self.learner.algorithm.inner_steps]
        means = {
            (*key, n): losses[:, n].mean() if np.isfinite(losses[:, n]).all() else np.inf
            for key, losses in found.items()
            for n in self.steps
        }
        best = min(means, key=lambda key: float(means[key]))
        if self.cautious and np.isfinite(own).all():  # where its own way diverges there is nothing to be cautious for
            difference = own - found[best[:2]][:, best[2]]
            if not difference.mean() > difference.std(ddof=1) / np.sqrt(len(difference)):
                best = (DEFAULT, 1.0, self.learner.algorithm.inner_steps)
        return TaskChoice(*best, float(means[best]), float(own.mean()))

    def adapt(self, support: tuple[Any, Any], choice: TaskChoice | None = None) -> State:
        """Learn a task as it should be learned; the state says which scope it is of.

        Args:
            support: as in `choose`.
            choice: how; `None` to choose first.
        """
        choice = self.choose(support) if choice is None else choice
        return self.learners[choice.option].adapt(support, choice.steps, choice.rate_multiplier)

    def measure(self, episodes: tf.data.Dataset) -> TaskGain:
        """What choosing gains on the query sets of tasks, against the learner's own rates and steps.

        Args:
            episodes: finite; of held-out tasks.
        """
        default, chosen, choices = [], [], []
        for batch in episodes:
            for task in zip(*map(_rows, as_episode(batch)), strict=True):
                episode = as_episode(task)
                choice = self.choose((episode.support_x, episode.support_y))
                one = tf.data.Dataset.from_tensors(tf.nest.map_structure(lambda t: np.asarray(t)[None], tuple(episode)))
                default.append(self._measured[DEFAULT](one)[0, self.learner.algorithm.inner_steps])
                chosen.append(self._measured[choice.option](one, choice.rate_multiplier)[0, choice.steps])
                choices.append(choice)
        if not choices:
            raise ValueError("The dataset of episodes is empty: give at least one meta-batch.")
        return TaskGain(np.array(default), np.array(chosen), choices)

    def evaluations(self, k_shot: int) -> float:
        """Gradient evaluations of choosing for a task of K examples; one is the gradient of the loss on K of them."""
        tried = len(self._curves) * len(self.multipliers)
        return tried * self.steps[-1] * k_shot * (k_shot - 1) / k_shot


def _rows(part: Any) -> list[Any]:
    """A nested part of an episode as a list of its tasks."""
    flat = [np.asarray(t) for t in tf.nest.flatten(part)]
    return [tf.nest.pack_sequence_as(part, [t[i] for t in flat]) for i in range(len(flat[0]))]


def _left_out(x: Any, y: Any) -> tf.data.Dataset:
    """K episodes: the support set without one example, and that example as the query."""
    count = len(tf.nest.flatten(x)[0])
    if count < 2:
        raise ValueError(f"Leaving one out takes at least two examples, received {count}.")
    others = np.array([[j for j in range(count) if j != i] for i in range(count)])
    kept = lambda t: np.asarray(t)[others]  # noqa: E731
    left = lambda t: np.asarray(t)[:, None]  # noqa: E731
    parts = (tf.nest.map_structure(kept, x), tf.nest.map_structure(kept, y))
    queries = (tf.nest.map_structure(left, x), tf.nest.map_structure(left, y))
    return tf.data.Dataset.from_tensors((*parts, *queries))
