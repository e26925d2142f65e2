"""Hyper-parameters chosen by what matters: the loss of meta-validation tasks after K steps of adaptation."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metagpt_tf.compression.recipes import fingerprint
from metagpt_tf.files import written_aside
from metagpt_tf.meta import MetaLearner
from metagpt_tf.registry import closest
from metagpt_tf.saving import load_model
from metagpt_tf.tasks import TaskDistribution
from metagpt_tf.tuning.building import EPISODES, KNOWN, Base
from metagpt_tf.tuning.hparams import write_hparams
from metagpt_tf.tuning.space import Space
from metagpt_tf.tuning.trials import Plan, Progress, Trials

METHODS = ("random", "grid", "bayesian", "hyperband")
LOGGED = ("loss", "pre_loss", "support_loss")


@dataclass(frozen=True)
class SearchResult:
    """All trials of a search.

    Attributes:
        trials: by key, each with its values, scores, status and cost.
        metric: what was minimised.
        folder: where the learners are.
        rungs: of a whole training.

    Example:

    >>> import keras, tempfile
    >>> from metagpt_tf.tasks import Sinusoid
    >>> learner = MetaLearner(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), "maml")
    >>> learner.compile("sgd", "mse")
    >>> space = {"inner_learning_rate": [0.01, 0.1]}
    >>> sizes = {"steps": 2, "rungs": 1, "validation_batches": 1}
    >>> found = search(learner, space, Sinusoid(), tempfile.mkdtemp(), "grid", **sizes)
    >>> sorted(row["values"]["inner_learning_rate"] for row in found.rows)
    [0.01, 0.1]
    """

    trials: dict[str, Progress]
    metric: str
    folder: Path
    rungs: int

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row a trial, the best first: key, values, score, status, gradient evaluations, seconds."""
        ranked = sorted(self.trials.items(), key=lambda item: (-len(item[1].scores), item[1].score))
        ranked.sort(key=lambda item: item[1].score)
        return [{"trial": key, **asdict(trial), "score": trial.score} for key, trial in ranked]

    @property
    def best(self) -> str:
        """Key of the trial with the lowest score among those that were trained to the end.

        Raises:
            ValueError: none was.
        """
        done = {key: t for key, t in self.trials.items() if t.status == "completed"}
        if not done:
            statuses = ", ".join(sorted({t.status for t in self.trials.values()})) or "none"
            raise ValueError(
                f"No trial was trained to its end ({len(self.trials)} trials: {statuses}). Narrow the space, or lower "
                "its rates."
            )
        return min(done, key=lambda key: done[key].score)

    @property
    def values(self) -> dict[str, Any]:
        """What the best trial was given."""
        return self.trials[self.best].values

    @property
    def gradient_evaluations(self) -> float:
        """What the whole search cost."""
        return sum(trial.gradient_evaluations for trial in self.trials.values())

    def learner(self, key: str | None = None) -> MetaLearner:
        """The trained learner of a trial; `None` for the best."""
        key = self.best if key is None else key
        learner: Any = load_model(self.folder / key / f"learner_{len(self.trials[key].scores)}.keras")
        return learner

    def front(self) -> list[str]:
        """Keys of the trials that no other beats in both score and gradient evaluations, the cheapest first."""
        costs = {key: (t.gradient_evaluations, t.score) for key, t in self.trials.items() if t.status != "diverged"}
        beaten = lambda p: any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in costs.values())  # noqa: E731
        return sorted((key for key, p in costs.items() if not beaten(p)), key=lambda key: costs[key])

    def __str__(self) -> str:
        lines = [f"{'trial':10}{self.metric:>10}{'rungs':>7}{'gradients':>11}{'seconds':>9}  {'status':10} values"]
        for row in self.rows:
            values = ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in row["values"].items())
            numbers = f"{row['score']:10.4f}{len(row['scores']):7}{row['gradient_evaluations']:11.0f}"
            lines.append(f"{row['trial']:10}{numbers}{row['seconds']:9.1f}  {row['status']:10} {values}")
        return "\n".join(lines)


def search(
    base: MetaLearner | str | Callable[[Mapping[str, Any]], MetaLearner],
    space: Space | Mapping[str, Any],
    tasks: TaskDistribution,
    folder: str | os.PathLike,
    method: str = "random",
    trials: int = 10,
    metric: str = "loss",
    measured: Callable[[str, Progress], None] = lambda key, progress: None,
    options: Mapping[str, Any] | None = None,
    **plan: Any,
) -> SearchResult:
    """Choose hyper-parameters by the loss of meta-validation tasks after K steps.

    Each trial trains a learner in a few rungs and is judged after each. Trials are kept in `folder`: a search that was
    killed goes on there, loses the rung it was in at most, and ends as it would have ended. Hopeless trials are
    stopped (`patience=None` for never).

    With KerasTuner's environment variables the same script is the chief or a worker, see `docs/tuning.md`.

    Args:
        base: what trials begin with: a compiled learner, whose weights they go on from; a preset or a size by name; or
            a function of the chosen values that returns a compiled learner.
        space: what may be chosen; unless `base` is a function, of the names in `tuning.building.KNOWN`.
        tasks: with the splits `meta_train` and `meta_validation`.
        folder: where trials are kept, with logs for TensorBoard's HParams page in `logs/`.
        method: `"random"`, `"grid"`, `"bayesian"` (needs scikit-learn) or `"hyperband"` (decides itself how many
            trials).
        trials: at most so many.
        metric: what is minimised: `"loss"` (after K steps), `"pre_loss"`, or a compiled metric of which less is better.
        measured: told of each rung: the trial's key, and its progress.
        options: values that hold unless a trial chooses others.
        **plan: as in `Plan`: `steps`, `rungs`, `judged_steps` (K), `meta_batch_size`, `k_shot`, `n_query`,
            `validation_batches`, `plain_steps`, `patience`, `seed`.

    Returns:
        All trials; `print` it, or read `rows`, `values`, `front()` and `learner()`.

    Raises:
        ImportError: KerasTuner is missing.
        TypeError, ValueError: before anything is trained: an empty space, an unknown name (the closest is suggested), a
            metric that the learner does not log, a folder that holds another search.

    Reference: Li et al., 2018, "Hyperband"; Snoek et al., 2012, "Practical Bayesian Optimization".
    """
    space, folder = Space.from_any(space), Path(folder)
    _check_method(method, trials)
    made = _plan(base, space, tasks, metric, options or {}, plan)
    _check_metric(made, space)
    tuner = _kerastuner()
    _check_folder(folder, space, made, method, {"base": _name_of(base), "options": dict(options or {})})
    running = Trials(made, folder / "trials", _told(folder / "logs", metric, measured))
    tuner.run_trials(method, space, running, trials, folder / "kerastuner")
    return SearchResult(running.all(), metric, running.folder, made.rungs)


def _told(logs: Path, metric: str, measured: Callable[[str, Progress], None]) -> Callable[[str, Progress], None]:
    """Who is told of each rung: TensorBoard's page, then the caller."""

    def told(key: str, progress: Progress) -> None:
        write_hparams(logs, key, metric, progress)
        measured(key, progress)

    return told


def _check_method(method: str, trials: int) -> None:
    if method not in METHODS:
        raise ValueError(f"Unknown method {method!r}. {closest(str(method), METHODS)}")
    if trials < 1:
        raise ValueError(f"A search has at least one trial, received trials={trials}.")


def _kerastuner() -> Any:
    try:
        from metagpt_tf.tuning import _kerastuner as tuner
    except ImportError as error:
        raise ImportError(f"A search needs the extra 'tuning': pip install metagpt_tf[tuning] ({error})") from error
    return tuner


def _plan(base: Any, space: Space, tasks: Any, metric: str, options: Mapping[str, Any], plan: dict[str, Any]) -> Plan:
    for name in plan:
        if name not in Plan.__dataclass_fields__:
            raise ValueError(f"Unknown option {name!r} of search. {closest(name, Plan.__dataclass_fields__)}")
    if not isinstance(tasks, TaskDistribution):
        raise TypeError(
            f"search draws episodes from a TaskDistribution with the splits meta_train and meta_validation; received "
            f"{type(tasks).__name__}."
        )
    if callable(base) and not isinstance(base, MetaLearner):
        own = base
        return Plan(lambda values, steps: own({**options, **values}), tasks, metric, **plan)
    for name in options:
        if name not in KNOWN or name in EPISODES:
            where = f"Give {name}=… to search itself." if name in EPISODES else closest(name, KNOWN)
            raise ValueError(f"options knows no {name!r}. {where}")
    start = Base.of(base, getattr(tasks, "tokenizer", None), **_lengths(tasks))
    start = Base(start.learner, start.trained, options)
    start.check(space)
    return Plan(start, tasks, metric, **plan)


def _lengths(tasks: Any) -> dict[str, int]:
    """Lengths of texts, for a model that is made of a size."""
    names = ("source_length", "target_length")
    return {name: getattr(tasks, name) for name in names if hasattr(tasks, name)}


def _check_metric(plan: Plan, space: Space) -> None:
    """Build one learner and see that episodes can be drawn and that the metric is among what it logs."""
    for name, low in (("steps", 0), ("rungs", 1), ("judged_steps", 0), ("validation_batches", 1), ("plain_steps", 0)):
        if getattr(plan, name) < low:
            raise ValueError(f"{name} must be at least {low}, received {getattr(plan, name)}.")
    learner = plan.build(space.first(), plan.steps)
    if not isinstance(learner, MetaLearner) or not learner.compiled:
        raise TypeError(f"The builder must return a compiled MetaLearner, it returned {type(learner).__name__}.")
    given = [m if isinstance(m, str) else m.name for m in learner._given_metrics or []]
    known = [*LOGGED, *given, *(f"pre_{name}" for name in given)]
    if plan.metric not in known:
        raise ValueError(f"This learner logs no metric {plan.metric!r}. {closest(plan.metric, known)}")
    if "accuracy" in plan.metric:
        raise ValueError(f"A search minimises, and more of {plan.metric!r} is better. Take 'loss'.")
    plan.validation()
    for name in EPISODES:
        for value in space.ends(name):
            plan.episodes({name: value}, 0, 1)


def _name_of(base: Any) -> Any:
    """What tells one search's beginning from another's: a learner's weights, a name, a function's name."""
    if isinstance(base, MetaLearner):
        return fingerprint(base)
    return base if isinstance(base, str) else getattr(base, "__qualname__", type(base).__name__)


def _check_folder(folder: Path, space: Space, plan: Plan, method: str, begun: dict[str, Any]) -> None:
    """One search a folder: another learner, space, plan or other tasks there would mix what cannot be compared."""
    names = [name for name in Plan.__dataclass_fields__ if name not in ("build", "tasks")]
    about = {**begun, "method": method, "space": space.axes, **{name: getattr(plan, name) for name in names}}
    about["tasks"] = plan.data_checksum()
    note, text = folder / "search.json", json.dumps(about)
    if note.exists() and json.loads(note.read_text()) != json.loads(text):
        raise ValueError(
            f"{folder} holds another search: {note.read_text()[:300]}. Choose another folder, or the same settings."
        )
    with written_aside(note) as aside:
        aside.write_text(text)
