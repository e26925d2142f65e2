"""The best smaller model inside an elastic one, found by evolution under a budget that is measured, not guessed."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.compression.recipes import fingerprint
from metagpt_tf.compression.recovery import recover
from metagpt_tf.files import written_aside
from metagpt_tf.meta import AdaptationCurve, MetaLearner
from metagpt_tf.models import ElasticGPT
from metagpt_tf.models.elastic import Sizes
from metagpt_tf.saving import load_model
from metagpt_tf.tuning.costs import Costs, FileBudget, cost_of, plain
from metagpt_tf.tuning.elastic import ElasticLearner, elastic, part_of

NOTE = "about.txt"  # whose folder it is


@dataclass(frozen=True)
class Found:
    """What `find_architecture` found.

    Attributes:
        sizes: of the part.
        learner: the part as an ordinary learner round a `MetaGPT`.
        loss: of meta-validation tasks after K steps.
        cost: of its LiteRT file on this machine.
        losses: of every part that was judged.
    """

    sizes: Sizes
    learner: MetaLearner
    loss: float
    cost: dict[str, float]
    losses: dict[Sizes, float]

    def __str__(self) -> str:
        ranked = sorted(self.losses.items(), key=lambda item: item[1])
        lines = [f"{'layers':>8}{'heads':>8}{'neurons':>9}{'loss':>10}"]
        lines += [f"{s[0]:8}{s[1]:8}{s[2]:9}{loss:10.4f}{'  chosen' * (s == self.sizes)}" for s, loss in ranked]
        return "\n".join([*lines, f"cost of the chosen one: {plain(self.cost)}"])


def find_architecture(
    learner: MetaLearner,
    episodes: tf.data.Dataset,
    validation: tf.data.Dataset,
    budget: FileBudget | Mapping[str, float],
    folder: str | os.PathLike,
    choices: Mapping[str, Sequence[int]] | None = None,
    steps: int = 40,
    plain_steps: int = 200,
    judged_steps: int | None = None,
    k_shot: int = 8,
    population: int = 8,
    generations: int = 4,
    seed: int = 0,
    verbose: Any = 0,
) -> Found:
    """Make a learner's model elastic, train it once, and take out the best part that keeps a budget.

    Args:
        learner: compiled, round a `MetaGPT`; it stays as it is.
        episodes: training tasks.
        validation: finite, of meta-validation tasks; parts are chosen by their loss after K steps here.
        budget: e.g. `{"latency_ms": 20, "size_mb": 2}`, see `FileBudget`; measured with LiteRT on this machine.
        folder: where costs and the elastic learner are kept; what is there is not done again.
        choices: what each size may be, see `ElasticGPT`.
        steps: meta-training steps, each of four parts.
        plain_steps: of plain training before them, each of four parts; a tenth of the cost.
        judged_steps: K; `None` for the learner's inner steps.
        k_shot: examples of the file that is measured.
        population, generations: of the evolution.
        seed: of the evolution.
        verbose: as in `fit`.

    Returns:
        The part, its learner, its loss and its cost.

    Raises:
        TypeError: the learner's model is no `MetaGPT`.
        ValueError: before anything is trained: an unknown budget or size, or a budget that not even the smallest part
            keeps, with what that one needs; or a folder that was made for another learner.
    """
    limits, folder = FileBudget.of(budget), Path(folder)
    about = f"{fingerprint(learner)} {sorted((choices or {}).items())} K={k_shot}"
    _check_folder(folder, about)
    made = elastic(learner, episodes, choices)
    model: Any = made.model
    costs = Costs(lambda sizes: cost_of(part_of(made, sizes), k_shot), limits, folder / "costs.json")
    costs.check_smallest(model.smallest)
    with written_aside(folder / NOTE) as aside:  # what was refused until here leaves the folder free
        aside.write_text(about)
    trained = trained_elastic(made, episodes, folder, steps, plain_steps, verbose)
    judge = Judge(trained, validation, judged_steps)
    best = evolve(model, judge, costs, population, generations, seed)
    return Found(best, part_of(trained, best), judge(best), costs.of(best), judge.losses)


def trained_elastic(
    made: ElasticLearner,
    episodes: tf.data.Dataset,
    folder: Path,
    steps: int,
    plain_steps: int,
    verbose: Any = 0,
) -> ElasticLearner:
    """Train an elastic learner, resumable, or read it if that was done."""
    path = folder / f"elastic_{steps}_{plain_steps}.keras"
    if not path.exists():
        if steps or plain_steps:
            recover(made, episodes, steps, (), folder / f"backup_{steps}_{plain_steps}", verbose, plain_steps)
        with written_aside(path) as aside:
            made.save(aside)
    trained: Any = load_model(path)
    return trained


class Judge:
    """The loss of each part after K steps on the same tasks; one graph serves all parts, and each is judged once.

    Args:
        learner: round an `ElasticGPT`.
        validation: finite episodes.
        steps: K; `None` for the learner's inner steps.
    """

    def __init__(self, learner: ElasticLearner, validation: tf.data.Dataset, steps: int | None = None) -> None:
        self.learner, self.validation = learner, validation.cache()
        self.curve = AdaptationCurve(learner, (learner.algorithm.inner_steps if steps is None else steps,))
        self.losses: dict[Sizes, float] = {}

    def __call__(self, sizes: Sizes) -> float:
        """Mean over tasks; infinite where it is not finite."""
        if sizes not in self.losses:
            model: Any = self.learner.model
            model.activate(**sizes._asdict())
            loss = float(self.curve(self.validation).mean())
            self.losses[sizes] = loss if np.isfinite(loss) else np.inf
            model.activate()
        return self.losses[sizes]


def evolve(
    model: ElasticGPT, judge: Any, costs: Costs, population: int = 8, generations: int = 4, seed: int = 0
) -> Sizes:
    """The best part within a budget: the better half of a population has children, by crossing and by mutation.

    Args:
        model: whose parts.
        judge: sizes to a loss.
        costs: says which keep the budget, and what the chosen one needs.
        population: how many live at a time.
        generations: how often the worse half is replaced.
        seed: of all draws.

    Returns:
        The sizes of the best part whose own measurement keeps the budget.

    Raises:
        ValueError: the smallest part does not keep the budget.

    Reference: Cai et al., 2020, "Once-for-All"; Real et al., 2019, "Regularized Evolution".
    """
    costs.check_smallest(model.smallest)
    draw = np.random.default_rng(seed)
    choices = [model.choices[name] for name in Sizes._fields]
    largest = Sizes(*(max(axis) for axis in choices))
    living = [model.smallest, *([largest] if largest != model.smallest and costs.fits(largest) else [])]
    _fill(living, population, lambda: Sizes(*(int(draw.choice(axis)) for axis in choices)), costs)
    for _ in range(generations):
        living = sorted(living, key=judge)[: max(2, population // 2)]
        parents = list(living)
        _fill(living, population, lambda parents=parents: _child(draw, parents, choices), costs)
    for sizes in living:  # the last children too
        judge(sizes)
    for sizes in sorted(set(judge.losses), key=judge):
        if costs.fits(sizes) and not costs.budget.over(costs.of(sizes)):
            return sizes
    return model.smallest


def _fill(living: list[Sizes], population: int, drawn: Any, costs: Costs) -> None:
    """Add parts that are new and keep the budget; a small space has not enough of them."""
    for _ in range(20 * population):
        if len(living) >= population:
            return
        sizes = drawn()
        if sizes not in living and costs.fits(sizes):
            living.append(sizes)


def _child(draw: np.random.Generator, parents: list[Sizes], choices: list[list[int]]) -> Sizes:
    first, second = (parents[int(draw.integers(len(parents)))] for _ in range(2))
    genes = [int(a if draw.random() < 0.5 else b) for a, b in zip(first, second, strict=True)]
    return Sizes(
        *(int(draw.choice(axis)) if draw.random() < 0.3 else g for g, axis in zip(genes, choices, strict=True))
    )


def _check_folder(folder: Path, about: str) -> None:
    note = folder / NOTE
    if note.exists() and note.read_text() != about:
        raise ValueError(f"{folder} is of another learner, other choices or another k_shot. Choose another folder.")
