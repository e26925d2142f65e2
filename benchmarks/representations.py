"""How to write code down for a model: bytes, BPE tokens, or a linearised syntax tree.

The same functions in all three (layout that a tree loses is taken out of the text, too), the same model, the same count
of plain steps and of examples; judged by the bits that a whole body costs per byte of its text, on held-out modules,
before and after five steps on eight functions, at the rate that was best for each on validation modules.
"""

import argparse
import ast
import math
import time
import warnings
from collections.abc import Callable
from typing import Any

from machine import describe, sentence
from rounds import require_product, table, write_json
from seeds import interval, use_threads

MULTIPLIERS = (0.03, 0.1, 0.3, 1.0)
STEPS = (0, 5)
K = 8
PACKAGES = ("keras.src.*", "numpy.*")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--steps", type=int, default=300, help="plain steps on 64 examples each")
    add("--source", type=int, default=48, help="tokens of signature and docstring that are read")
    add("--target", type=int, default=96, help="tokens of a body; functions that do not fit in all forms are left out")
    add("--vocabulary", type=int, default=512, help="of BPE")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--threads", type=int, default=0, help="threads of TensorFlow; 0 for its own choice")
    add("--json", metavar="PATH", help="write the results there")
    return parser.parse_args()


def main() -> None:
    options = parse()
    require_product()
    use_threads(options.threads)
    machine = describe()
    print(sentence(machine))
    forms, counts = all_forms(options)
    print(f"{counts}; {options.steps} plain steps of 64 examples, {len(options.seeds)} seeds\n")
    results: dict[str, Any] = {}
    for name, (tasks, to_text) in forms.items():
        runs = [one_run(tasks, to_text, options, seed) for seed in options.seeds]
        results[name] = {"runs": runs}
        for when in ("before", "after"):
            mean, half = interval([run[when] for run in runs])
            results[name][when] = {"mean": mean, "low": mean - half, "high": mean + half}
    rows = [
        [n, *(f"{r[w]['mean']:.3f} ± {r[w]['high'] - r[w]['mean']:.3f}" for w in ("before", "after"))]
        for n, r in results.items()
    ]
    table(["bits per byte of a body's text", "before", "after 5 steps"], rows)
    settings = {key: value for key, value in vars(options).items() if key != "json"}
    content = {"benchmark": "representations", "machine": machine, "settings": settings, "functions": counts}
    write_json(options.json, {**content, "results": results})


def all_forms(options: argparse.Namespace) -> tuple[dict[str, tuple[Any, Callable[[str], str]]], dict[str, int]]:
    """Each form's tasks, with a function from what is written to the text it stands for; and how many functions fit."""
    from metagpt_tf.applications.code import load_code_data
    from metagpt_tf.tasks import TextTasks
    from metagpt_tf.tasks.syntax_tree import from_tree_text
    from metagpt_tf.tokenizers import BPETokenizer, ByteTokenizer

    rows = {
        split: {
            task: found for task, functions in tasks.items() if len(found := bodies(functions, options.target)) >= 3 * K
        }
        for split, tasks in load_code_data(packages=PACKAGES).items()
    }
    texts = [
        text for functions in rows["meta_train"].values() for source, body, _ in functions for text in (source, body)
    ]
    tokenizers = {"bytes": ByteTokenizer(), "tree": ByteTokenizer()}
    tokenizers["BPE"] = BPETokenizer.train(texts, options.vocabulary)
    forms = {}
    for name, tokenizer in tokenizers.items():
        column = 2 if name == "tree" else 1
        pairs = {s: {t: [(r[0], r[column]) for r in found] for t, found in tasks.items()} for s, tasks in rows.items()}
        tasks = TextTasks.from_pairs(pairs, tokenizer, options.source, options.target)
        forms[name] = (tasks, from_tree_text if name == "tree" else str)
    return forms, {split: sum(map(len, tasks.values())) for split, tasks in rows.items()}


def bodies(functions: Any, longest: int) -> list[tuple[str, str, str]]:
    """Source, body as text without layout, and body as a tree, of the functions whose body fits in both forms."""
    from metagpt_tf.tasks.code_tasks import CodeFunction
    from metagpt_tf.tasks.syntax_tree import tree_text

    found = []
    for source, target in functions:
        statements = CodeFunction(source, target).statements
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of code that is not ours
            text, tree = ast.unparse(ast.Module(statements, [])), tree_text(statements)
        if text and max(len(text.encode()), len(tree.encode())) < longest:
            found.append((source, text, tree))
    return found


def one_run(tasks: Any, to_text: Callable[[str], str], options: argparse.Namespace, seed: int) -> dict[str, float]:
    """Train plainly, tune the rate on validation modules, measure on held-out ones."""
    import keras

    from metagpt_tf.applications.comparison import annealed_adam
    from metagpt_tf.meta import MAML, AdaptationCurve, MetaLearner, best_rate
    from metagpt_tf.models import MetaGPT
    from metagpt_tf.tasks import pooled_examples

    keras.utils.set_random_seed(seed)
    lengths = {"source_length": options.source, "target_length": options.target}
    model = MetaGPT.from_preset("nano", tokenizer=tasks.tokenizer, dropout=0.1, **lengths)
    model.compile(annealed_adam(2e-3, options.steps), metrics=[])
    clock = time.perf_counter()
    examples = pooled_examples(tasks.as_dataset(4, K, K, seed=seed, num_batches=options.steps))
    model.fit(examples, verbose=0)
    seconds = time.perf_counter() - clock
    learner = MetaLearner(model, MAML(STEPS[-1], 0.1))
    learner.compile(metrics=[])
    curve = AdaptationCurve(learner, STEPS)
    rate, _ = best_rate(curve, tasks.split("meta_validation").every_task(K, K, 4), MULTIPLIERS)
    test = tasks.split("meta_test").every_task(K, 2 * K, 4)
    losses = curve(test, rate)
    tokens, size = tokens_and_bytes(tasks.tokenizer, test, to_text)
    before, after = ((losses[:, i] * tokens).sum() / (math.log(2) * size) for i in range(len(STEPS)))
    print(f"  seed {seed}: {before:.3f} -> {after:.3f} in {seconds:.0f} s", flush=True)
    return {
        "seed": seed,
        "before": float(before),
        "after": float(after),
        "rate": 0.1 * rate,
        "seconds": round(seconds, 1),
    }


def tokens_and_bytes(tokenizer: Any, episodes: Any, to_text: Callable[[str], str]) -> tuple[Any, int]:
    """Query tokens of each task, and all bytes of the texts they stand for, an end mark counted as one byte."""
    import numpy as np

    tokens, size = [], 0
    for episode in episodes:
        for task in np.asarray(episode.query_y):
            tokens.append(int((task != tokenizer.pad_id).sum()))
            size += sum(len(to_text(tokenizer.decode(row)).encode()) + 1 for row in task)
    return np.array(tokens), size


if __name__ == "__main__":
    main()
