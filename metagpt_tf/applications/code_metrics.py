"""How well a model writes, completes, repairs and reviews code, before and after adaptation.

Axes: N rows, T target, V vocabulary.
"""

import ast
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.applications.before_after import answers_before_and_after, loss_figures
from metagpt_tf.applications.code_generation import longest_tree, parses
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models.losses import token_crossentropy
from metagpt_tf.tasks.code_tasks import HOLE, SOUND, check_task
from metagpt_tf.tasks.syntax_tree import leading_statements

Judge = Callable[[str, str, str], dict[str, bool]]


def evaluate_code_model(
    model: MetaLearner,
    test_data: tf.data.Dataset,
    parse_prompts: int = 8,
    task: str = "body",
    representation: str = "bytes",
) -> dict[str, float]:
    """Quality on held-out tasks before and after adaptation.

    Args:
        model: a compiled learner.
        test_data: episodes, as in `preprocess_code_data(...)["test"]`.
        parse_prompts: texts generated for the figures that need some; 0 leaves those out.
        task: what the data was made for, see `preprocess_code_data`.
        representation: how its targets are written.

    Returns:
        `bits_per_byte` and `token_accuracy` over the targets, and by task, as shares of the generated texts:

        - `"body"`: `parses` (it is Python).
        - `"completion"`: `parses`, `exact_match`, `next_line` (its first line is right).
        - `"middle"`: `parses` (with what stands around it), `exact_match`, `next_line`.
        - `"repair"`: `parses`, `exact_match`.
        - `"review"`: `accuracy` (verdict, line and kind), `finds_line`, `verdict` (broken or not).

        Each also as `pre_…`, before adaptation. With `representation="tree"` a byte is one of the tree's text: multiply
        by the length of the targets to compare the two.

    Raises:
        ValueError: an unknown task or representation.
    """
    check_task(task, representation)
    figures = loss_figures(model, test_data)
    if parse_prompts:
        figures.update(_generated(model, test_data, parse_prompts, judge_of(task, representation)))
    return figures


def _generated(learner: MetaLearner, episodes: tf.data.Dataset, prompts: int, judge: Judge) -> dict[str, float]:
    answers = answers_before_and_after(learner, episodes, prompts)
    found: dict[str, list[bool]] = {}
    for when, texts in (("", answers.after), ("pre_", answers.before)):
        for source, target, text in zip(answers.sources, answers.targets, texts, strict=True):
            for name, value in judge(source, target, text).items():
                found.setdefault(f"{when}{name}", []).append(value)
    return {name: float(np.mean(values)) for name, values in found.items()}


def judge_of(task: str, representation: str = "bytes") -> Judge:
    """The function `(source, target, text) -> {figure: right or not}` of a task.

    Raises:
        ValueError: an unknown task or representation.

    Example:

    >>> judge_of("review")("def f(): pass", "line 3: name", "line 3: colon")
    {'accuracy': False, 'finds_line': True, 'verdict': True}
    """
    check_task(task, representation)
    if task == "review":
        return _review
    syntax = _TREES[task] if representation == "tree" else _TEXTS[task]

    def judge(source: str, target: str, text: str) -> dict[str, bool]:
        figures = {"parses": syntax(source, text)}
        if task != "body":
            figures["exact_match"] = text == target
        if task in ("completion", "middle"):
            figures["next_line"] = text.split("\n")[0].rstrip() == target.split("\n")[0].rstrip()
        return figures

    return judge


def _review(source: str, target: str, text: str) -> dict[str, bool]:
    del source  # the verdict is about it, and does not repeat it
    said, true = text.strip(), target.strip()
    return {
        "accuracy": said == true,
        "finds_line": said.split(":")[0] == true.split(":")[0],
        "verdict": (said == SOUND) == (true == SOUND),
    }


def _is_python(text: str) -> bool:
    try:
        return bool(ast.parse(text).body)
    except (SyntaxError, ValueError):
        return False


def _filled(source: str, text: str) -> bool:
    return HOLE in source and _is_python(source.replace(HOLE, text, 1))


def _whole_tree(source: str, text: str) -> bool:
    del source  # a tree is whole or not by itself
    module, whole = leading_statements(text)
    return whole and bool(module.body)


_TEXTS: dict[str, Callable[[str, str], bool]] = {
    "body": parses,
    "completion": lambda source, text: bool(text.strip()) and _is_python(f"{source}\n{text}"),
    "middle": _filled,
    "repair": lambda source, text: _is_python(text),
}
_TREES: dict[str, Callable[[str, str], bool]] = {
    **dict.fromkeys(("completion", "middle", "repair"), _whole_tree),
    "body": lambda source, text: longest_tree(source, text)[1],
}


def text_figures(logits: Any, target: np.ndarray, tokenizer: Any) -> tuple[float, int, list[bool]]:
    """Bits, bytes and lines of targets under teacher forcing.

    A line is right if every one of its tokens is the likeliest after the true ones before it. That is what greedy
    decoding from the true beginning would write, without running it.

    Args:
        logits: `(N, T, V)` float.
        target: `(N, T)` int32, each row ended by EOS and filled with PAD.
        tokenizer: what packed them.

    Returns:
        Bits over all tokens; bytes they stand for, each EOS counted as one; for each whole line, whether it is right.
        The last line of a row without room for PAD may be cut; it is left out, as blank lines are.

    Raises:
        ValueError: shapes that do not fit.

    Example:

    >>> from metagpt_tf.tokenizers import ByteTokenizer
    >>> target = ByteTokenizer().pack(["a", "b"], length=4)
    >>> logits = np.eye(259, dtype="float32")[target] * 100.0
    >>> [round(float(x), 3) if isinstance(x, float) else x for x in text_figures(logits, target, ByteTokenizer())]
    [0.0, 4, [True, True]]
    """
    target = np.asarray(target)
    real = target != tokenizer.pad_id
    bits = float(np.sum(np.asarray(token_crossentropy(target, logits)) * real)) / math.log(2.0)
    right = np.argmax(np.asarray(logits), axis=-1) == target
    pieces = tokenizer.pieces
    size = sum(len(pieces[token]) or 1 for token in target[real].tolist())
    lines: list[bool] = []
    for tokens, hits, kept in zip(target, right, real, strict=True):
        start, row = 0, [pieces[token] for token in tokens[kept].tolist()]
        for place, piece in enumerate(row):
            ends = b"\n" in piece or (place == len(row) - 1 and len(row) < len(tokens))
            if ends:
                if b"".join(row[start : place + 1]).strip():
                    lines.append(bool(hits[start : place + 1].all()))
                start = place + 1
    return bits, size, lines
