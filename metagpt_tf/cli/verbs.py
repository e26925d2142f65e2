"""What each verb does: a few lines over the library, with a table at the end."""

import contextlib
import json
import logging
import signal
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from metagpt_tf import generation
from metagpt_tf.applications.comparison import STEPS, Plan
from metagpt_tf.applications.page import said_of
from metagpt_tf.applications.pretrained import measure_preset
from metagpt_tf.applications.quickstart import Quickstart, run_quickstart
from metagpt_tf.applications.speed import measure_speed
from metagpt_tf.cli.apps import APPS, episodes_of
from metagpt_tf.cli.compressing import compress_learner
from metagpt_tf.cli.demo import demo
from metagpt_tf.cli.drawing import draw_sheet
from metagpt_tf.cli.main import EXIT_OK, EXIT_PARITY
from metagpt_tf.cli.progress import Stages, errors
from metagpt_tf.cli.support import support_of
from metagpt_tf.cli.training import train_learner
from metagpt_tf.cli.tuning import fused_learner, rows_for_json, tuned_learner
from metagpt_tf.export import ParityReport, export_litert, export_saved_model, parity_report
from metagpt_tf.export.about import hash_of
from metagpt_tf.export.calls import first_calls
from metagpt_tf.fast_weights import State
from metagpt_tf.files import written_aside
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.presets import find_preset
from metagpt_tf.saving import load_learner, load_model

__all__ = [
    "adapt",
    "bench",
    "compress",
    "demo",
    "evaluate",
    "export",
    "fuse",
    "generate",
    "quickstart",
    "serve",
    "train",
    "tune",
]

console = Console()

logging.getLogger("tensorflow").setLevel(logging.ERROR)

FAST = {
    "warm_steps": 2,
    "meta_steps": 1,
    "validation_batches": 1,
    "test_batches": 1,
    "meta_batch_size": 2,
    "k_shot": 4,
    "n_query": 4,
}


def complain(error: Any) -> None:
    """One line on standard error."""
    errors.print(f"metagpt-tf: {error}", style="bold red", highlight=False, markup=False, soft_wrap=True)


def quickstart(arguments: Namespace) -> int:
    """The whole chain; prints the table, the two functions and the parity report."""
    plan = Plan(seed=arguments.seed, **(FAST if arguments.fast else {}))
    with Stages("starting") as stages:
        result = run_quickstart(
            arguments.output, arguments.data, plan, arguments.seed, stages.report, callbacks=[stages.callback()]
        )
    _show_quickstart(result)
    _write_json(arguments.json, result.to_dict())
    return EXIT_OK if result.parity.passed else EXIT_PARITY


def train(arguments: Namespace) -> int:
    """Warm start, meta-training, a `.keras` file."""
    keras.utils.set_random_seed(arguments.seed)
    learner, figures = train_learner(arguments)
    learner.save(arguments.output)
    console.print(f"wrote {arguments.output}", highlight=False)
    _print_figures("meta-validation tasks", figures)
    _write_json(arguments.json, figures)
    return EXIT_OK


def adapt(arguments: Namespace) -> int:
    """Examples of the user's files in, a state file out."""
    learner, app = load_learner(arguments.model), APPS[arguments.app]
    task = arguments.task or app.task
    support = support_of(learner, app, arguments.support, task, arguments.k_shot, arguments.seed)
    state = learner.adapt(support, steps=arguments.steps)
    state.save(arguments.output, hash_of(learner))
    before = learner.adapted(learner.layout.initial_state()).loss(learner.task_loss, *support)
    after = learner.adapted(state).loss(learner.task_loss, *support)
    figures = {
        "examples": len(support[0]),
        "state_size": len(state),
        "support_loss_before": before,
        "support_loss_after": after,
    }
    console.print(f"wrote {arguments.output}", highlight=False)
    _print_figures("support set, nats a token", figures)
    _write_json(arguments.json, figures)
    return EXIT_OK


def generate(arguments: Namespace) -> int:
    """Text to standard output, as it comes; or a picture."""
    if arguments.app == "text" and (arguments.out or arguments.samples != 1 or arguments.guidance != 1.0):
        raise ValueError("--out, --samples and --guidance are of drawings: add --app image, or leave them out.")
    if arguments.app == "text" and len(arguments.prompt) != 1:
        raise ValueError(f"Give one prompt to go on from, in quotes; received {len(arguments.prompt)}.")
    model = _generator(arguments.model)
    state = State.load(arguments.state) if arguments.state else None
    if arguments.app == "image":
        figures = draw_sheet(arguments, model, state, _sampler(arguments))
        console.print(f"wrote {arguments.out}", highlight=False)
        _write_json(arguments.json, figures)
        return EXIT_OK
    (prompt,) = arguments.prompt
    options = {
        "max_length": arguments.max_length,
        "sampler": _sampler(arguments),
        "seed": arguments.seed,
        "stop": arguments.stop,
    }
    stream = not arguments.no_stream and arguments.sampler != "beam"
    began = time.perf_counter()
    text = model.generate(prompt, state=state, stream=stream, **options)
    written = ""
    for piece in text if stream else [text]:
        sys.stdout.write(piece)
        sys.stdout.flush()
        written += piece
    sys.stdout.write("\n")
    seconds, tokens = time.perf_counter() - began, len(model.tokenizer.encode(written))
    figures = {"prompt": prompt, "text": written, "tokens": tokens, "seconds": seconds}
    _write_json(arguments.json, figures)
    return EXIT_OK


def _sampler(arguments: Namespace) -> Any:
    given = {"temperature": arguments.temperature, "repetition_penalty": arguments.repetition_penalty}
    options = {name: value for name, value in given.items() if value is not None}
    if "temperature" in options and arguments.sampler == "greedy":
        raise ValueError(
            "greedy takes the likeliest token, whatever the temperature: add --sampler top_k, for example."
        )
    return generation.get(arguments.sampler, **options) if options else arguments.sampler


def evaluate(arguments: Namespace) -> int:
    """Held-out tasks before and after adaptation, or a preset's card measured again."""
    if arguments.preset:
        return _evaluate_preset(arguments)
    learner, app = load_learner(arguments.model), APPS[arguments.app]
    model: Any = learner.model
    task = arguments.task or app.task
    with Stages("reading data") as stages:
        lengths = {"source_length": model.source_length, "target_length": model.target_length}
        data = episodes_of(arguments, model.tokenizer, {"test": arguments.batches}, **lengths)
        stages.report("adapting to held-out tasks")
        figures = app.evaluate(learner, data["test"], task, arguments.prompts)
    _print_figures(f"{task}: held-out tasks, before (pre_) and after adaptation", figures)
    _write_json(arguments.json, {**figures, "app": arguments.app, "task": task, "k_shot": arguments.k_shot})
    return EXIT_OK


def _evaluate_preset(arguments: Namespace) -> int:
    with Stages("measuring every held-out task"):
        figures = measure_preset(arguments.preset)
    table = Table(title=f"{arguments.preset}: {figures['unit']} on held-out tasks, K = {figures['k']}")
    for column in ("", "measured now", "95 % over tasks", "card, mean of its seeds", "95 % over seeds"):
        table.add_column(column)
    for name, card in figures["card"].items():
        cells = [(f"{f['mean']:.3f}", f"{f['low']:.3f} to {f['high']:.3f}") for f in (figures[name], card)]
        table.add_row(name.replace("_", " "), *cells[0], *cells[1])
    console.print(table)
    for name, value in figures.get("drawings", {}).items():
        card = figures["drawings_card"][name]
        console.print(f"{name.replace('_', ' ')}: {value:.3f}, card's seed {card:.3f}", highlight=False)
    console.print(f"largest difference from the card's figures of seed {figures['seed']}: {figures['difference']:.4f}")
    _write_json(arguments.json, figures)
    return EXIT_OK


def export(arguments: Namespace) -> int:
    """Both files and their parity report; exit code 3 beyond the tolerance."""
    learner, output = load_learner(arguments.model), Path(arguments.output)
    with Stages("exporting") as stages:
        wanted = ("saved_model", "litert") if arguments.format == "both" else (arguments.format,)
        saved_model = export_saved_model(learner, output / "saved_model") if "saved_model" in wanted else None
        litert = None
        if "litert" in wanted:
            extras = ("sample", "score", "stream") if hasattr(learner.model, "generate_ids") else ()
            about = said_of(arguments.model)
            litert = export_litert(learner, output / "model.tflite", arguments.k_shot, extras=extras, about=about)
        stages.report("comparing with Keras")
        support = _random_support(learner, arguments.k_shot, arguments.seed)
        report = parity_report(learner, saved_model, litert, support, tolerance=arguments.tolerance)
    for path in filter(None, (saved_model, litert)):
        console.print(f"wrote {path}", highlight=False)
    _show_parity(report)
    if saved_model is not None:
        _show_calls(saved_model)
    _write_json(arguments.json, report.to_dict())
    return EXIT_OK if report.passed else EXIT_PARITY


def _show_calls(saved_model: Path) -> None:
    console.print(f"serve it: metagpt-tf serve --path {saved_model.parent}, then ask:", highlight=False)
    for text in first_calls(saved_model).values():
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def compress(arguments: Namespace) -> int:
    """A smaller file that still learns; exit code 3 if it misses its budget."""
    done = compress_learner(load_learner(arguments.model), arguments)
    console.print(str(done.report), markup=False, highlight=False, soft_wrap=True)
    for name, over in done.shortfall.items():
        console.print(f"{name} is {over:.3f} above the budget", highlight=False)
    console.print(f"wrote {done.path}", highlight=False)
    figures = {"recipe": json.loads(done.recipe.to_json()), "shortfall": done.shortfall, **done.report.to_dict()}
    _write_json(arguments.json, figures)
    return EXIT_PARITY if done.shortfall else EXIT_OK


def tune(arguments: Namespace) -> int:
    """The best of a search as a `.keras` file."""
    done = tuned_learner(load_learner(arguments.model), arguments)
    console.print(str(done.result), markup=False, highlight=False, soft_wrap=True)
    better = f"{done.before:.4f} → {done.after:.4f}" if done.values else f"{done.before:.4f}: no trial is better"
    console.print(f"meta-validation tasks after adaptation: {better}", highlight=False)
    console.print(f"wrote {Path(arguments.output) / 'learner.keras'}", highlight=False)
    _write_json(arguments.json, rows_for_json(done))
    return EXIT_OK


def fuse(arguments: Namespace) -> int:
    """Several learners as one `.keras` file."""
    fused, losses = fused_learner(arguments)
    _print_figures("meta-validation tasks, loss after adaptation", losses)
    console.print(f"wrote {arguments.output}", highlight=False)
    _write_json(arguments.json, {"losses": losses, "parameters": fused.model.count_params()})
    return EXIT_OK


def serve(arguments: Namespace) -> int:
    """Serve until interrupted, from the keyboard or by SIGTERM, as containers are stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from metagpt_tf.serving.server import DevelopmentServer
    except ImportError as error:
        raise ImportError(
            f"metagpt-tf serve needs the extra 'serving': pip install metagpt_tf[serving] ({error})"
        ) from error
    options = {name: getattr(arguments, name) for name in ("host", "rest_port", "grpc_port", "max_batch", "timeout")}
    with DevelopmentServer(arguments.path, arguments.name, **options) as server:
        url = f"http://{arguments.host}:{server.rest_port}/v1/models/{arguments.name}"
        for line in (
            f"version {server.predictor.versions.current.version} of {arguments.path}",
            f"REST {url}:predict, gRPC {arguments.host}:{server.grpc_port}; stop with ctrl-c",
        ):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        with contextlib.suppress(KeyboardInterrupt):  # how a server is stopped
            server.wait()
    return EXIT_OK


def bench(arguments: Namespace) -> int:
    """Speed of this machine."""
    with Stages("measuring"):
        figures = measure_speed(arguments.preset, arguments.length, arguments.repeats)
    _print_figures(f"{arguments.preset}, {arguments.length} + {arguments.length} tokens", figures)
    _write_json(arguments.json, figures)
    return EXIT_OK


def _generator(name: str) -> Any:
    """A model that writes: of a pretrained name, a preset's directory or a `.keras` file, a learner's model too."""
    model = load_model(name) if find_preset(name) is None else MetaGPT.from_preset(name)
    return model.model if isinstance(model, MetaLearner) else model


def _random_support(learner: MetaLearner, k_shot: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    model: Any = learner.model
    draw = np.random.default_rng(seed)
    ids = lambda length: draw.integers(3, model.tokenizer.vocabulary_size, (k_shot, length)).astype("int32")  # noqa: E731
    return ids(model.source_length), ids(model.target_length)


def _show_quickstart(result: Quickstart) -> None:
    table = Table(title=f"bits per byte on {len(result.comparison.meta)} held-out episodes, after n steps")
    for column in ("", *(str(step) for step in STEPS)):
        table.add_column(column)
    for name, curve in (("meta-trained", result.comparison.meta), ("plain twin", result.comparison.twin)):
        half = 1.96 * curve.std(axis=0, ddof=1) / np.sqrt(len(curve))
        table.add_row(name, *(f"{m:.3f} ± {h:.3f}" for m, h in zip(curve.mean(axis=0), half, strict=True)))
    console.print(table)
    console.print(
        f"each cost {result.comparison.gradient_evaluations:.0f} gradient evaluations; ± is a 95 % interval over tasks"
    )
    console.print(f"\na function of {result.task!r}, never seen:\n{result.prompt}", markup=False, highlight=False)
    for name, text in (("before", result.before), ("after", result.after), ("the real one", result.truth)):
        console.print(f"--- {name}\n{text}", markup=False, highlight=False)
    console.print("")
    _show_parity(result.parity)
    console.print(
        f"\nwrote {result.saved_model}, {result.litert}, {result.figure} in {result.seconds:.0f} s", highlight=False
    )


def _show_parity(report: ParityReport) -> None:
    console.print(str(report), markup=False, highlight=False)


def _print_figures(title: str, figures: dict[str, float]) -> None:
    table = Table(title=title)
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.4g}" if isinstance(value, float) else str(value))
    console.print(table)


def _write_json(path: str | None, figures: dict[str, Any]) -> None:
    if path:
        with written_aside(Path(path)) as aside:
            aside.write_text(json.dumps(figures, indent=2) + "\n")
