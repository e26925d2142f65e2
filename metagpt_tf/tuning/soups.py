"""Soups: one model whose weights are the average of several meta-trained initialisations."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.compression.copies import compiled_like, copy_of
from metagpt_tf.meta import AdaptationCurve, MetaLearner


def averaged(members: Sequence[Any], template: Any) -> Any:
    """Give the template the members' mean weights, learned rates included, and return it.

    Weights that are counted or drawn (of whole numbers) stay the template's.
    """
    for variable, *others in zip(template.weights, *(member.weights for member in members), strict=True):
        if np.issubdtype(np.dtype(variable.dtype), np.floating):
            variable.assign(np.mean([other.numpy() for other in others], axis=0))
    return template


def uniform_soup(members: Sequence[Any]) -> Any:
    """A copy of the first member with the mean of all members' weights."""
    first = members[0]
    copied = copy_of(first) if first.compiled else type(first).from_config(first.get_config())
    return averaged(members, copied)


def greedy_soup(
    members: Sequence[MetaLearner], validation: tf.data.Dataset, steps: int | None = None
) -> tuple[MetaLearner, list[int]]:
    """Average the members that make the average better, from the best on.

    Each is tried in the order of its own loss after K steps and stays if the soup's loss after K steps does not rise.

    Args:
        members: compiled learners of one shape.
        validation: finite, of meta-validation tasks.
        steps: K; `None` for the first member's inner steps.

    Returns:
        The soup, and the places of the members that are in it.

    Reference: Wortsman et al., 2022, "Model Soups".
    """
    scores = member_losses(members, validation, steps)
    order = [int(i) for i in np.argsort(scores, kind="stable")]
    soup = copy_of(members[order[0]])
    chosen, best = order[:1], scores[order[0]]
    curve = AdaptationCurve(soup, (_steps(members, steps),))
    for index in order[1:]:
        averaged([members[i] for i in (*chosen, index)], soup)
        score = float(curve(validation).mean())
        if score <= best:  # not a number never is
            chosen, best = [*chosen, index], score
    return averaged([members[i] for i in chosen], soup), chosen


def member_losses(members: Sequence[MetaLearner], validation: tf.data.Dataset, steps: int | None = None) -> np.ndarray:
    """The loss of each member after K steps, mean over tasks; infinite where it is not finite."""
    count = _steps(members, steps)
    if _alike(members):  # one graph for all of them
        probe = copy_of(members[0])
        curve = AdaptationCurve(probe, (count,))
        found = []
        for member in members:
            probe.set_weights(member.get_weights())
            found.append(curve(validation).mean())
    else:
        found = [AdaptationCurve(member, (count,))(validation).mean() for member in members]
    return np.where(np.isfinite(found), found, np.inf)


def _alike(members: Sequence[MetaLearner]) -> bool:
    configs = [{k: v for k, v in m.algorithm.get_config().items() if k != "name"} for m in members]
    shapes = [[tuple(w.shape) for w in member.weights] for member in members]
    kinds = {type(member.model) for member in members}
    return len(kinds) == 1 and all(c == configs[0] for c in configs) and all(s == shapes[0] for s in shapes)


def _steps(members: Sequence[MetaLearner], steps: int | None) -> int:
    return members[0].algorithm.inner_steps if steps is None else steps


def check_soup(members: Sequence[Any]) -> None:
    """Refuse learners whose learned rates have other shapes than the first's.

    Raises:
        ValueError: such rates.
    """
    shapes = [[tuple(w.shape) for w in member.weights] for member in members]
    for index, own in enumerate(shapes[1:], 1):
        if own != shapes[0]:
            raise ValueError(
                f"A soup averages the learned rates too, and those of member 0 and member {index} have other shapes. "
                "Meta-train them with one algorithm."
            )


def compiled_round(model: Any, algorithm: Any, first: MetaLearner) -> MetaLearner:
    """A learner compiled as another, round another model."""
    learner = MetaLearner(model, algorithm, first.task_parallelism, first.rematerialize, first.keep_zeros)
    return compiled_like(learner, first)
