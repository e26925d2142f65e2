"""From a signature to a function that parses: write, check, write again, and at last keep what can be kept."""

import ast
import textwrap
import warnings
from collections.abc import Sequence
from typing import Any, Literal, overload

from metagpt_tf import generation
from metagpt_tf.applications.code_report import CodeReport, check_format, formatted, undefined_names
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.tasks.code_tasks import check_task
from metagpt_tf.tasks.syntax_tree import leading_statements

Model = MetaLearner | MetaGPT


@overload
def generate_code(
    model: Model,
    function_name: str,
    input_args: Sequence[str] | str = ...,
    *,
    return_report: Literal[False] = ...,
    **k: Any,
) -> str: ...


@overload
def generate_code(
    model: Model, function_name: str, input_args: Sequence[str] | str = ..., *, return_report: Literal[True], **k: Any
) -> tuple[str, CodeReport]: ...


def generate_code(
    model: Model,
    function_name: str,
    input_args: Sequence[str] | str = (),
    docstring: str = "",
    state: Any = None,
    attempts: int = 4,
    temperature: float = 0.8,
    format: str = "auto",
    representation: str = "bytes",
    return_report: bool = False,
    **options: Any,
) -> str | tuple[str, CodeReport]:
    """Write a Python function; it is parsed and formatted, never executed.

    The first text is written as the options say (greedily by default), each further one at a temperature with its own
    seed, until one parses as a whole. If none does, the longest beginning that parses is kept. Decoding is constrained
    by syntax nowhere; for trees it hardly matters, since the whole statements at the head of a tree parse. Masking the
    tokens of plain text would need an incremental parser in the decode loop, and is not done.

    Args:
        model: a learner or its model.
        function_name: name of the function.
        input_args: names of its arguments, with defaults, annotations or stars if they have such.
        docstring: what it should do.
        state: what a task taught (`learner.adapt`).
        attempts: most texts that are written, at least 1.
        temperature: of the texts after the first.
        format: `"auto"` for the layout of `ruff format` or `black`, whichever is installed; `"none"`.
        representation: what the model was trained to write, see `preprocess_code_data`.
        return_report: whether a `CodeReport` comes with the code.
        **options: of `MetaGPT.generate` (`sampler`, `seed`, `max_length`, …).

    Returns:
        The function's source; with `return_report`, the pair of source and report. If no text has even one line that
        parses, the raw text of the first, with a warning.

    Raises:
        ValueError: a name or an argument that is no Python identifier, an unknown format or representation, attempts
            below 1.
    """
    names = [input_args] if isinstance(input_args, str) else list(input_args)
    _check(function_name, names, attempts, format, representation)
    prompt = function_prompt(function_name, names, docstring)
    tries = _Tries(prompt, representation)
    _write(model, tries, attempts, temperature, {"state": state, **options})
    if tries.best is None:
        warnings.warn(
            f"The model wrote no line for {function_name!r} that parses; returning its raw text.", stacklevel=2
        )
        code, report = f"{prompt}\n{tries.first}", CodeReport(False, None, tries.count, False, None)
    else:
        code, formatter = formatted(tries.best, format)
        report = CodeReport(True, undefined_names(code), tries.count, not tries.whole, formatter)
    return (code, report) if return_report else code


def _check(name: str, arguments: Sequence[str], attempts: int, format: str, representation: str) -> None:
    for one in (name, *(one.lstrip("*").split("=")[0].split(":")[0].strip() for one in arguments)):
        if not one.isidentifier():
            raise ValueError(f"generate_code: {one!r} is not a Python identifier.")
    check_format(format)
    check_task("body", representation)
    if attempts < 1:
        raise ValueError(f"generate_code: attempts must be at least 1, received {attempts}.")


def _write(model: Model, tries: "_Tries", attempts: int, temperature: float, options: dict[str, Any]) -> None:
    """Let the model write until a text parses as a whole."""
    generator: Any = model.model if isinstance(model, MetaLearner) else model
    for attempt in range(attempts):
        changed = {**options, **_resampling(options, temperature, attempt)}
        if tries.add(str(generator.generate(tries.prompt, truncate=True, **changed))):
            return


class _Tries:
    """The best of several texts: one that parses as a whole, else the one of which most lines do."""

    def __init__(self, prompt: str, representation: str) -> None:
        self.prompt, self.representation = prompt, representation
        self.best: str | None = None
        self.first = ""
        self.whole, self.count = False, 0

    def add(self, body: str) -> bool:
        """Look at a text; True if nothing better can come."""
        self.first = body if self.count == 0 else self.first
        self.count += 1
        if self.representation == "tree":
            code, self.whole = longest_tree(self.prompt, body)
        else:
            code, self.whole = longest_parsing(self.prompt, body), parses(self.prompt, body)
        if code is not None and (self.whole or self.best is None or len(code) > len(self.best)):
            self.best = code
        return self.whole


def _resampling(options: dict[str, Any], temperature: float, attempt: int) -> dict[str, Any]:
    """What is different in a further attempt; the first is the caller's own."""
    if attempt == 0:
        return {}
    given = generation.get(options.get("sampler", "greedy"))
    seed = (options.get("seed") or 0) + attempt
    greedy = given.is_greedy or given.temperature == 0
    return {"seed": seed, "sampler": generation.get("random", temperature=temperature) if greedy else given}


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
        tree = _parsed("\n".join([prompt, *lines[:count]]))
        if tree is not None:
            return ast.unparse(tree)
    return None


def longest_tree(prompt: str, body: str) -> tuple[str | None, bool]:
    """The function with the whole statements that a linearised body begins with, and whether that is all of it."""
    module, whole = leading_statements(body)
    if not module.body:
        return None, False
    code = f"{prompt}\n{textwrap.indent(ast.unparse(module), '    ')}"
    tree = _parsed(code)
    return (None, False) if tree is None else (ast.unparse(tree), whole)


def parses(prompt: str, body: str) -> bool:
    """Whether prompt and body together are Python as they stand, with a body that says something."""
    if not body.strip():
        return False
    return _parsed(f"{prompt}\n{textwrap.indent(textwrap.dedent(body), '    ')}") is not None


def _parsed(code: str) -> ast.Module | None:
    """The tree of a text, None if it is no Python; warnings about odd literals are not the caller's concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
