"""Code generation: load, preprocess, define, fit, evaluate, generate.

A task is a package or module; an example is a documented function: signature and docstring in, body out. From the same
functions come completion, filling in, repair and review (`tasks/code_tasks.py`).
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from metagpt_tf.applications.code_generation import function_prompt, generate_code, longest_parsing, parses
from metagpt_tf.applications.code_metrics import evaluate_code_model
from metagpt_tf.applications.code_report import CodeReport
from metagpt_tf.applications.episodes import define_learner, text_episodes, trained_tokenizer
from metagpt_tf.datasets import load_functions
from metagpt_tf.meta import MetaLearner
from metagpt_tf.presets import find_preset
from metagpt_tf.tasks.code_tasks import code_problems

LENGTH = 64  # of source and target, in tokens

__all__ = [
    "CodeReport",
    "define_meta_gpt_code_model",
    "evaluate_code_model",
    "function_prompt",
    "generate_code",
    "load_code_data",
    "longest_parsing",
    "parses",
    "preprocess_code_data",
]

Functions = Mapping[str, Mapping[str, Sequence[tuple[str, str]]]]


def load_code_data(
    path: str | os.PathLike | Sequence[str | os.PathLike] | None = None,
    packages: Sequence[str] = (),
    min_functions: int = 20,
) -> Functions:
    """Documented functions by split and task.

    Args:
        path: folder, file or list of them; `None` for the standard library of the running Python.
        packages: names of installed packages to add, a task each; `"keras.src.*"`: a task for each part of one.
        min_functions: fewest functions that make a task.

    Returns:
        `{"meta_train" | "meta_validation" | "meta_test": {task: [(source, target), …]}}`, whole tasks held out.

    Raises:
        FileNotFoundError: the path does not exist.
        ValueError: too few tasks for three splits.
    """
    return load_functions(path, packages=packages, min_functions=min_functions)


def preprocess_code_data(
    data: Functions,
    source_length: int = LENGTH,
    target_length: int = LENGTH,
    tokenizer: Any = "bytes",
    meta_batch_size: int = 4,
    k_shot: int = 8,
    n_query: int = 8,
    num_batches: Mapping[str, int] | None = None,
    seed: int = 0,
    task: str = "body",
    representation: str = "bytes",
    vocabulary_size: int = 1024,
) -> dict[str, Any]:
    """Make problems of functions, tokenise them and make episodes of them.

    Args:
        data: what `load_code_data` returned.
        source_length: tokens of a source kept (of `"body"`: signature and docstring).
        target_length: tokens of a target kept (of `"body"`: the body).
        tokenizer: name or object; `"bpe"` is trained on the training tasks (`pip install metagpt_tf[bpe]`).
        meta_batch_size, k_shot, n_query: shape of an episode dataset.
        num_batches: meta-batches of `"train"`, `"validation"` and `"test"`; by default 200, 4 and 8.
        seed: of the episodes, and of the cuts and faults of the task.
        task: `"body"`, `"completion"` (first lines in, the rest out), `"middle"` (what stands around a hole in, what
            belongs there out), `"repair"` (broken in, sound out) or `"review"` (`"ok"` or `"line 3: name"` out).
        representation: `"bytes"`, or `"tree"` for targets that are linearised syntax trees (`tasks/syntax_tree.py`).
        vocabulary_size: of a BPE tokenizer that is trained here.

    Returns:
        `"train"`, `"validation"`, `"test"`: datasets of `Episode` over disjoint tasks; `"tasks"`: the `TextTasks`
        they come from. Functions that allow no such problem within the lengths are left out, with a count.

    Raises:
        ValueError: an unknown task, representation or tokenizer, or a split that is left empty.

    Example:

    >>> data = preprocess_code_data(load_code_data())  # doctest: +SKIP
    >>> learner.fit(data["train"], data["validation"], epochs=5)  # doctest: +SKIP
    """
    sizes = {"source_bytes": source_length - 1, "target_bytes": target_length - 1}
    problems = code_problems(data, task, seed, representation, **sizes)
    shape = (meta_batch_size, k_shot, n_query)
    tokenizer = trained_tokenizer(tokenizer, lambda: problems, vocabulary_size)
    return text_episodes(problems, tokenizer, source_length, target_length, shape, num_batches, seed)


def define_meta_gpt_code_model(
    preset: str | os.PathLike = "code_nano",
    algorithm: Any = None,
    optimizer: Any = None,
    source_length: int | None = None,
    target_length: int | None = None,
    tokenizer: Any = None,
    **overrides: Any,
) -> MetaLearner:
    """A compiled `MetaLearner` round a `MetaGPT`, ready for `fit`.

    Args:
        preset: the name or directory of a trained model, which brings its algorithm and tokenizer (`"code_nano"` comes
            with the package), or the size of a new one (`"nano"`).
        algorithm: name or object; by default the preset's own, for a new model second-order `MAML` on the low-rank
            adapters, three steps, learned rate.
        optimizer: of the outer loop; by default Adam at 1e-3 with clipped gradients.
        source_length, target_length: as in `preprocess_code_data`; `None` for the preset's own, 64 for a new model.
        tokenizer: the one of `preprocess_code_data(...)["tasks"].tokenizer`; by default the preset's own, for a
            new model bytes.
        **overrides: other arguments of `MetaGPT`.

    Raises:
        ValueError: unknown preset or algorithm (the closest name is suggested), or sizes or a tokenizer that a trained
            model cannot take.
    """
    given = {"source_length": source_length, "target_length": target_length}
    own = {} if find_preset(preset) else dict.fromkeys(given, LENGTH)
    lengths = {**own, **{name: length for name, length in given.items() if length is not None}}
    return define_learner(preset, algorithm, optimizer, tokenizer, **lengths, **overrides)
