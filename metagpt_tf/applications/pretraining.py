"""Pretraining a preset: a warm start by plain training, meta-training, and plainly trained twins to judge it by.

Axes: t held-out tasks, i inner steps.
"""

import dataclasses
import functools
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import keras
import numpy as np
import tensorflow as tf

from metagpt_tf.applications.comparison import annealed_adam
from metagpt_tf.applications.recipe import Recipe
from metagpt_tf.applications.text_metrics import bytes_per_token
from metagpt_tf.files import written_aside
from metagpt_tf.meta import MAML, AdaptationCurve, MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.saving import load_model
from metagpt_tf.tasks import ArrayTasks, Episode, TextTasks, pooled_examples
from metagpt_tf.tokenizers import Tokenizer

Report = Callable[[str], None]
MULTIPLIERS = (0.1, 0.3, 1.0, 3.0, 10.0)


def pretrain(
    recipe: Recipe,
    tasks: TextTasks,
    folder: Path,
    report: Report = lambda message: None,
    judged_on: TextTasks | None = None,
    later: TextTasks | None = None,
) -> dict[str, Any]:
    """Train a learner and its two twins from one warm start, and measure all three on every held-out task.

    The twins go on plainly: one for as many gradient evaluations, one for as much time as the meta-training took. Rate
    and number of steps of every model are chosen on validation tasks. What `folder` holds already is not trained again.

    Args:
        recipe: sizes.
        tasks: a distribution with three splits.
        folder: where trainings are kept: `learner.keras` is the result.
        report: told what begins.
        later: tasks of the meta-training and of the twins, if not those of `tasks`.
        judged_on: tasks whose validation and test splits are used, if not those of `tasks`; none is trained on.

    Returns:
        `before`, `after`, `twin_after`, `twin_time_after`: mean bits per byte (or code: the recipe's unit) of
        held-out tasks; `chosen`: multiplier
        and steps of each model; `seconds` (of the processor) and `steps` of each training.
    """
    keras.utils.set_random_seed(recipe.seed)
    new_model = functools.partial(_model, recipe, tasks.tokenizer)
    first, second, pooled = _streams(recipe, tasks, tasks if later is None else later)
    report(f"warm start, {recipe.warm_steps} + {recipe.second_warm_steps} plain steps")
    warm, pooled = _warm(recipe, first, pooled, folder, new_model)
    report(f"meta-training, {recipe.meta_steps} steps")
    fresh = functools.partial(_with_weights, new_model, list(warm.values())[-1].model.get_weights())
    learner = _meta(recipe, second, folder / "learner.keras", fresh)
    twins = {"twin": recipe.twin_steps(recipe.inner_steps)}
    trained: dict[str, Training] = {}
    for name in ("twin", "twin_time"):
        if name not in twins:  # timed by the twin: the warm start may have run in another precision
            twins[name] = max(1, round(twins["twin"] * learner.seconds / max(trained["twin"].seconds, 1e-9)))
        report(f"{name}, {twins[name]} plain steps")
        trained[name] = _plain(recipe, pooled, folder / f"{name}.keras", twins[name], recipe.twin_rate, fresh)
    report("measuring on every held-out task")
    figures = _judged(
        recipe,
        judged_on or tasks,
        learner.model,
        new_model(),
        {name: done.model.get_weights() for name, done in trained.items()},
    )
    done = {**warm, "meta": learner, **trained}
    return {
        **figures,
        "seconds": {name: round(training.seconds, 1) for name, training in done.items()},
        "steps": {"warm": recipe.warm_steps + recipe.second_warm_steps, "meta": recipe.meta_steps, **twins},
        "recipe": dataclasses.asdict(recipe),
    }


class Stream(NamedTuple):
    """Meta-batches of a distribution, from one of them on."""

    tasks: ArrayTasks
    shape: tuple[int, int, int]
    seed: int
    first: int

    def after(self, count: int) -> "Stream":
        """What is left after so many meta-batches; they are not drawn."""
        return self._replace(first=self.first + count)

    def take(self, count: int) -> tf.data.Dataset:
        """So many meta-batches of episodes."""
        return self.tasks.as_dataset(*self.shape, self.seed, count, first=self.first)


def _warm(
    recipe: Recipe, first: Stream, later: Stream, folder: Path, new_model: Callable[..., MetaGPT]
) -> tuple[dict[str, "Training"], Stream]:
    """The parts of the warm start, and what they leave of the later data."""
    fresh = functools.partial(new_model, dtype=recipe.warm_dtype)
    done = {"warm": _plain(recipe, first, folder / "warm.keras", recipe.warm_steps, recipe.plain_rate, fresh)}
    more = recipe.second_warm_steps
    if more:
        fresh = functools.partial(_with_weights, new_model, done["warm"].model.get_weights())
        done["second_warm"] = _plain(recipe, later, folder / "second_warm.keras", more, recipe.twin_rate, fresh)
    return done, later.after(more)


def _streams(recipe: Recipe, tasks: TextTasks, later: TextTasks) -> tuple[Stream, Stream, Stream]:
    """Episodes of the warm start, of the meta-training and of the twins, which go on where the warm start ends."""
    warm, others = ((size or recipe.meta_batch_size, recipe.k_shot, recipe.n_query) for size in (recipe.warm_tasks, 0))
    first = Stream(recipe.halves(tasks)[0], warm, recipe.seed, 0)
    second, pooled = (Stream(part, others, recipe.seed, recipe.warm_steps) for part in (recipe.halves(later)[1], later))
    return first, second.after(recipe.second_warm_steps), pooled


@dataclasses.dataclass
class Training:
    """A model, and the seconds of processor time it was trained: on one core, those of a clock in an idle machine."""

    model: Any
    seconds: float


def trained_in_parts(
    path: Path, fresh: Callable[[], keras.Model], part: Callable[[keras.Model, int], Any], parts: int
) -> Training:
    """Train piece by piece, keeping the model with its optimizer after each; pieces that are there are not done again.

    Args:
        path: the `.keras` file; beside it a `.json` says how many pieces it has seen.
        fresh: makes the model, compiled.
        part: trains the model on the piece of that number.
        parts: how many there are.
    """
    log = path.with_suffix(".json")
    state = json.loads(log.read_text()) if log.exists() else {"parts": 0, "seconds": 0.0}
    done, seconds = int(state["parts"]), float(state["seconds"])
    model = load_model(path) if done else fresh()
    for index in range(done, parts):
        clock = time.process_time()
        part(model, index)
        seconds += time.process_time() - clock
        with written_aside(path) as aside:
            model.save(aside)
        with written_aside(log) as aside:
            aside.write_text(json.dumps({"parts": index + 1, "seconds": seconds}))
    return Training(model, seconds)


def _plain(
    recipe: Recipe,
    episodes: Stream,
    path: Path,
    steps: int,
    rate: float,
    new_model: Callable[[], MetaGPT],
) -> Training:
    each = math.ceil(steps / recipe.parts)

    def fresh() -> keras.Model:
        model = new_model()
        model.compile(annealed_adam(rate, steps), metrics=[])
        return model

    def part(model: keras.Model, index: int) -> None:
        now = episodes.after(index * each).take(min(each, steps - index * each))
        model.fit(pooled_examples(now), verbose=0)

    return trained_in_parts(path, fresh, part, math.ceil(steps / each))


def _meta(recipe: Recipe, episodes: Stream, path: Path, new_model: Callable[[], MetaGPT]) -> Training:
    each = math.ceil(recipe.meta_steps / recipe.parts)

    def fresh() -> MetaLearner:
        learner = MetaLearner(new_model(), recipe.algorithm())
        learner.compile(annealed_adam(recipe.meta_rate, recipe.meta_steps), metrics=[])
        return learner

    def part(learner: keras.Model, index: int) -> None:
        learner.fit(episodes.after(index * each).take(min(each, recipe.meta_steps - index * each)), verbose=0)

    return trained_in_parts(path, fresh, part, math.ceil(recipe.meta_steps / each))


def _model(recipe: Recipe, tokenizer: Any, dtype: str = "float32") -> MetaGPT:
    lengths = {"source_length": recipe.source_length, "target_length": recipe.target_length}
    return MetaGPT.from_preset(recipe.size, tokenizer=tokenizer, **lengths, dtype=dtype, **recipe.options)


def _with_weights(new_model: Callable[[], MetaGPT], weights: Sequence[np.ndarray]) -> MetaGPT:
    model = new_model()
    model.set_weights(weights)
    return model


def _judged(
    recipe: Recipe, tasks: TextTasks, learner: MetaLearner, model: MetaGPT, twins: dict[str, list[np.ndarray]]
) -> dict[str, Any]:
    """Held-out bits of the learner and of each twin, adapted in the same scope with rates of its own.

    `model` is where the twins' weights are put.
    """
    before, after, chosen = tuned(recipe, tasks, learner)
    figures: dict[str, Any] = {"before": before, "after": after, "chosen": {"meta": chosen}}
    plain = MetaLearner(model, MAML(recipe.inner_steps, recipe.inner_learning_rate, scope=recipe.scope))
    plain.compile(metrics=[])
    for name, weights in twins.items():
        plain.model.set_weights(weights)
        first, last, chosen = tuned(recipe, tasks, plain)
        figures.update({f"{name}_before": first, f"{name}_after": last})
        figures["chosen"][name] = chosen
    return figures


def in_bits(learner: MetaLearner, episodes: tf.data.Dataset, losses: np.ndarray, unit: str = "byte") -> np.ndarray:
    """Losses `(t, i)` in nats per token of each task's queries, as bits per byte or code of what that task writes.

    All bits are counted, those of the end mark too; the mark itself is a byte, but no code.
    """
    tokenizer = cast(MetaGPT, learner.model).tokenizer
    tasks = (np.asarray(task) for episode in episodes for task in Episode(*episode).query_y)
    sizes = np.array([UNITS[unit](tokenizer, task) for task in tasks])
    return losses / (math.log(2.0) * sizes[:, None])


def _codes_per_token(tokenizer: Tokenizer, ids: np.ndarray) -> float:
    tokens = (ids != tokenizer.pad_id).sum()
    return float((tokens - (ids == tokenizer.eos_id).sum()) / tokens)


UNITS: dict[str, Callable[[Tokenizer, np.ndarray], float]] = {"byte": bytes_per_token, "code": _codes_per_token}


def tuned(recipe: Recipe, tasks: TextTasks, learner: MetaLearner) -> tuple[float, float, dict[str, Any]]:
    """Mean bits on held-out tasks before and after adapting, with the rate and steps best in validation."""
    curve = AdaptationCurve(learner, tuple(range(recipe.judged_steps + 1)))
    validation = recipe.judged(tasks.split("meta_validation"))
    validation = validation.shuffle(1000, seed=0, reshuffle_each_iteration=False).take(recipe.validation_batches)
    found = {multiplier: curve(validation, multiplier).mean(axis=0) for multiplier in MULTIPLIERS}
    finite = {m: np.where(np.isfinite(losses), losses, np.inf) for m, losses in found.items()}
    best = min(finite, key=lambda m: float(finite[m].min()))
    steps = int(finite[best].argmin())
    held_out = recipe.judged(tasks.split("meta_test"))
    losses = in_bits(learner, held_out, curve(held_out, best), recipe.unit).mean(axis=0)
    return float(losses[0]), float(losses[steps]), {"rate_multiplier": best, "steps": steps}
