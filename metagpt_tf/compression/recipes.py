"""A compression as data: which steps, in which order, with which options; written down, checked and resumed."""

import inspect
import json
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.compression.clustering import WeightClustering, cluster
from metagpt_tf.compression.prunable import prunable_variables
from metagpt_tf.compression.pruning import MagnitudePruning, prune
from metagpt_tf.compression.recovery import meta_steps
from metagpt_tf.compression.structured import check_shares, shrink
from metagpt_tf.export.litert import QUANTIZATIONS
from metagpt_tf.files import written_aside
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.registry import closest
from metagpt_tf.saving import load_model

TRAINED: dict[str, Callable[..., MetaLearner]] = {"shrink": shrink, "prune": prune, "cluster": cluster}
# What a later step would undo comes later: a smaller model, then zeros, then clusters, then integers.
ORDER = (*TRAINED, "quantize")

Step = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class CompressionRecipe:
    """Steps of a compression, in the order in which they keep what the one before has done.

    Attributes:
        steps: `("shrink" | "prune" | "cluster", options of that function)`, each with `steps` of training, and at the
            end `("quantize", {"quantization": name})`, see `export_litert`.

    Raises:
        ValueError: no steps, an unknown one, or an order in which one undoes another.

    Example:

    >>> recipe = CompressionRecipe.of(prune={"schedule": 0.8, "steps": 100}, quantize={"quantization": "weight_int8"})
    >>> CompressionRecipe.from_json(recipe.to_json()) == recipe
    True
    """

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple((name, dict(options)) for name, options in self.steps))
        names = [name for name, _ in self.steps]
        unknown = [name for name in names if name not in ORDER]
        if unknown or not names:
            raise ValueError(
                f"A recipe needs steps of {', '.join(ORDER)}; received "
                + (f"{unknown[0]!r}. {closest(unknown[0], ORDER)}" if unknown else "none.")
            )
        places = [ORDER.index(name) for name in names]
        if places != sorted(set(places)):
            raise ValueError(
                f"Steps {' → '.join(names)} undo each other. The order that keeps zeros and clusters is "
                f"{' → '.join(ORDER)}, each at most once."
            )

    @classmethod
    def of(cls, **steps: Mapping[str, Any]) -> "CompressionRecipe":
        """A recipe of keyword arguments, in their order."""
        return cls(tuple((name, dict(options)) for name, options in steps.items()))

    @property
    def quantization(self) -> str:
        """How a file stores the weights in the end."""
        return str(dict(self.steps).get("quantize", {}).get("quantization", "float32"))

    def to_json(self) -> str:
        """The recipe as JSON."""
        return json.dumps([[name, options] for name, options in self.steps])

    @classmethod
    def from_json(cls, text: str) -> "CompressionRecipe":
        """What `to_json` wrote.

        Raises:
            ValueError: no recipe.
        """
        try:
            steps = json.loads(text)
        except json.JSONDecodeError:
            steps = None
        if not isinstance(steps, list) or not all(
            isinstance(step, list) and list(map(type, step)) == [str, dict] for step in steps
        ):
            raise ValueError(f'Expected JSON like [["prune", {{"schedule": 0.8}}]], received {text[:80]!r}.')
        return cls(tuple((name, options) for name, options in steps))

    def check(self, learner: Any) -> None:
        """Say why this recipe cannot be applied, before anything is trained.

        Raises:
            TypeError: not a learner, or one that a step cannot take.
            ValueError: not compiled, options that a step refuses.
        """
        if not isinstance(learner, MetaLearner):
            raise TypeError(f"A recipe is applied to a MetaLearner, received {type(learner).__name__}.")
        if not learner.compiled:
            raise ValueError("The learner is not compiled. Call learner.compile(optimizer, loss) first.")
        if self.quantization not in QUANTIZATIONS:
            raise ValueError(f"Unknown quantization {self.quantization!r}. {closest(self.quantization, QUANTIZATIONS)}")
        options = dict(self.steps)
        for name, given in self.steps:
            if name in TRAINED:
                CHECKS[name](given)
                if given.get("plain_steps", 0) < 0:
                    raise ValueError(f"{name}: plain_steps is a number of steps, received {given['plain_steps']!r}.")
        if "shrink" in options and not isinstance(learner.model, MetaGPT):
            raise TypeError(
                f"'shrink' takes heads and neurons out of a MetaGPT, not of a {type(learner.model).__name__}."
            )
        for name in ("prune", "cluster"):
            if name in options:
                prunable_variables(learner.model, options[name].get("policy"))

    def apply(
        self, learner: MetaLearner, episodes: tf.data.Dataset, folder: str | os.PathLike | None = None, verbose: Any = 0
    ) -> MetaLearner:
        """Run the steps that train; `quantization` says what a file is to do besides.

        Args:
            learner: compiled; it stays as it is.
            episodes: training tasks.
            folder: where the learner is kept after each step and while it trains; an interrupted recipe goes on there.
            verbose: as in `fit`.

        Raises:
            TypeError, ValueError: see `check`; or the folder holds another recipe.
        """
        self.check(learner)
        for name, options in self.steps:
            steps, plain_steps = options.get("steps"), options.get("plain_steps", 0)
            if name == "shrink":
                steps = steps or 0
            if name in TRAINED and (name != "shrink" or steps or plain_steps):
                meta_steps(episodes, steps, plain_steps)
        log = None if folder is None else _Log(Path(folder), self, learner)
        for index, (name, options) in enumerate(self.steps):
            if name in TRAINED:
                done = log.done(index) if log else None
                backup = log.folder / f"backup_{index}" if log else None
                learner = done or TRAINED[name](learner, episodes, backup=backup, verbose=verbose, **options)
                if log and not done:
                    log.keep(index, learner)
        return learner


class _Log:
    """The learner after each step, as files."""

    def __init__(self, folder: Path, recipe: CompressionRecipe, learner: MetaLearner) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        note, text = folder / "recipe.json", json.dumps([fingerprint(learner), json.loads(recipe.to_json())])
        if note.exists() and note.read_text() != text:
            raise ValueError(
                f"{folder} holds the steps of another recipe or learner, {note.read_text()[:200]}. "
                "Choose another folder."
            )
        with written_aside(note) as aside:
            aside.write_text(text)

    def _path(self, index: int) -> Path:
        return self.folder / f"step_{index}.keras"

    def done(self, index: int) -> Any:
        """The learner after this step, if it was kept."""
        return load_model(self._path(index)) if self._path(index).exists() else None

    def keep(self, index: int, learner: MetaLearner) -> None:
        """Write the learner after this step."""
        with written_aside(self._path(index)) as aside:
            learner.save(aside)


def fingerprint(learner: MetaLearner) -> int:
    """A checksum of a learner's weights."""
    checksum = 0
    for weight in learner.get_weights():
        checksum = zlib.crc32(np.ascontiguousarray(weight).tobytes(), checksum)
    return checksum


def _check_prune(options: dict[str, Any]) -> None:
    given = _own_options(prune, options)
    MagnitudePruning(options.get("schedule", 0.8), **given)


def _check_cluster(options: dict[str, Any]) -> None:
    WeightClustering(options.get("number_of_clusters", 16), **_own_options(cluster, options))


def _check_shrink(options: dict[str, Any]) -> None:
    for name in _own_options(shrink, options):
        raise ValueError(f"Unknown option {name!r} of shrink. {closest(name, inspect.signature(shrink).parameters)}")
    check_shares(**{name: options[name] for name in ("heads", "neurons", "layers") if name in options})


def _own_options(function: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """The options that a function has no name for, and hands on."""
    return {name: value for name, value in options.items() if name not in inspect.signature(function).parameters}


CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "shrink": _check_shrink,
    "prune": _check_prune,
    "cluster": _check_cluster,
}


def standard_recipes(
    steps: int = 100, with_structure: bool = True, plain_steps: int = 0
) -> Sequence[tuple[str, CompressionRecipe]]:
    """Recipes from mild to strong, each with about so many training steps.

    Args:
        steps: meta-training steps of each step that trains.
        with_structure: whether those that take heads and neurons out of a `MetaGPT` are among them.
        plain_steps: of plain training before them, see `prune`.
    """
    plain = {"plain_steps": plain_steps} if plain_steps else {}
    prune_80 = {"schedule": 0.8, "steps": steps, **plain}
    cluster_16 = {"number_of_clusters": 16, "steps": max(steps // 2, 1)}
    half = {"heads": 0.5, "neurons": 0.5, "steps": steps, **plain}
    make = CompressionRecipe.of
    recipes = (
        ("int8", make(quantize={"quantization": "weight_int8"})),
        ("pruned_int8", make(prune=prune_80, quantize={"quantization": "weight_int8"})),
        ("half_int8", make(shrink=half, quantize={"quantization": "weight_int8"})),
        ("packed", make(prune=prune_80, cluster=cluster_16, quantize={"quantization": "weight_int8_per_tensor"})),
    )
    return tuple((name, recipe) for name, recipe in recipes if with_structure or "shrink" not in dict(recipe.steps))
