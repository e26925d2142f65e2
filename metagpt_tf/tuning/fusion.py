"""Several models as one that adapts: averages of predictions, votes, stacking, and soups of initialisations."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from metagpt_tf.meta import MetaLearner
from metagpt_tf.meta.episodes import as_episode
from metagpt_tf.models import FusedGPT, FusedModel, Mixing
from metagpt_tf.registry import closest
from metagpt_tf.tuning.members import check_members, copy_of_model, joined_algorithm
from metagpt_tf.tuning.soups import check_soup, compiled_round, greedy_soup, member_losses, uniform_soup

SOUPS = ("soup", "greedy_soup")
HOW = ("weighted", "soft_vote", "hard_vote", "stacking", *SOUPS)
WEIGHTS = ("equal", "validation", "learned")
SHARPNESS = 10.0


def fuse(
    members: Sequence[Any],
    how: str = "weighted",
    weights: str | Sequence[float] = "equal",
    validation: tf.data.Dataset | None = None,
    steps: int | None = None,
    outputs: str | None = None,
    algorithm: Any = None,
    learning_rate: float = 0.05,
) -> Any:
    """Make one model of several; of learners, a learner.

    A fused model is one `keras.Model`: it adapts (its state is its members' states, one after the other; each adapts by
    itself, with the rates that it has learned), generates where its members generate, is saved to one `.keras` file,
    compressed and exported like any other. A soup is an ordinary model: take members that began with the same weights.

    Args:
        members: at least two built models, or compiled learners round them; they stay as they are.
        how: `"weighted"` average of predictions; `"soft_vote"` (equal weights); `"hard_vote"`, a vote a member;
            `"stacking"`, weights for each answer from a small network; `"soup"`, the mean of the weights;
            `"greedy_soup"`, of those members that make the mean better.
        weights: of `"weighted"`: numbers, one a member; `"equal"`; `"validation"`,
            `w_i ∝ exp(−10 (L_i / min L − 1))` of the losses L after K steps; `"learned"` by gradient descent.
        validation: finite meta-validation episodes for whatever looks at data; what is learned takes one pass.
        steps: K; `None` for the first member's inner steps.
        outputs: `"logits"`, whose probabilities are mixed, or `"values"`; `None` for the first of a `MetaGPT` or
            `MetaClassifier`, and the second of others.
        algorithm: how the fused model adapts; `None` for the members' own.
        learning_rate: of Adam, for what is learned on `validation`.

    Returns:
        A model, or a compiled `MetaLearner`.

    Raises:
        TypeError: models and learners, or algorithms that cannot be put side by side.
        ValueError: fewer than two members, other tokenizers or shapes, an unknown name, episodes that are missing.

    Example:

    >>> import keras
    >>> members = [keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]) for _ in range(2)]
    >>> keras.ops.shape(fuse(members, weights=[0.7, 0.3])(keras.ops.ones((4, 2))))
    (4, 1)

    Reference: Wortsman et al., 2022, "Model Soups"; Wolpert, 1992, "Stacked Generalization".
    """
    _check_weights(how, weights, len(members))
    models = check_members(members, how in SOUPS)
    _check_validation(members, how, weights, validation)
    if how in SOUPS:
        check_soup(members)
        return greedy_soup(members, validation, steps)[0] if how == "greedy_soup" else uniform_soup(members)
    mixing = Mixing(len(members), how, outputs or _kind(models[0]))
    fused = (FusedGPT if hasattr(models[0], "generate_ids") else FusedModel)([*map(copy_of_model, models)], mixing)
    learner = _learner(fused, members, algorithm)
    if how == "weighted":
        mixing.scores.assign(np.log(_weights(weights, members, validation, steps)))
    if how == "stacking" or (isinstance(weights, str) and weights == "learned"):
        learn_mixing(learner, validation, steps, learning_rate)
    return fused if learner is None else learner


def _kind(model: Any) -> str:
    return "logits" if hasattr(model, "generate_ids") or getattr(model, "is_classifier", False) else "values"


def _learner(fused: Any, members: Sequence[Any], algorithm: Any) -> MetaLearner | None:
    if not isinstance(members[0], MetaLearner):
        return None
    return compiled_round(fused, joined_algorithm(members) if algorithm is None else algorithm, members[0])


def _check_weights(how: str, weights: Any, count: int) -> None:
    if how not in HOW:
        raise ValueError(f"Unknown fusion {how!r}. {closest(str(how), HOW)}")
    if isinstance(weights, str):
        if weights not in WEIGHTS:
            raise ValueError(f"Unknown weights {weights!r}. {closest(weights, WEIGHTS)} A number a member also does.")
    elif len(weights) != count or not all(weight > 0 for weight in weights):
        raise ValueError(f"weights are numbers above 0, one for each of {count} members; received {list(weights)}.")
    if how != "weighted" and weights != "equal":
        raise ValueError(f"weights are for how='weighted'; {how!r} has its own. Leave them out.")


def _check_validation(members: Sequence[Any], how: str, weights: Any, validation: Any) -> None:
    needed = how in ("greedy_soup", "stacking") or (weights in ("validation", "learned") and isinstance(weights, str))
    if not needed:
        return
    what = how if how != "weighted" else f"weights={weights!r}"
    if not isinstance(members[0], MetaLearner):
        raise TypeError(f"{what} judges members after they have adapted: give learners, not models.")
    if validation is None:
        raise ValueError(f"{what} needs validation=…, finite episodes of meta-validation tasks.")
    if int(validation.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise ValueError("These validation episodes are endless: take(n) of them.")


def _weights(weights: Any, members: Sequence[Any], validation: Any, steps: int | None) -> np.ndarray:
    """Shares of the members, above 0; equal ones where they are learned later."""
    if not isinstance(weights, str):
        shares = np.asarray(weights, "float64")
    elif weights == "validation":
        losses = member_losses(members, validation, steps)
        if not np.isfinite(losses).any():
            raise ValueError("No member has a finite loss on the validation tasks. Train them again.")
        shares = np.exp(-SHARPNESS * (losses - losses.min()) / max(abs(losses.min()), 1e-6)) + 1e-6
    else:
        shares = np.ones(len(members))
    return shares / shares.sum()


def learn_mixing(learner: Any, episodes: tf.data.Dataset, steps: int | None = None, rate: float = 0.05) -> list[float]:
    """Train the mixing of a fused learner, and nothing else, on what its members answer after K steps.

    Args:
        learner: round a fused model.
        episodes: finite; one pass.
        steps: K; `None` for the learner's inner steps.
        rate: of Adam.

    Returns:
        Mean query loss of each batch before its step.
    """
    model, optimizer = learner.model, keras.optimizers.Adam(rate)
    variables = model.mixing.variables
    optimizer.build(variables)

    def task_loss(task: Any, values: list[Any]) -> tf.Tensor:
        episode = as_episode(task)
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            loop = lambda start, loss: learner.algorithm.adapt(start, loss, steps)  # noqa: E731
            inside, run = learner.in_task(episode.support_x, episode.support_y, loop)
            fast = [tf.stop_gradient(weight) for weight in run.fast]
            return inside.evaluate(fast, episode.query_x, episode.query_y)[0]

    @tf.function(autograph=False)
    def step(batch: Any) -> tf.Tensor:
        values = [tf.convert_to_tensor(v.value) for v in variables]
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = tf.reduce_mean(tf.vectorized_map(lambda task: task_loss(task, values), batch))
        optimizer.apply(tape.gradient(loss, values), variables)
        return loss

    return [float(step(as_episode(batch))) for batch in episodes]
