"""One trial of a search: trained rung by rung, judged after K steps, kept so that a kill loses one rung at most.

A trial is known by its values and the seed of the search. What it has done lies in a folder of its own: a second run,
another process or a later rung of Hyperband go on from there.
"""

import json
import math
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from metagpt_tf.compression.recovery import recover
from metagpt_tf.compression.report import inner_steps
from metagpt_tf.files import written_aside
from metagpt_tf.meta import MetaLearner
from metagpt_tf.saving import load_model

NOT_FINITE = "is not finite"  # what meta.outer says of a task's loss

NOTHING_KNOWN = 1e3  # of a trial that diverged before any other was measured
Build = Callable[[Mapping[str, Any], int], MetaLearner]


@dataclass
class Progress:
    """What a trial has done.

    Attributes:
        values: what it was given.
        seed: of its weights, dropout and episodes.
        scores: the metric after each rung.
        logs: everything that was measured after the last rung.
        status: `"running"`, `"completed"`, `"stopped"` (hopeless) or `"diverged"`.
        gradient_evaluations: spent; one is the gradient of the loss on K examples.
        seconds: of a clock.
        counted: what a search is told: the score, or of a trial that diverged the worst score that was known then.
    """

    values: dict[str, Any]
    seed: int
    scores: list[float] = field(default_factory=list)
    logs: dict[str, float] = field(default_factory=dict)
    status: str = "running"
    gradient_evaluations: float = 0.0
    seconds: float = 0.0
    counted: float = math.inf

    @property
    def score(self) -> float:
        """The metric after the last rung; infinite before the first."""
        return self.scores[-1] if self.scores else math.inf

    def counted_at(self, rungs: int | None) -> float:
        """What a search was told after so many rungs, however far the trial has come since; `None` for the last."""
        if rungs is not None and len(self.scores) >= rungs and math.isfinite(self.scores[rungs - 1]):
            return self.scores[rungs - 1]
        return self.counted


@dataclass(frozen=True)
class Plan:
    """How every trial of a search is trained and judged.

    Attributes:
        build: makes the learner.
        tasks: a `TaskDistribution` with the splits `meta_train` and `meta_validation`.
        metric: what is minimised, one of what `MetaLearner.evaluate` returns.
        steps: outer steps of a whole training, in `rungs` equal parts.
        rungs: after each of them a trial is judged, kept, and perhaps stopped.
        judged_steps: K, inner steps of a validation task.
        meta_batch_size, k_shot, n_query: shape of episodes unless a trial chooses another.
        validation_batches: meta-batches that a trial is judged on.
        plain_steps: of plain training before the first rung, for models that begin from nothing.
        patience: rungs after which a trial may be stopped that is worse than the median of the others there.
        seed: of the search.
    """

    build: Build
    tasks: Any
    metric: str = "loss"
    steps: int = 60
    rungs: int = 3
    judged_steps: int = 3
    meta_batch_size: int = 4
    k_shot: int = 8
    n_query: int = 8
    validation_batches: int = 4
    plain_steps: int = 0
    patience: int | None = 1
    seed: int = 0

    def episodes(self, values: Mapping[str, Any], seed: int, batches: int) -> tf.data.Dataset:
        """Training episodes in the shape of a trial."""
        size, queries = (values.get(name, getattr(self, name)) for name in ("meta_batch_size", "n_query"))
        return self.tasks.split("meta_train").as_dataset(size, self.k_shot, queries, seed=seed, num_batches=batches)

    def validation(self) -> tf.data.Dataset:
        """The episodes that every trial is judged on."""
        shape = (self.meta_batch_size, self.k_shot, self.n_query)
        split = self.tasks.split("meta_validation")
        return split.as_dataset(*shape, seed=self.seed, num_batches=self.validation_batches)

    def data_checksum(self) -> int:
        """CRC-32 of the first meta-batch that is trained on and of the first that is judged on: other tasks differ."""
        checksum = 0
        for episodes in (self.episodes({}, self.seed, 1), self.validation()):
            for part in tf.nest.flatten(next(iter(episodes))):
                checksum = zlib.crc32(np.ascontiguousarray(part).tobytes(), checksum)
        return checksum

    def evaluations(self, values: Mapping[str, Any], learner: MetaLearner, steps: int, plain_steps: int) -> float:
        """Gradient evaluations of a piece of training."""
        tasks, queries = (values.get(name, getattr(self, name)) for name in ("meta_batch_size", "n_query"))
        share = queries / self.k_shot
        return tasks * (steps * (learner.algorithm.inner_steps + share) + plain_steps * (1 + share))


class Trials:
    """The trials of a search in a folder.

    Args:
        plan: how they are trained.
        folder: where they are kept.
        measured: told of each rung that was trained: the trial's key, its progress.
    """

    def __init__(
        self, plan: Plan, folder: Path, measured: Callable[[str, Progress], None] = lambda key, progress: None
    ) -> None:
        self.plan, self.folder, self.measured = plan, folder, measured

    def key(self, values: Mapping[str, Any]) -> str:
        """The trial's name: a checksum of its values and the search's seed."""
        return f"{zlib.crc32(json.dumps([self.plan.seed, dict(sorted(values.items()))]).encode()):08x}"

    def path(self, key: str, rung: int) -> Path:
        """The learner of a trial after so many rungs; the number keeps a rung from being trained twice."""
        return self.folder / key / f"learner_{rung}.keras"

    def progress(self, values: Mapping[str, Any]) -> Progress:
        """What a trial has done so far."""
        key = self.key(values)
        kept = self.folder / key / "progress.json"
        if kept.exists():
            return Progress(**json.loads(kept.read_text()))
        return Progress(dict(values), int(key, 16) % 2**31)

    def all(self) -> dict[str, Progress]:
        """Every trial that has been measured, by key."""
        found = sorted(self.folder.glob("*/progress.json"))
        return {path.parent.name: Progress(**json.loads(path.read_text())) for path in found}

    def run(self, values: Mapping[str, Any], rungs: int | None = None, stop: bool = True) -> Progress:
        """Train a trial up to a rung; what it has done already is not done again.

        Args:
            values: which trial.
            rungs: up to which; `None` for all.
            stop: whether a hopeless trial may end early.

        Returns:
            Its progress; a trial that diverged has the score infinity.
        """
        progress, key = self.progress(values), self.key(values)
        rungs = self.plan.rungs if rungs is None else min(rungs, self.plan.rungs)
        learner: Any = None
        while len(progress.scores) < rungs and progress.status == "running":
            began = time.perf_counter()
            learner = self._learner(key, progress) if learner is None else learner
            self._one_rung(learner, progress)
            progress.seconds += time.perf_counter() - began
            if len(progress.scores) >= self.plan.rungs and progress.status == "running":
                progress.status = "completed"
            elif stop and progress.status == "running" and self._hopeless(key, progress):
                progress.status = "stopped"
            self._keep(key, learner, progress)
            self.measured(key, progress)
        return progress

    def _learner(self, key: str, progress: Progress) -> MetaLearner:
        if progress.scores:
            learner: Any = load_model(self.path(key, len(progress.scores)))
            return learner
        keras.utils.set_random_seed(progress.seed)
        return self.plan.build(progress.values, self.plan.steps)

    def _one_rung(self, learner: MetaLearner, progress: Progress) -> None:
        plan, rung = self.plan, len(progress.scores)
        steps = plan.steps * (rung + 1) // plan.rungs - plan.steps * rung // plan.rungs
        plain = plan.plain_steps if rung == 0 else 0
        seed = (progress.seed + 1000 * rung) % 2**31  # a rung's episodes are its own, whoever trains it
        try:
            if plain:
                recover(learner, plan.episodes(progress.values, seed + 500, plain), 0, plain_steps=plain)
            if steps:
                learner.fit(plan.episodes(progress.values, seed, steps), verbose=0)
            with inner_steps(learner, plan.judged_steps):
                logs = learner.evaluate(plan.validation(), return_dict=True, verbose=0)
        except tf.errors.InvalidArgumentError as error:
            if NOT_FINITE not in str(error):  # a fault, and no training that diverged
                raise
            logs = {plan.metric: math.inf}
        progress.logs = {name: float(value) for name, value in logs.items()}
        progress.gradient_evaluations += plan.evaluations(progress.values, learner, steps, plain)
        score = progress.logs[plan.metric]
        progress.scores.append(score if math.isfinite(score) else math.inf)
        if not math.isfinite(score):
            progress.status = "diverged"

    def _hopeless(self, key: str, progress: Progress) -> bool:
        """Worse than the median of the others after as many rungs, of which there must be two."""
        rung = len(progress.scores)
        if self.plan.patience is None or rung < self.plan.patience:
            return False
        others = [p.scores[rung - 1] for other, p in self.all().items() if other != key and len(p.scores) >= rung]
        return len(others) >= 2 and progress.score > float(np.median(others))

    def _keep(self, key: str, learner: MetaLearner, progress: Progress) -> None:
        """The learner first: a progress that is there has its learner."""
        rung = len(progress.scores)
        finite = [p.score for p in self.all().values() if math.isfinite(p.score)]
        progress.counted = max(finite, default=NOTHING_KNOWN) if progress.status == "diverged" else progress.score
        if progress.status != "diverged":
            with written_aside(self.path(key, rung)) as aside:
                learner.save(aside)
        with written_aside(self.folder / key / "progress.json") as aside:
            aside.write_text(json.dumps(asdict(progress)))
        self.path(key, rung - 1).unlink(missing_ok=True)
