"""What compression costs a trained preset: size, speed, memory, and quality before and after it has adapted.

Each variant is a LiteRT file. The file itself adapts to every held-out task that is measured, and its own loss is read.
What is pruned, shrunk or a student recovers by plain training first and meta-training after, on the preset's own
training tasks; the preset itself does not go on, so a row's loss is what is left after as much more training. Weights
that were trained are stored as the preset's are: float32 values that half precision holds, so that packed sizes
compare. Variants with a scope of their own (`low_rank …`) are meta-trained in it first.
"""

import argparse
import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from machine import describe, sentence
from rounds import save_json

from metagpt_tf.applications.optimization import compression_figure
from metagpt_tf.applications.pretrained import tasks_of
from metagpt_tf.applications.recipe import Recipe
from metagpt_tf.compression import cluster, compression_report, distill, prune, shrink
from metagpt_tf.compression.report import CompressionReport
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.presets import Preset, find_preset
from metagpt_tf.saving import load_learner, load_model

HERE = Path(__file__).parent
# Variant: its learner, and how its file stores weights. The first is what the others are compared with.
PARTS = {
    "float32": ("original", "float32"),
    "float16": ("original", "float16"),
    "dynamic_int8": ("original", "dynamic_int8"),
    "weight_int8": ("original", "weight_int8"),
    "weight_int8_per_tensor": ("original", "weight_int8_per_tensor"),
    "weight_int4": ("original", "weight_int4"),
    "pruned 80 %": ("pruned 80 %", "float32"),
    "pruned 80 %, weight_int8": ("pruned 80 %", "weight_int8"),
    "packed": ("packed", "weight_int8_per_tensor"),
    "half": ("half", "float32"),
    "half, weight_int8": ("half", "weight_int8"),
    "student": ("student", "float32"),
    "low_rank float32": ("low_rank", "float32"),
    "low_rank dynamic_int8": ("low_rank", "dynamic_int8"),
    "low_rank weight_int8": ("low_rank", "weight_int8"),
}
TARGETS = {
    "weight_int8": {"bytes": 0.30, "after": 1.01},
    "pruned 80 %": {"gzip_bytes": 0.35, "after": 1.02},
    "packed": {"gzip_bytes": 0.12, "after": 1.04},
    "half": {"latency_ms_p50": 0.60, "after": 1.03},
    "student": {"after": 1.05},
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--preset", default="text_nano")
    add("--variants", nargs="+", choices=PARTS, default=list(PARTS), help="float32 is measured in any case")
    add("--steps", type=int, default=60, help="meta-training steps of each step that trains")
    add("--plain-steps", type=int, default=1000, help="plain steps before them; the student's are twice as many")
    add("--rate", type=float, default=5e-4, help="peak rate of their Adam")
    add("--student-steps", type=int, default=200, help="of the student's distillation")
    add("--tasks", type=int, default=24, help="episodes of held-out tasks to measure on")
    add("--repeats", type=int, default=20, help="calls that are timed")
    add("--folder", type=Path, default=Path("compression"), help="where learners and files are kept")
    add("--json", type=Path, default=HERE / "results" / "compression.json")
    add("--picture", type=Path, help="PNG of size and quality")
    return parser.parse_args()


class Variants:
    """The learners to measure, each trained once and kept as a file."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.folder = (
            options.folder
            / f"{options.preset}_{options.steps}_{options.plain_steps}_{options.student_steps}_{options.rate}"
        )
        preset = Preset(find_preset(options.preset))
        self.recipe, origin = Recipe(**preset.card["recipe"]), preset.card["origin"]
        self.inner_steps = preset.card["steps"]
        self.original = load_learner(options.preset)
        tokenizer = self.original.model.tokenizer
        training = tasks_of(origin, self.recipe, "training", tokenizer)
        self.training = training.as_dataset(4, self.recipe.k_shot, self.recipe.k_shot, seed=1)
        held_out = tasks_of(origin, self.recipe, tokenizer=tokenizer).split("meta_test")
        shape = (self.recipe.k_shot, self.recipe.k_shot, 1)
        first, *others = [held_out.every_task(*shape, seed=seed) for seed in range(self.recipe.judged_episodes)]
        every = functools.reduce(tf.data.Dataset.concatenate, others, first).shuffle(1000, seed=0)
        self.held_out = every.take(options.tasks).cache()

    def optimizer(self, steps: int) -> keras.optimizers.Optimizer:
        """Adam with an annealed rate."""
        rate = keras.optimizers.schedules.CosineDecay(self.options.rate, steps)
        return keras.optimizers.Adam(rate, clipnorm=1.0)

    def kept(self, name: str, make: Callable[[], MetaLearner]) -> MetaLearner:
        """A learner made once."""
        path = self.folder / f"{name.replace(' ', '_')}.keras"
        if not path.exists():
            print(f"training {name}", flush=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            make().save(path)
        learner = load_model(path)
        for variable in learner.model.trainable_variables:
            variable.assign(variable.numpy().astype("float16").astype("float32"))
        return learner

    def chosen(self, names: list[str]) -> dict[str, Any]:
        """Variant to a learner, or to a learner and a quantization; what they are made of is trained first."""
        learners = {name: self.learner(PARTS[name][0]) for name in names}
        return {name: (learner, PARTS[name][1]) for name, learner in learners.items()}

    def learner(self, name: str) -> MetaLearner:
        """The learner of that name, made or read."""
        if name == "original":
            return self.original
        steps = self.options.steps // 2 if name == "packed" else self.options.steps
        given = {"steps": steps, "optimizer": self.optimizer(steps)}
        plainly = {**given, "plain_steps": self.options.plain_steps}
        makers: dict[str, Callable[[], MetaLearner]] = {
            "pruned 80 %": lambda: prune(self.original, self.training, 0.8, **plainly),
            "packed": lambda: cluster(self.learner("pruned 80 %"), self.training, 16, **given),
            "half": lambda: shrink(self.original, self.training, 0.5, 0.5, **plainly),
            "student": self.student,
            "low_rank": lambda: self.in_scope("low_rank"),
        }
        return self.kept(name, makers[name])

    def in_scope(self, scope: str) -> MetaLearner:
        """The same model, meta-trained to adapt a small part of itself."""
        model = MetaGPT.from_config(self.original.model.get_config())
        model.set_weights(self.original.model.get_weights())
        algorithm = dataclasses.replace(self.recipe, scope=scope, inner_learning_rate=0.3).algorithm()
        learner = MetaLearner(model, algorithm)
        learner.compile(self.optimizer(self.options.steps))
        learner.fit(self.training.take(self.options.steps), verbose=0)
        return learner

    def student(self) -> MetaLearner:
        """About a quarter of the parameters, taught by the adapted teacher after a start from its best parts."""
        steps = self.options.student_steps
        small = shrink(self.original, self.training, 0.5, 0.25, 0.5)
        plain = 2 * self.options.plain_steps
        return distill(self.original, small, self.training, steps, optimizer=self.optimizer(steps), plain_steps=plain)


def show_targets(report: CompressionReport) -> list[str]:
    """A line for each target: what was asked and what was found."""
    lines = []
    measured = {row.variant for row in report.rows}
    for variant, shares in ((name, shares) for name, shares in TARGETS.items() if name in measured):
        ratios = report.ratios(variant)
        told = ", ".join(
            f"{name} {ratios[name]:.3f} (target {share}: {'reached' if ratios[name] <= share else 'MISSED'})"
            for name, share in shares.items()
        )
        lines.append(f"{variant}: {told}")
    return lines


def main() -> None:
    options = parse()
    keras.utils.set_random_seed(0)
    machine = describe()
    print(sentence(machine))
    variants = Variants(options)
    chosen = variants.chosen(list(dict.fromkeys(["float32", *options.variants])))
    place = variants.folder / "files"
    report = compression_report(chosen, variants.held_out, variants.inner_steps, place, repeats=options.repeats)
    print(report)
    print("\n".join(show_targets(report)))
    if options.picture:
        compression_figure(report, "bits per byte after adaptation").savefig(options.picture, dpi=120)
    old = json.loads(options.json.read_text()) if options.json.exists() else {"runs": {}, "rows": []}
    rows = [row for row in old["rows"] if row["preset"] != options.preset]
    rows += [{"preset": options.preset, **row} for row in report.to_dict()["rows"]]
    passing = ("json", "folder", "picture", "preset", "variants")
    settings = {key: value for key, value in vars(options).items() if key not in passing}
    runs = {**old["runs"], options.preset: {"machine": machine, "settings": settings}}
    save_json(options.json, {"runs": runs, "rows": rows})


if __name__ == "__main__":
    main()
