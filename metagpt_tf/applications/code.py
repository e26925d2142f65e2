"""Code generation: load, preprocess, define, fit, evaluate, generate.

A task is a package or module; an example is a documented function: signature and docstring in, body out.
"""

import ast
import os
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from metagpt_tf.datasets import load_functions
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.tasks import Episode, TextTasks

Functions = Mapping[str, Mapping[str, Sequence[tuple[str, str]]]]


def load_code_data(
    path: str | os.PathLike | Sequence[str | os.PathLike] | None = None,
    packages: Sequence[str] = (),
    min_functions: int = 20,
) -> Functions:
    """Documented functions by split and task.

    Args:
        path: folder, file or list of them; `None` for the standard library of the running Python.
        packages: names of installed packages to add.
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
    source_length: int = 64,
    target_length: int = 64,
    tokenizer: Any = "bytes",
    meta_batch_size: int = 4,
    k_shot: int = 8,
    n_query: int = 8,
    num_batches: Mapping[str, int] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Tokenise functions and make episodes of them.

    Args:
        data: what `load_code_data` returned.
        source_length: tokens of signature and docstring kept.
        target_length: tokens of the body kept.
        tokenizer: name or object.
        meta_batch_size, k_shot, n_query: shape of an episode dataset.
        num_batches: meta-batches of `"train"`, `"validation"` and `"test"`; by default 200, 4 and 8.
        seed: of the episodes.

    Returns:
        `"train"`, `"validation"`, `"test"`: datasets of `Episode` over disjoint tasks; `"tasks"`: the `TextTasks`
        they come from.

    Example:

    >>> data = preprocess_code_data(load_code_data())  # doctest: +SKIP
    >>> learner.fit(data["train"], data["validation"], epochs=5)  # doctest: +SKIP
    """
    batches = {"train": 200, "validation": 4, "test": 8, **(num_batches or {})}
    tasks = TextTasks.from_pairs(data, tokenizer, source_length, target_length, on_small="drop")
    episodes = {
        name: tasks.split(f"meta_{name}").as_dataset(meta_batch_size, k_shot, n_query, seed, num_batches=batches[name])
        for name in ("train", "validation", "test")
    }
    return {**episodes, "tasks": tasks}


def define_meta_gpt_code_model(
    preset: str = "nano",
    algorithm: Any = None,
    optimizer: Any = None,
    source_length: int = 64,
    target_length: int = 64,
    **overrides: Any,
) -> MetaLearner:
    """A compiled `MetaLearner` round a `MetaGPT`, ready for `fit`.

    Args:
        preset: size of the model.
        algorithm: name or object; by default second-order `MAML` on the low-rank adapters, three steps, learned rate.
        optimizer: of the outer loop; by default Adam at 1e-3 with clipped gradients.
        source_length, target_length: as in `preprocess_code_data`.
        **overrides: other arguments of `MetaGPT`.

    Raises:
        ValueError: unknown preset or algorithm (the closest name is suggested).
    """
    model = MetaGPT.from_preset(preset, source_length=source_length, target_length=target_length, **overrides)
    if algorithm is None:
        # Low-rank adapters make the state a few kilobytes, keep the start good, and bear a large rate.
        algorithm = MAML(inner_steps=3, inner_learning_rate=0.5, scope="low_rank", learn_rate=True)
    learner = MetaLearner(model, algorithm)
    learner.compile(keras.optimizers.Adam(1e-3, clipnorm=1.0) if optimizer is None else optimizer)
    return learner


def evaluate_code_model(model: MetaLearner, test_data: tf.data.Dataset, parse_prompts: int = 8) -> dict[str, float]:
    """Quality on held-out tasks before and after adaptation.

    Args:
        model: a compiled learner.
        test_data: episodes, as in `preprocess_code_data(...)["test"]`.
        parse_prompts: functions generated to see which parse; 0 leaves that figure out.

    Returns:
        `bits_per_byte`, `token_accuracy` and `parses` (share of generated functions that are Python), each also as
        `pre_…`.
    """
    logs = model.evaluate(test_data, verbose=0, return_dict=True)
    figures = {
        f"{when}{name}": float(logs[f"{when}{key}"])
        for when in ("", "pre_")
        for name, key in (("bits_per_byte", "bits_per_token"), ("token_accuracy", "token_accuracy"))
    }
    if parse_prompts:
        figures.update(_parsing(model, test_data, parse_prompts))
    return figures


def generate_code(
    model: MetaLearner | MetaGPT,
    function_name: str,
    input_args: Sequence[str] | str = (),
    docstring: str = "",
    state: Any = None,
    **options: Any,
) -> str:
    """Write a Python function; it is parsed and formatted, never executed.

    Args:
        model: a learner or its model.
        function_name: name of the function.
        input_args: names of its arguments.
        docstring: what it should do.
        state: what a task taught (`learner.adapt`).
        **options: of `MetaGPT.generate` (`sampler`, `seed`, `max_length`, …).

    Returns:
        The function's source, formatted. Of a body that does not parse as a whole, the longest run of leading lines
        that does; if not even one line parses, the raw text, with a warning.

    Raises:
        ValueError: a name or an argument that is no Python identifier.
    """
    names = [input_args] if isinstance(input_args, str) else list(input_args)
    for name in (function_name, *(n.lstrip("*").split("=")[0].split(":")[0].strip() for n in names)):
        if not name.isidentifier():
            raise ValueError(f"generate_code: {name!r} is not a Python identifier.")
    prompt = function_prompt(function_name, names, docstring)
    generator = model.model if isinstance(model, MetaLearner) else model
    body = str(generator.generate(prompt, state=state, truncate=True, **options))
    code = longest_parsing(prompt, body)
    if code is None:
        warnings.warn(
            f"The model wrote no line for {function_name!r} that parses; returning its raw text.", stacklevel=2
        )
        return f"{prompt}\n{body}"
    return code


def function_prompt(name: str, arguments: Sequence[str], docstring: str = "") -> str:
    """The source text of an example: signature, and docstring if there is one."""
    signature = f"def {name}({', '.join(arguments)}):"
    return f'{signature}\n    """{docstring}"""' if docstring else signature


def longest_parsing(prompt: str, body: str) -> str | None:
    """The function with as many leading lines of `body` as parse, formatted; `None` if not even one does."""
    lines = textwrap.indent(textwrap.dedent(body), "    ").splitlines()
    for count in range(len(lines), 0, -1):
        if not any(line.strip() for line in lines[:count]):
            continue
        try:
            tree = ast.parse("\n".join([prompt, *lines[:count]]))
        except (SyntaxError, ValueError):
            continue
        return ast.unparse(tree)
    return None


def parses(prompt: str, body: str) -> bool:
    """Whether prompt and body together are Python as they stand, with a body that says something."""
    if not body.strip():
        return False
    try:
        ast.parse(f"{prompt}\n{textwrap.indent(textwrap.dedent(body), '    ')}")
    except (SyntaxError, ValueError):
        return False
    return True


def _parsing(learner: MetaLearner, episodes: tf.data.Dataset, prompts: int) -> dict[str, float]:
    generator: Any = learner.model
    found: dict[str, list[bool]] = {"parses": [], "pre_parses": []}
    for episode in tf.data.Dataset.unbatch(episodes):
        episode = Episode(*episode)
        state = learner.adapt((episode.support_x, episode.support_y))
        sources = [generator.tokenizer.decode(row) for row in np.asarray(episode.query_x)]
        for name, given in (("parses", state), ("pre_parses", None)):
            bodies = generator.generate(sources, state=given, truncate=True)
            found[name] += [parses(source, body) for source, body in zip(sources, bodies, strict=True)]
        if len(found["parses"]) >= prompts:
            break
    return {name: float(np.mean(values)) for name, values in found.items()}
