"""The arguments of every verb, with an example each."""

import argparse

from metagpt_tf import __version__
from metagpt_tf.cli.tuning import add_fuse, add_tune

LEARNER = "learner: a .keras file written by train or quickstart, or a preset (name or directory)"

EPILOG = """exit codes: 0 done, 1 failed (the message says why), 2 wrong usage, 3 an export differs from Keras beyond
the tolerance, or a compressed file misses its budget

examples:
  metagpt-tf quickstart                                   the whole chain on the standard library, minutes on two cores
  metagpt-tf train --data my_project/ --output learner.keras
  metagpt-tf adapt --model learner.keras --support my_project/ --output state.npz
  metagpt-tf evaluate --model learner.keras --data my_project/ --json figures.json
  metagpt-tf evaluate --preset text_nano                  the figures of its card, measured again
  metagpt-tf generate --model learner.keras --state state.npz "def area(width, height):"
  metagpt-tf generate --app image --model image_nano --out sheet.png "letter g" "letter h"
  metagpt-tf export --model learner.keras --output export/
  metagpt-tf compress --model learner.keras --output small/ --size 0.3 --loss 1.01
  metagpt-tf tune --model learner.keras --output tuning/
  metagpt-tf fuse --members a.keras b.keras --output fused.keras
  metagpt-tf serve --path export/saved_model              TF Serving's protocol on this machine
  metagpt-tf demo                                         a page that learns in the browser's tab
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
    parser = argparse.ArgumentParser(
        prog="metagpt-tf",
        description="Meta-train, adapt, generate and export Transformers that learn a task from a few examples.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    _quickstart(verbs)
    _train(verbs)
    _adapt(verbs)
    _generate(verbs)
    _evaluate(verbs)
    _export(verbs)
    _compress(verbs)
    _tune(verbs)
    _fuse(verbs)
    _serve(verbs)
    _demo(verbs)
    _bench(verbs)
    return parser


def _verb(verbs: argparse._SubParsersAction, name: str, text: str, example: str) -> argparse.ArgumentParser:
    verb = verbs.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("--seed", type=int, default=0, help="seed of weights, episodes and sampling (default 0)")
    return verb


def _json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", metavar="PATH", help="write the figures to this file")


def _application(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--app", choices=("code", "image", "language"), default="code", help="what to work on (default code)"
    )
    verb.add_argument(
        "--task",
        help="kind of task: for code body (default), completion, middle, repair or review; for language generation "
        "(default), classification, entities, translation, dialogue or triples; for images generation (default), "
        "inpainting, denoising, super_resolution, style_transfer or mixed",
    )


def _data(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--data", help="your own code, texts or images; default the standard library, the bundled texts or glyphs"
    )


def _k_shot(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--k-shot", type=_positive, default=8, help="support examples of a task (default 8)")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, received {text}")
    return value


def _at_least_zero(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, received {text}")
    return value


def _quickstart(verbs: argparse._SubParsersAction) -> None:
    verb = _verb(
        verbs,
        "quickstart",
        "Run the whole chain, offline, in a few minutes.",
        "metagpt-tf quickstart --json figures.json",
    )
    verb.add_argument("--output", default="quickstart", help="directory of exports and picture (default quickstart/)")
    verb.add_argument("--data", help="folder of Python code; default the standard library")
    verb.add_argument(
        "--fast", action="store_true", help="a few steps of each training: shows the chain, learns nothing"
    )
    _json(verb)


def _train(verbs: argparse._SubParsersAction) -> None:
    verb = _verb(
        verbs,
        "train",
        "Meta-train a model on code, language or images, after a warm start by plain training.",
        "metagpt-tf train --app language --algorithm maml --steps 200 --output learner.keras",
    )
    _application(verb)
    _data(verb)
    verb.add_argument(
        "--tokenizer",
        help="bytes, or bpe, trained on the tasks; default that of a trained --preset, or of the app's",
    )
    verb.add_argument(
        "--preset", default="nano", help="size of the model: nano (default), tiny, small, base; or a preset"
    )
    verb.add_argument("--algorithm", default="maml", help="maml, fomaml, reptile, meta_sgd, anil, cavia (default maml)")
    verb.add_argument(
        "--scope",
        help="weights a task adapts: all, head, norm_bias, low_rank (default), context, or a regular expression",
    )
    verb.add_argument("--inner-steps", type=int, default=3, help="gradient steps on a support set (default 3)")
    verb.add_argument("--inner-learning-rate", type=float, default=0.5, help="rate of those steps (default 0.5)")
    verb.add_argument("--learning-rate", type=float, default=5e-4, help="peak rate of the outer Adam (default 0.0005)")
    verb.add_argument(
        "--length",
        type=_positive,
        help="tokens of source and target; default those of a trained --preset, or the app's",
    )
    verb.add_argument("--warm-steps", type=int, default=300, help="steps of plain training first (default 300)")
    verb.add_argument("--steps", type=_positive, default=100, help="steps of meta-training (default 100)")
    verb.add_argument("--meta-batch-size", type=_positive, default=4, help="tasks in a step (default 4)")
    _k_shot(verb)
    verb.add_argument("--n-query", type=_positive, default=8, help="query examples of a task (default 8)")
    verb.add_argument("--backup", help="directory that makes the training resumable after a kill")
    verb.add_argument("--output", required=True, help="learner to write, a .keras file")
    _json(verb)


def _adapt(verbs: argparse._SubParsersAction) -> None:
    verb = _verb(
        verbs,
        "adapt",
        "Teach a trained learner a task: examples in, a small state file out.",
        "metagpt-tf adapt --model learner.keras --support my_module.py --output state.npz",
    )
    _application(verb)
    verb.add_argument("--model", required=True, help=LEARNER)
    verb.add_argument(
        "--support", required=True, help="folder or file with the examples: Python code, texts, rows or images"
    )
    verb.add_argument("--k-shot", type=_positive, default=8, help="examples to use (default 8)")
    verb.add_argument("--steps", type=int, help="inner steps (default: the algorithm's)")
    verb.add_argument("--output", required=True, help="state file to write (.npz)")
    _json(verb)


def _generate(verbs: argparse._SubParsersAction) -> None:
    verb = _verb(
        verbs,
        "generate",
        "Write text for a prompt, with or without an adapted state.",
        'metagpt-tf generate --model learner.keras --state state.npz --sampler top_k "def area(width, height):"',
    )
    verb.add_argument(
        "prompt",
        nargs="*",
        help="source text: for code, a signature (and docstring); for images a few descriptions, by default all glyphs",
    )
    verb.add_argument("--app", choices=("text", "image"), default="text", help="what is written (default text)")
    verb.add_argument("--model", required=True, help="learner or model: a .keras file, or a preset")
    verb.add_argument("--state", help="state file written by adapt")
    verb.add_argument(
        "--sampler", default="greedy", help="greedy, temperature, top_k, top_p, min_p or beam (default greedy)"
    )
    verb.add_argument("--temperature", type=float, help="of a sampler that draws: below 1 sharper (default 1)")
    verb.add_argument("--repetition-penalty", type=float, help="above 1 discourages what was written (default 1)")
    verb.add_argument("--max-length", type=_positive, help="most tokens to write")
    verb.add_argument("--stop", action="append", default=[], help="string to stop at; may be repeated")
    verb.add_argument("--no-stream", action="store_true", help="write the text when it is whole, not as it comes")
    verb.add_argument("--out", help="picture of --app image, a .png file")
    verb.add_argument("--samples", type=_positive, default=1, help="drawings of each description (default 1)")
    verb.add_argument("--guidance", type=float, default=1.0, help="of drawings: above 1 closer to what is asked")
    _json(verb)


def _evaluate(verbs: argparse._SubParsersAction) -> None:
    verb = _verb(
        verbs,
        "evaluate",
        "Measure a learner on held-out tasks, before and after adaptation.",
        "metagpt-tf evaluate --preset text_nano --json figures.json",
    )
    which = verb.add_mutually_exclusive_group(required=True)
    which.add_argument("--model", help=LEARNER)
    which.add_argument(
        "--preset", help="a preset with a card: measured on all its held-out tasks, as its card says; no other options"
    )
    _application(verb)
    _data(verb)
    _k_shot(verb)
    verb.add_argument("--n-query", type=_positive, default=8, help="query examples of a task (default 8)")
    verb.add_argument("--batches", type=_positive, default=8, help="meta-batches of 4 held-out tasks (default 8)")
    verb.add_argument("--prompts", type=int, default=16, help="answers written in full and scored (default 16)")
    _json(verb)


def _export(verbs: argparse._SubParsersAction) -> None:
    verb = _verb(
        verbs,
        "export",
        "Export a learner to SavedModel and LiteRT, and compare both with Keras.",
        "metagpt-tf export --model learner.keras --output export/ --format both --k-shot 8",
    )
    verb.add_argument("--model", required=True, help="learner, a .keras file")
    verb.add_argument(
        "--output", required=True, help="directory: saved_model/<version>/ and model.tflite are written there"
    )
    verb.add_argument(
        "--format", choices=("saved_model", "litert", "both"), default="both", help="what to write (default both)"
    )
    verb.add_argument("--k-shot", type=_positive, default=8, help="support examples of the LiteRT file (default 8)")
    verb.add_argument("--tolerance", type=float, default=1e-4, help="largest difference accepted (default 0.0001)")
    _json(verb)


def _compress(verbs: argparse._SubParsersAction) -> None:
    verb = _verb(
        verbs,
        "compress",
        "Make a smaller LiteRT file that still learns, within a budget, and say what it cost.",
        "metagpt-tf compress --model code_nano --output small/ --size 0.3 --loss 1.01",
    )
    verb.add_argument("--model", required=True, help=LEARNER)
    _application(verb)
    _data(verb)
    verb.add_argument("--output", required=True, help="directory of the file and of each step; goes on where it ended")
    verb.add_argument(
        "--recipe",
        help="int8, pruned_int8, half_int8, packed, or a JSON file of steps; default: the first that keeps the budget",
    )
    verb.add_argument("--steps", type=_positive, default=100, help="meta-training steps of each step (default 100)")
    verb.add_argument(
        "--plain-steps",
        type=_at_least_zero,
        default=1000,
        help="steps of plain training before those, which cost a tenth each (default 1000)",
    )
    for name, text in (("size", "file"), ("packed", "packed file"), ("latency", "time of an answer")):
        verb.add_argument(f"--{name}", type=float, help=f"largest {text}, as a share of the original's")
    verb.add_argument(
        "--loss", type=float, help="largest loss after adaptation, as a share (without any: --size 0.3 --loss 1.01)"
    )
    _k_shot(verb)
    verb.add_argument("--batches", type=_positive, default=8, help="meta-batches of 4 held-out tasks (default 8)")
    _json(verb)


def _tune(verbs: argparse._SubParsersAction) -> None:
    text = "Train a learner on with the hyper-parameters that are best after adaptation (extra: tuning)."
    verb = _verb(verbs, "tune", text, "metagpt-tf tune --model code_nano --trials 6 --output tuning/")
    add_tune(verb, _positive)
    _application(verb)
    _data(verb)
    _k_shot(verb)
    _json(verb)


def _fuse(verbs: argparse._SubParsersAction) -> None:
    text = "Make one learner of several: averages and votes of predictions, stacking, or soups of weights."
    verb = _verb(verbs, "fuse", text, "metagpt-tf fuse --members a.keras b.keras --how soup --output fused.keras")
    add_fuse(verb, _positive)
    _application(verb)
    _data(verb)
    _k_shot(verb)
    _json(verb)


def _serve(verbs: argparse._SubParsersAction) -> None:
    verb = _verb(
        verbs,
        "serve",
        "Serve an exported SavedModel over TF Serving's REST and gRPC protocols, for development (extra: serving).",
        "metagpt-tf serve --path export/saved_model --name model",
    )
    verb.add_argument("--path", required=True, help="directory of numbered versions; a new one is taken up at once")
    verb.add_argument("--name", default="model", help="name in requests (default model)")
    verb.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1, this machine only)")
    verb.add_argument("--rest-port", type=int, default=8501, help="default 8501; 0 for any free one")
    verb.add_argument("--grpc-port", type=int, default=8500, help="default 8500; 0 for any free one")
    verb.add_argument("--max-batch", type=_positive, default=32, help="rows answered by one call (default 32)")
    verb.add_argument("--timeout", type=float, default=30.0, help="seconds that an answer may take (default 30)")


def _demo(verbs: argparse._SubParsersAction) -> None:
    verb = _verb(
        verbs,
        "demo",
        "Serve a page whose model learns in the browser's tab; written first where there is none.",
        "metagpt-tf demo --path demo",
    )
    verb.add_argument("--path", default="demo", help="directory of the page; served as it is if one is there")
    verb.add_argument(
        "--model", action="append", help="preset or .keras file; one for each tab (default image_nano, code_nano)"
    )
    verb.add_argument("--codes", default="glyph_codes", help="autoencoder of the one that draws (default glyph_codes)")
    verb.add_argument("--quantization", default="float32", help="of the weights (default float32)")
    verb.add_argument("--port", type=int, default=8080, help="default 8080; 0 for any free one")
    verb.add_argument("--write-only", action="store_true", help="write the page and serve nothing")


def _bench(verbs: argparse._SubParsersAction) -> None:
    verb = _verb(
        verbs,
        "bench",
        "Measure this machine: training steps, adaptation, tokens per second.",
        "metagpt-tf bench --json speed.json",
    )
    verb.add_argument("--preset", default="nano", help="size of the model (default nano)")
    verb.add_argument("--length", type=_positive, default=64, help="tokens of source and of target (default 64)")
    verb.add_argument("--repeats", type=_positive, default=5, help="calls behind each median (default 5)")
    _json(verb)
