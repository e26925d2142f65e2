"""LiteRT files against Keras in the same process, int8 against float, memory, and the page in headless Chromium.

Each round calls everything once, in turn; a ratio is of medians, with the better of one and two threads. `adapt` and
`generate` are those of a learner at batch 1: in Keras as a user calls them (`generate` compiled with XLA), in LiteRT by
the file's signatures. Peak memory is that of a process with the runtime and the file alone. The page is opened anew for
each run: *Learn* is pressed as soon as it can be, and the slowest run counts. The headline is of the preset that is
worst; for int8 of those in whose file the converter finds constants, because a state of scope "all" is all weights, in
float32. Needs `pip install metagpt_tf[browser]` and Chromium, or `--no-web`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import describe, sentence
from rounds import require_product, table, write_json

QUANTIZATIONS = ("float32", "dynamic_int8", "weight_int8")
K = 8
UNTRAINED = "untrained_low_rank"  # of image_nano's shapes; only its adapters are a state, the rest stays constant


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--presets", nargs="+", help="measured; by default those that come with the package and write")
    add("--rounds", type=int, default=20)
    add("--tabs", type=int, default=3, help="times that the page is opened")
    add("--no-web", action="store_true", help="leave the page out")
    add("--json", metavar="PATH", help="write the results there")
    return parser.parse_args()


def main() -> None:
    options = parse()
    require_product()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from metagpt_tf.export.browser import chromium
    from metagpt_tf.presets import pretrained_names

    machine = describe()
    print(sentence(machine))
    trained = [name for name in pretrained_names() if name.endswith("_nano")]
    presets = options.presets or [*trained, UNTRAINED]
    if not options.no_web:
        chromium()  # before an hour of measuring, and not after
    with tempfile.TemporaryDirectory() as folder:
        measured = {name: measure(name, Path(folder), options.rounds) for name in presets}
        web = None if options.no_web else measure_page(Path(folder) / "page", options.tabs)
    headline = {
        "adapt_ratio_to_keras": max(one["adapt_ratio_to_keras"] for one in measured.values()),
        "generate_ratio_to_keras": max(one["generate_ratio_to_keras"] for one in measured.values()),
        "int8_ratio": max((one["int8_ratio"] for one in measured.values() if one["has_integers"]), default=None),
        "peak_mb": max(one["peak_mb"]["float32"]["2"] for one in measured.values()),
        "web": web,
    }
    show(measured, headline)
    settings = {key: value for key, value in vars(options).items() if key != "json"}
    content = {"benchmark": "litert", "machine": machine, "settings": settings, **headline, "presets": measured}
    write_json(options.json, content)


def show(measured: dict[str, Any], headline: dict[str, Any]) -> None:
    rows = []
    for name, one in measured.items():
        rows += [
            [f"{name}: adapt, LiteRT / Keras", f"{one['adapt_ratio_to_keras']:.2f}", "≤ 0.5"],
            [f"{name}: generate, LiteRT / Keras", f"{one['generate_ratio_to_keras']:.2f}", "≤ 0.5"],
            [f"{name}: the same, Keras without XLA", f"{one['generate_ratio_to_keras_graph']:.2f}", ""],
            [f"{name}: generate, int8 / float", f"{one['int8_ratio']:.2f}", "≤ 0.7" if one["has_integers"] else ""],
            [f"{name}: MB beside the runtime", f"{one['peak_mb']['float32']['2']:.0f}", ""],
        ]
    if headline["web"]:
        rows += [
            [f"page ({headline['web']['preset']}): Learn, s", f"{headline['web']['learn_seconds']:.2f}", "≤ 2"],
            ["page: first glyph, s", f"{headline['web']['first_glyph_seconds']:.2f}", "≤ 0.5"],
            ["page: largest difference to Python", f"{headline['web']['max_difference']:.1e}", "≤ 1e-3"],
        ]
    table(["", "measured", "target"], rows)


def learner_of(name: str) -> Any:
    from metagpt_tf.applications.image import define_meta_gpt_image_model
    from metagpt_tf.saving import load_learner

    return define_meta_gpt_image_model("nano") if name == UNTRAINED else load_learner(name)


def measure(name: str, folder: Path, rounds: int) -> dict[str, Any]:
    """One preset: times in milliseconds by way and threads, and their ratios."""
    import numpy as np

    from metagpt_tf.export import LiteRTRunner, export_litert

    learner = learner_of(name)
    model: Any = learner.model
    files = {q: export_litert(learner, folder / f"{name}_{q}.tflite", K, quantization=q) for q in QUANTIZATIONS}
    draw = np.random.default_rng(0)
    letters = lambda length: draw.integers(100, 126, (K, length)).astype("int32")  # noqa: E731
    x, y = letters(model.source_length), letters(model.target_length)
    x[:, -1] = y[:, -1] = model.tokenizer.eos_id
    prompt = model.tokenizer.decode(x[0])
    state = learner.adapt((x, y))
    calls: dict[str, Callable[[], Any]] = {
        "adapt keras": lambda: learner.adapt((x, y)),
        "generate keras": lambda: model.generate(prompt, state=state),
        "generate keras graph": lambda: model.generate(prompt, state=state, jit_compile=False),
    }
    for threads in (1, 2):
        for quantization, path in files.items():
            runner = LiteRTRunner(path, num_threads=threads)
            calls[f"adapt {quantization} {threads}"] = lambda runner=runner: runner.adapt(x, y)
            calls[f"generate {quantization} {threads}"] = lambda runner=runner: runner.generate(x[:1], state)
    times = timed(calls, rounds)
    best = lambda verb, kind: min(times[f"{verb} {kind} {threads}"] for threads in (1, 2))  # noqa: E731
    return {
        "adapt_ratio_to_keras": best("adapt", "float32") / times["adapt keras"],
        "generate_ratio_to_keras": best("generate", "float32") / times["generate keras"],
        "int8_ratio": best("generate", "dynamic_int8") / best("generate", "float32"),
        "generate_ratio_to_keras_graph": best("generate", "float32") / times["generate keras graph"],
        "int8_ratio_to_keras": best("generate", "dynamic_int8") / times["generate keras"],
        "has_integers": files["dynamic_int8"].stat().st_size < 0.9 * files["float32"].stat().st_size,
        "scope": learner.layout.scope,
        "milliseconds": times,
        "bytes": {quantization: path.stat().st_size for quantization, path in files.items()},
        "peak_mb": {q: {str(t): peak_mb(path, t) for t in (1, 2)} for q, path in files.items()},
        "tokens": int((LiteRTRunner(files["float32"]).generate(x[:1], state) != 0).sum()),
    }


def timed(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Medians in milliseconds; the first two calls of each are not counted."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 2):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            times[name].append(1e3 * (time.perf_counter() - began))
    return {name: statistics.median(values[2:]) for name, values in times.items()}


def peak_mb(path: Path, threads: int) -> float:
    from metagpt_tf.export import latency_worker

    command = [sys.executable, latency_worker.__file__, str(path), "3", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])["peak_mb"]


def measure_page(folder: Path, tabs: int) -> dict[str, Any]:
    """The slowest *Learn* and first glyph of some tabs, and every signature's difference to the learner's."""
    import numpy as np

    from metagpt_tf.applications.image import glyph_prompts
    from metagpt_tf.applications.optimization import deploy_model
    from metagpt_tf.export import parity_report
    from metagpt_tf.models import Drawing, ImageAutoencoder
    from metagpt_tf.presets import find_preset

    preset = "image_nano" if find_preset("image_nano") else UNTRAINED
    learner, codes = learner_of(preset), ImageAutoencoder.from_preset("glyph_codes")
    model: Any = learner.model
    page = deploy_model(learner, "web", folder, "letters", k_shot=K, autoencoder=codes)
    source = model.tokenizer.pack(glyph_prompts()[:K], model.source_length)
    images = np.random.default_rng(0).random((K, *codes.image_shape)).astype("float32")
    target = Drawing(codes, model).ids_of(images, model.target_length).numpy()
    report = parity_report(
        learner, litert=page.litert, support=(source, target), autoencoder=codes, litert_by=("browser",)
    )
    runs = learn_in_tabs(folder, tabs)
    return {
        "preset": preset,
        "learn_seconds": max(float(run["learnSeconds"]) for run in runs),
        "first_glyph_seconds": max(float(run["firstGlyphSeconds"]) for run in runs),
        "max_difference": report.max_difference,
        "runs": runs,
    }


def learn_in_tabs(folder: Path, tabs: int) -> list[dict[str, str]]:
    from metagpt_tf.export.browser import browser
    from metagpt_tf.export.page_server import PageServer

    runs = []
    with PageServer(folder) as server, browser() as opened:
        for _ in range(tabs):
            context = opened.new_context()
            page = context.new_page()
            page.goto(server.url)
            page.click("#glyphs-learn", timeout=120_000)
            while page.evaluate("document.body.dataset.drawn") != "after":
                if page.query_selector(".message.error"):
                    raise RuntimeError(page.inner_text(".message.error"))
                time.sleep(0.1)
            runs.append(page.evaluate("({ ...document.body.dataset })"))
            context.close()
    return runs


if __name__ == "__main__":
    main()
