"""What can be said of generated code without running it: layout by a formatter, undefined names by pyflakes."""

import ast
import importlib.util
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass

from metagpt_tf.registry import closest

FORMATS = ("auto", "none")
FORMATTERS = {"ruff": ("format", "--isolated", "-"), "black": ("--quiet", "-")}
FORMAT_SECONDS = 20.0


@dataclass(frozen=True)
class CodeReport:
    """A short report on generated code.

    Args:
        syntax: whether the code parses.
        undefined_names: names it uses and nobody defines, in the order of their lines; None if the code does not parse
            or pyflakes is not installed (`pip install metagpt_tf[code]`).
        attempts: texts that the model wrote.
        truncated: whether lines of what it wrote were left out to get code that parses.
        formatted_by: `"ruff"`, `"black"`, or None where neither is installed or wanted.
    """

    syntax: bool
    undefined_names: tuple[str, ...] | None
    attempts: int
    truncated: bool
    formatted_by: str | None


def undefined_names(code: str) -> tuple[str, ...] | None:
    """Names that `code` uses and nobody defines, by pyflakes; None if pyflakes is not installed.

    Args:
        code: Python source that parses.

    Raises:
        SyntaxError: it does not parse.

    Example:

    >>> undefined_names("def f(x):\\n    return x + 1")
    ()
    """
    tree = ast.parse(code)
    if importlib.util.find_spec("pyflakes") is None:
        return None
    from pyflakes import checker, messages

    found = sorted(checker.Checker(tree, "generated").messages, key=lambda message: (message.lineno, message.col))
    names = [message.message_args[0] for message in found if isinstance(message, messages.UndefinedName)]
    return tuple(dict.fromkeys(names))


def formatted(code: str, format: str = "auto") -> tuple[str, str | None]:
    """The code in the layout of the first formatter that is installed, and that formatter's name.

    The formatter runs in its own process, reads the code from standard input and never executes it.

    Args:
        code: Python source that parses.
        format: `"auto"` for `ruff format`, else `black`, else the code as it is; `"none"` for the code as it is.

    Returns:
        The code without a line break at its end, and `"ruff"`, `"black"` or None. A formatter that fails is named in a
        warning, and the code stays as it is.

    Raises:
        ValueError: another format.

    Example:

    >>> formatted("x = 1", format="none")
    ('x = 1', None)
    """
    check_format(format)
    command = None if format == "none" else _formatter()
    if command is None:
        return code, None
    name, arguments = command
    try:
        done = subprocess.run(
            arguments, input=code + "\n", capture_output=True, text=True, encoding="utf-8", timeout=FORMAT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeEncodeError) as error:
        return _as_it_is(code, name, str(error))
    return (done.stdout.rstrip("\n"), name) if done.returncode == 0 else _as_it_is(code, name, done.stderr)


def check_format(format: str) -> None:
    """Raise a ValueError unless `format` is one of `FORMATS`."""
    if format not in FORMATS:
        raise ValueError(f"Unknown format {format!r}. {closest(str(format), FORMATS)}")


def _as_it_is(code: str, name: str, error: str) -> tuple[str, None]:
    warnings.warn(f"{name} did not format the code, so it stays as it is: {error.strip()[:200]}", stacklevel=4)
    return code, None


def _formatter() -> tuple[str, list[str]] | None:
    for name, arguments in FORMATTERS.items():
        if importlib.util.find_spec(name) is not None:
            return name, [sys.executable, "-m", name, *arguments]
        program = shutil.which(name)
        if program is not None:
            return name, [program, *arguments]
    return None
