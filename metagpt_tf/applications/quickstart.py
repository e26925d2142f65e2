"""The whole chain in a few minutes: tasks, meta-training, adaptation, generation, export, parity."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from metagpt_tf.applications.code import (
    define_meta_gpt_code_model,
    load_code_data,
    preprocess_code_data,
)
from metagpt_tf.applications.comparison import STEPS, Comparison, Plan, compare_with_plain_twin
from metagpt_tf.export import ParityReport, export_litert, export_saved_model, parity_report
from metagpt_tf.fast_weights import State
from metagpt_tf.meta import MetaLearner
from metagpt_tf.plotting import adaptation_figure
from metagpt_tf.tasks import TextTasks

Report = Callable[[str], None]


@dataclass
class Quickstart:
    """Everything the quickstart made and measured.

    Attributes:
        learner: the meta-trained learner.
        comparison: curves of it and of its plainly trained twin.
        task: held-out package whose functions were shown.
        prompt, truth: a function of it that was not.
        before, after: what the model wrote for the prompt, without and with adaptation.
        saved_model, litert, figure: where the exports and the picture lie.
        parity: comparison of the exports with Keras.
        seconds: how long it all took.
    """

    learner: MetaLearner
    comparison: Comparison
    task: str
    prompt: str
    truth: str
    before: str
    after: str
    saved_model: Path
    litert: Path
    figure: Path
    parity: ParityReport
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The figures, for JSON. Bits per byte count the end mark of a text as one byte."""
        comparison = self.comparison
        return {
            "before_bits_per_byte": float(comparison.meta[:, 0].mean()),
            "after_bits_per_byte": comparison.at(comparison.meta),
            "twin_before_bits_per_byte": float(comparison.twin[:, 0].mean()),
            "twin_after_bits_per_byte": comparison.at(comparison.twin),
            "inner_rate_multiplier": {"meta": comparison.meta_rate, "twin": comparison.twin_rate},
            "gradient_evaluations": comparison.gradient_evaluations,
            "held_out_episodes": len(comparison.meta),
            "task": self.task,
            "parity": self.parity.to_dict(),
            "seconds": self.seconds,
        }


def run_quickstart(
    output: str | Path,
    data_path: Any = None,
    plan: Plan | None = None,
    seed: int = 0,
    report: Report = lambda message: None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Quickstart:
    """Meta-train a nano model on Python functions, adapt it to a held-out package, generate, export and compare.

    Args:
        output: directory for the exports and the picture.
        data_path: see `load_code_data`; `None` for the standard library.
        plan: sizes of the training; the default fits two CPU cores in under five minutes.
        seed: of weights and episodes.
        report: told what begins.
        callbacks: given to each training.
    """
    began = time.perf_counter()
    output, plan = Path(output), plan or Plan(seed=seed)
    keras.utils.set_random_seed(seed)
    report("reading Python functions; a task is a module or package, whole tasks are held out")
    data = load_code_data(data_path)
    tasks = preprocess_code_data(data, k_shot=plan.k_shot, n_query=plan.n_query)["tasks"]
    learner = define_meta_gpt_code_model("nano")
    comparison = compare_with_plain_twin(learner, tasks, plan, report, callbacks)

    report("adapting to functions of a held-out package, generating one function before and after")
    learner.compile("adam")
    shown = show_one_task(learner, tasks, plan, seed)

    report("exporting SavedModel and LiteRT, comparing both with Keras")
    saved_model = export_saved_model(learner, output / "saved_model")
    litert = export_litert(learner, output / "model.tflite", k_shot=plan.k_shot)
    parity = parity_report(learner, saved_model, litert, shown["support"])
    learner.save(output / "learner.keras")
    figure = output / "adaptation.png"
    curves = {"meta-trained": comparison.meta, "plain twin": comparison.twin}
    adaptation_figure(STEPS, curves, title="Held-out packages").savefig(figure, dpi=120)
    names = ("task", "prompt", "truth", "before", "after")
    return Quickstart(
        learner=learner,
        comparison=comparison,
        saved_model=saved_model,
        litert=litert,
        figure=figure,
        parity=parity,
        seconds=time.perf_counter() - began,
        **{name: shown[name] for name in names},
    )


def show_one_task(learner: MetaLearner, tasks: TextTasks, plan: Plan, seed: int = 0) -> dict[str, Any]:
    """Adapt to K functions of one held-out task and generate another function of it, before and after."""
    model: Any = learner.model
    task = tasks.split("meta_test").task_names[0]
    episode = tasks.episode(task, plan.k_shot, 1, seed)
    support = (np.asarray(episode.support_x), np.asarray(episode.support_y))
    state: State = learner.adapt(support)
    prompt, truth = (model.tokenizer.decode(np.asarray(part)[0]) for part in (episode.query_x, episode.query_y))
    write = lambda given: model.generate(prompt, state=given, truncate=True)  # noqa: E731
    return {
        "task": task,
        "support": support,
        "state": state,
        "prompt": prompt,
        "truth": truth,
        "before": write(None),
        "after": write(state),
    }
