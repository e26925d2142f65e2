"""What tuning, fusion, an elastic model and choosing for each task are worth to a trained preset, and what they cost.

Every variant begins with the preset and is measured on the same held-out episodes, in bits per byte (of images, per
code) after K steps. The hyper-parameters of going on (`tuned`) are chosen on validation tasks; `continued` goes on with
the preset's own for as many steps. Fused variants are made of the three seeds of `tuned`. Parts of the elastic model
are compared with the same parts of the untrained one, each trained alone, all of them together at the cost of the one
elastic training.

`gradient_evaluations` are those that training a variant cost beyond the preset, of whatever order; one is the gradient
of the loss on K examples. The losses between inner steps, and validation, are not counted. An interval is over seeds
where `over` says so, else over held-out episodes; `minus_default` is of the differences, episode by episode. Everything
is kept in `--folder`: what is there is not done again.
"""

import argparse
import functools
import json
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from machine import describe, sentence

from metagpt_tf.applications.intervals import interval_95
from metagpt_tf.applications.pretrained import tasks_of
from metagpt_tf.applications.pretraining import in_bits
from metagpt_tf.applications.recipe import Recipe
from metagpt_tf.applications.tuning import tune_model
from metagpt_tf.compression.copies import copy_of
from metagpt_tf.compression.recovery import recover
from metagpt_tf.files import written_aside
from metagpt_tf.meta import AdaptationCurve, MetaLearner
from metagpt_tf.models.elastic import Sizes
from metagpt_tf.presets import Preset, find_preset
from metagpt_tf.saving import load_learner, load_model
from metagpt_tf.tasks import TaskDistribution
from metagpt_tf.tuning import fuse
from metagpt_tf.tuning.building import Base
from metagpt_tf.tuning.elastic import elastic, part_of
from metagpt_tf.tuning.for_task import TaskTuner

HERE = Path(__file__).parent
SEEDS = (0, 1, 2)
SPACE = {
    "learning_rate": {"low": 1e-5, "high": 1e-3, "log": True},  # a trained preset's rate had fallen to nothing
    "optimizer": ["adam", "adamw", "rmsprop"],
    "schedule": ["cosine", "exponential", "warmup"],
    "rate_multiplier": {"low": 0.5, "high": 2.0, "log": True},
}
CONTINUED = {"learning_rate": 1e-3, "optimizer": "adam", "schedule": "cosine"}  # as the preset was meta-trained
FACTORS = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)  # on the inner rates
PARTS = ((0.5, 0.5, 0.25), (1.0, 0.5, 0.5))  # shares of layers, heads and neurons
FUSIONS: dict[str, dict[str, Any]] = {
    "soup": {"how": "soup"},
    "greedy_soup": {"how": "greedy_soup"},
    "weighted": {"weights": "validation"},
    "stacking": {"how": "stacking"},
}
SETTINGS = ("trials", "steps", "plain_steps", "elastic_steps", "batches", "validation", "passes", "tasks")
GROUPS = ("default", "inner_rate", "tuned", "fused", "task_specific", "elastic")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--presets", nargs="+", default=["code_nano", "text_nano", "image_nano"], help="any with a card")
    add("--groups", nargs="+", choices=GROUPS, default=list(GROUPS))
    add("--trials", type=int, default=4, help="of the search")
    add("--steps", type=int, default=6, help="meta-training steps of a trial, and of each seed")
    add("--plain-steps", type=int, default=100, help="of the elastic model, each of four parts")
    add("--elastic-steps", type=int, default=0, help="meta-training steps of the elastic model, each of four parts")
    add("--batches", type=int, default=8, help="of 4 held-out episodes, to measure on")
    add("--validation", type=int, default=4, help="of 4 validation episodes, to choose on")
    add("--passes", type=int, default=4, help="over the validation episodes, to learn stacking")
    add("--tasks", type=int, default=8, help="held-out episodes of the task-specific variant, one by one")
    add("--fusions", nargs="+", choices=FUSIONS, default=list(FUSIONS))
    add("--folder", type=Path, default=Path("tuning"))
    add("--json", type=Path, default=HERE / "results" / "tuning.json")
    return parser.parse_args()


class Bench:
    """One preset: its tasks, the learners made of it, and the rows measured."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.name, self.options = name, options
        self.preset = Preset(find_preset(name))
        self.settings = {key: getattr(options, key) for key in SETTINGS}
        hashes = {part: value for part, value in self.preset.hashes.items() if part != "card.json"}
        whose = json.dumps([self.settings, hashes], sort_keys=True)  # other weights begin anew
        self.folder = options.folder / f"{name}_{zlib.crc32(whose.encode()):08x}"
        card = self.preset.card
        self.recipe, self.steps = Recipe(**card["recipe"]), card["steps"]
        self.original = load_learner(name)
        self.original.algorithm.first_order_steps = 0  # they are over, and would be a second graph in each training
        self.original.compile(metrics=[])
        self.curves: dict[Any, tuple[MetaLearner, AdaptationCurve]] = {}
        self.shape = (self.recipe.meta_batch_size, self.recipe.k_shot, self.recipe.n_query)
        tokenizer = self.original.model.tokenizer
        self.training = tasks_of(card["origin"], self.recipe, "meta_training", tokenizer)
        self.judged = tasks_of(card["origin"], self.recipe, tokenizer=tokenizer)
        every = self.recipe.judged(self.judged.split("meta_test")).unbatch()
        every = every.shuffle(1000, seed=0, reshuffle_each_iteration=False).batch(self.shape[0], drop_remainder=True)
        self.held_out = every.take(options.batches).cache()
        self.validation = self.judged.split("meta_validation").as_dataset(
            *self.shape, seed=7, num_batches=options.validation
        )

    # ---------------------------------------------------------------- measuring

    def bits(self, learner: MetaLearner, multiplier: float = 1.0) -> np.ndarray:
        """Bits per byte or code of each held-out episode before and after K steps."""
        losses = self.curve_of(learner)(self.held_out, multiplier)
        return in_bits(learner, self.held_out, losses, self.recipe.unit)

    def curve_of(self, learner: MetaLearner) -> AdaptationCurve:
        """One graph for all learners that differ in their weights alone."""
        key = type(learner.model), *(tuple(w.shape) for w in learner.weights)
        if key not in self.curves:
            probe = copy_of(learner)
            self.curves[key] = probe, AdaptationCurve(probe, (0, self.steps))
        probe, curve = self.curves[key]
        probe.set_weights(learner.get_weights())
        return curve

    def best_multiplier(self, learner: MetaLearner, among: Sequence[float] = (0.3, 1.0), batches: int = 2) -> float:
        """The factor on the inner rates that is best on validation tasks."""
        curve = self.curve_of(learner)
        found = {m: float(curve(self.validation.take(batches), m)[:, 1].mean()) for m in among}
        return min(found, key=lambda m: found[m] if np.isfinite(found[m]) else np.inf)

    def row(self, variant: str, measure: Callable[[], dict[str, Any]]) -> None:
        """Measure a variant unless that was done, and keep the row."""
        place = self.folder / "rows.json"
        rows = json.loads(place.read_text()) if place.exists() else []
        if any(row["variant"] == variant for row in rows):
            return
        began = time.perf_counter()
        row = {"preset": self.name, "variant": variant, **measure(), "k": self.recipe.k_shot, "steps": self.steps}
        row |= {"seconds": round(time.perf_counter() - began, 1), "settings": self.settings}
        print(json.dumps(row), flush=True)
        with written_aside(place) as aside:
            aside.write_text(json.dumps([*rows, row]))
        publish(self.options.json, self.name, [*rows, row])

    def over_tasks(self, learner: MetaLearner, cost: float, multiplier: float = 1.0, **more: Any) -> dict[str, Any]:
        """A row whose interval is over held-out episodes."""
        before, after = self.bits(learner, multiplier).T
        over = {"over": "episodes", "n": len(after), "before": float(before.mean())}
        if learner is not self.original or multiplier != 1.0:
            over["minus_default"] = over_episodes(after - self.bits(self.original)[:, 1])
        return {"after": over_episodes(after), "gradient_evaluations": cost, **over, **more}

    def over_seeds(self, learners: Sequence[MetaLearner], cost: float, **more: Any) -> dict[str, Any]:
        """A row whose interval is over seeds of the training."""
        found = [self.bits(learner).mean(axis=0) for learner in learners]
        after = interval_95([float(bits[1]) for bits in found])._asdict()
        before = float(np.mean([bits[0] for bits in found]))
        over = {"over": "seeds", "n": len(found), "before": before, "per_seed": [float(b[1]) for b in found]}
        return {"after": after, "gradient_evaluations": cost, **over, **more}

    # ---------------------------------------------------------------- variants

    def default(self) -> None:
        """The preset as it is."""
        self.row("default", lambda: self.over_tasks(self.original, 0.0))

    def inner_rate(self) -> None:
        """The preset as it is, all of its inner rates scaled by the factor that is best on validation tasks."""

        def measure() -> dict[str, Any]:
            factor = self.best_multiplier(self.original, FACTORS, self.options.validation)
            return self.over_tasks(self.original, 0.0, factor, rate_multiplier=factor)

        self.row("inner_rate", measure)

    @functools.cached_property
    def searched(self) -> Any:
        """What `tune_model` finds for going on; the best of the trials is taken, even if the preset was better."""
        return tune_model(
            self.original,
            Splits(self.training, self.judged),
            self.folder / "search",
            SPACE,
            trials=self.options.trials,
            steps=self.options.steps,
            rungs=1,
            judged_steps=self.steps,
            validation_batches=self.options.validation,
            **dict(zip(("meta_batch_size", "k_shot", "n_query"), self.shape, strict=True)),
        )

    def cost_of_steps(self, steps: int, plain_steps: int = 0) -> float:
        """Gradient evaluations of a training."""
        tasks, k_shot, queries = self.shape
        each = self.original.algorithm.inner_steps + queries / k_shot
        return tasks * (steps * each + plain_steps * (1 + queries / k_shot))

    def continued(self, label: str, values: dict[str, Any]) -> list[MetaLearner]:
        """The preset after more meta-training, for each seed; kept. One graph trains all of them."""
        paths = [self.folder / f"{label}_{seed}.keras" for seed in SEEDS]
        learner: Any = None
        for seed, path in zip(SEEDS, paths, strict=True):
            if path.exists():
                continue
            if learner is None:
                learner = Base.of(self.original)(values, self.options.steps)
                learner.optimizer.build(learner.trainable_variables)
                start, fresh = learner.get_weights(), [v.numpy() for v in learner.optimizer.variables]
            learner.set_weights(start)
            for variable, value in zip(learner.optimizer.variables, fresh, strict=True):
                variable.assign(value)
            keras.utils.set_random_seed(seed)
            episodes = self.training.as_dataset(*self.shape, seed=100 + seed)
            learner.fit(episodes, steps_per_epoch=self.options.steps, verbose=0)
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_aside(path) as aside:
                learner.save(aside)
        return [load_model(path) for path in paths]

    def tuned_seeds(self) -> list[MetaLearner]:
        """The seeds of `tuned`."""
        return self.continued("tuned", self.searched.result.values)

    def tuned(self) -> None:
        """Going on with the preset's own settings, and with those that a search has found."""
        cost = self.cost_of_steps(self.options.steps)

        def continued() -> dict[str, Any]:
            return self.over_seeds(self.continued("continued", CONTINUED), cost)

        def tuned() -> dict[str, Any]:
            tried, found = self.searched, self.searched.result
            losses = {"default": tried.before, "best": found.trials[found.best].score}
            about = {"values": found.values, "trials": len(found.trials), "validation_loss": losses}
            return self.over_seeds(self.tuned_seeds(), cost + found.gradient_evaluations, **about)

        self.row("continued", continued)
        self.row("tuned", tuned)

    def fused(self) -> None:
        """The three seeds of `tuned` as one."""
        for name in self.options.fusions:
            self.row(f"fused {name}", functools.partial(self._fused, FUSIONS[name]))

    def _fused(self, how: dict[str, Any]) -> dict[str, Any]:
        found, members = self.searched.result, self.tuned_seeds()
        passes = self.options.passes if how.get("how") == "stacking" else 1
        learner = fuse(members, validation=self.validation.repeat(passes), steps=self.steps, **how)
        cost = found.gradient_evaluations + len(members) * self.cost_of_steps(self.options.steps)
        return self.over_tasks(learner, cost, members=len(members), parameters=learner.model.count_params())

    def task_specific(self) -> None:
        """Scope, rate and steps chosen for each task on its own support set."""

        def measure() -> dict[str, Any]:
            learner = load_learner(self.name)
            learner.algorithm.inner_steps = self.steps  # what the card calls the default
            tuner = TaskTuner(learner, ("low_rank",), (0.5, 2.0), max_steps=self.steps)
            tasks = self.held_out.unbatch().batch(1).take(self.options.tasks)
            gain = tuner.measure(tasks)
            losses = np.stack([gain.default, gain.chosen], axis=1)
            default, chosen = in_bits(self.original, tasks, losses, self.recipe.unit).T
            return {
                "after": over_episodes(chosen),
                "gradient_evaluations": tuner.evaluations(self.recipe.k_shot),
                "over": "episodes",
                "n": len(chosen),
                "same_tasks_by_default": float(default.mean()),
                "minus_default": over_episodes(chosen - default),
                "choices": [[c.option, c.rate_multiplier, c.steps] for c in gain.choices],
                "note": "gradient evaluations of each task",
            }

        self.row("task_specific", measure)

    def elastic(self) -> None:
        """One elastic training, and the same parts each trained alone for its share of that cost."""
        whole = self.cost_of_steps(4 * self.options.elastic_steps, 4 * self.options.plain_steps)
        for sizes in self.parts:
            label = "x".join(map(str, sizes))
            self.row(f"elastic {label}", functools.partial(self._part, sizes, whole))
            self.row(f"alone {label}", functools.partial(self._alone, sizes, whole / len(PARTS)))

    @property
    def parts(self) -> list[Sizes]:
        """The parts that are compared."""
        model: Any = self.original.model
        whole = (model.num_layers, model.num_heads, model.hidden_dim)
        return [
            Sizes(*(max(1, round(share * size)) for share, size in zip(shares, whole, strict=True))) for shares in PARTS
        ]

    def episodes(self) -> tf.data.Dataset:
        """Training tasks of the elastic model and of what is trained alone."""
        return self.training.as_dataset(*self.shape, seed=200)

    def untrained(self) -> Any:
        """The preset made elastic, its best heads and neurons first; kept."""
        path = self.folder / "untrained.keras"
        if not path.exists():
            model: Any = self.original.model
            every = [*self.parts, Sizes(model.num_layers, model.num_heads, model.hidden_dim)]
            choices = {name: sorted({getattr(sizes, name) for sizes in every}) for name in Sizes._fields}
            made = elastic(self.original, self.episodes(), choices, scoring_batches=4)
            with written_aside(path) as aside:
                made.save(aside)
        return load_model(path)

    def _part(self, sizes: Sizes, cost: float) -> dict[str, Any]:
        path = self.folder / "elastic.keras"
        if not path.exists():
            made = self.untrained()
            self._train(made, self.options.elastic_steps, self.options.plain_steps, "elastic")
            with written_aside(path) as aside:
                made.save(aside)
        trained: Any = load_model(path)
        return self._measured(part_of(trained, sizes), cost, note="the cost is of all parts together")

    def _alone(self, sizes: Sizes, cost: float) -> dict[str, Any]:
        small, share = part_of(self.untrained(), sizes), 4 / len(PARTS)
        steps, plain = (round(share * n) for n in (self.options.elastic_steps, self.options.plain_steps))
        self._train(small, steps, plain, f"alone_{'x'.join(map(str, sizes))}")
        return self._measured(small, cost)

    def _train(self, learner: MetaLearner, steps: int, plain_steps: int, name: str) -> None:
        learner.compile(keras.optimizers.Adam(5e-4, clipnorm=1.0), metrics=[])
        recover(learner, self.episodes(), steps, backup=self.folder / name, plain_steps=plain_steps)

    def _measured(self, learner: MetaLearner, cost: float, **more: Any) -> dict[str, Any]:
        rate = self.best_multiplier(learner)
        more |= {"rate_multiplier": rate, "parameters": learner.model.count_params()}
        return self.over_tasks(learner, cost, rate, **more)


def over_episodes(values: np.ndarray) -> dict[str, float]:
    """Mean and 95 % interval."""
    mean, half = float(values.mean()), float(1.96 * values.std(ddof=1) / np.sqrt(len(values)))
    return {"mean": mean, "low": mean - half, "high": mean + half}


class Splits(TaskDistribution):
    """Training tasks of one distribution, validation tasks of another: a preset may be judged on other data."""

    def __init__(self, training: TaskDistribution, judged: TaskDistribution) -> None:
        self.parts = {"meta_train": training, "meta_validation": judged}

    def split(self, name: str) -> Any:
        return self.parts[name].split(name)

    def sample(self, seed: tf.Tensor, k_shot: int, n_query: int) -> Any:
        return self.parts[self.split_name].sample(seed, k_shot, n_query)


def publish(path: Path, preset: str, rows: Sequence[dict[str, Any]]) -> None:
    """Put a preset's rows into the file of results, in the place of older ones of the same variants."""
    old = json.loads(path.read_text()) if path.exists() else []
    new = {row["variant"] for row in rows}
    others = [row for row in old if row["preset"] != preset or row["variant"] not in new]
    with written_aside(path) as aside:
        aside.write_text(json.dumps([*others, *rows], indent=1) + "\n")


def main() -> None:
    options = parse()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    print(sentence(describe()), flush=True)
    for name in options.presets:
        bench = Bench(name, options)
        for group in options.groups:
            getattr(bench, group)()


if __name__ == "__main__":
    main()
