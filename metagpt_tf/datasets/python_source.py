"""Documented Python functions as (signature + docstring, body) pairs, found with `ast` and checked by parsing again.

Pure Python: no TensorFlow, nothing is imported from the files read and nothing in them is executed.
"""

import ast
import copy
import hashlib
import io
import re
import sys
import tokenize
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from metagpt_tf.datasets.python_files import SourceFile
from metagpt_tf.datasets.splits import SPLITS, split_tasks

GENERATED = re.compile(
    r"do not edit|auto-?generated|automatically generated|@generated|file is generated", re.IGNORECASE
)
HEADER_CHARACTERS = 800
INDENT = 4

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    """One documented function; `source + "\\n" + target` parses and is the function without its decorators.

    Args:
        task: the top-level module or package that it belongs to (`"json"`).
        name: its qualified name inside the file (`"JSONDecoder.decode"`).
        source: the signature and the docstring, dedented.
        target: the body without the docstring, indented by four spaces.
        path: the file, relative to its root, with forward slashes (`"json/decoder.py"`).
        licence: the licence of its package, `"unknown"` where none is declared.
    """

    task: str
    name: str
    source: str
    target: str
    path: str
    licence: str


@dataclass
class Extraction:
    """Functions found, exact and near duplicates removed, and the files that could not be parsed."""

    functions: list[Function] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def warn(self) -> None:
        """Warn once about all the files that were skipped because they do not parse."""
        if self.unreadable:
            shown = ", ".join(self.unreadable[:5]) + (", …" if len(self.unreadable) > 5 else "")
            warnings.warn(
                f"Skipped {len(self.unreadable)} file(s) that Python {sys.version_info[0]}.{sys.version_info[1]} "
                f"cannot parse: {shown}",
                stacklevel=5,
            )


def extract(files: Iterable[SourceFile]) -> Extraction:
    """Read every documented function of the files; of functions that are the same, keep the first by path.

    Two functions are the same if their signatures and bodies have equal syntax trees, whatever their names,
    docstrings, annotations, decorators and comments.

    Args:
        files: what to read; the order does not matter.

    Returns:
        The functions sorted by path and place in the file, and the paths that do not parse.

    Example:

    >>> from metagpt_tf.datasets.python_files import installed_package
    >>> {function.task for function in extract(installed_package("json")).functions}
    {'json'}
    """
    result, seen = Extraction(), set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the parser warns about escapes in code that is not ours
        for file in sorted(files, key=lambda file: (file.path, str(file.file))):
            try:
                found = list(_functions_of(file))
            except (SyntaxError, ValueError, RecursionError):
                result.unreadable.append(file.path)
                continue
            for function, fingerprint in found:
                if fingerprint not in seen:
                    seen.add(fingerprint)
                    result.functions.append(function)
    return result


def by_task(functions: Iterable[Function], min_functions: int = 1) -> dict[str, list[Function]]:
    """Group functions by task, without the tasks that have fewer than `min_functions`."""
    tasks: dict[str, list[Function]] = defaultdict(list)
    for function in functions:
        tasks[function.task].append(function)
    return {task: tasks[task] for task in sorted(tasks) if len(tasks[task]) >= min_functions}


def split_functions(files: Sequence[SourceFile], min_functions: int = 20) -> dict[str, dict[str, list[Function]]]:
    """Extract the functions of some files and divide their tasks into three splits.

    Args:
        files: what to read.
        min_functions: tasks with fewer functions than this are dropped; at least 1.

    Returns:
        Split -> task -> functions, each task in one split only (see `splits.split_tasks`).

    Raises:
        ValueError: no documented function, or fewer than three tasks with enough of them.
    """
    if min_functions < 1:
        raise ValueError(f"min_functions must be at least 1, received {min_functions}.")
    extraction = extract(files)
    extraction.warn()
    if not extraction.functions:
        raise ValueError(
            f"No documented functions in {len(files)} Python file(s). Expected functions or methods with a docstring "
            f"and a body; tests, vendored and generated files are skipped."
        )
    found, tasks = by_task(extraction.functions), by_task(extraction.functions, min_functions)
    if len(tasks) < len(SPLITS):
        raise ValueError(
            f"Found {len(found)} task(s), {len(tasks)} of them with at least {min_functions} documented functions; "
            f"{len(SPLITS)} are needed, one for each of {', '.join(SPLITS)}. A task is a first-level package or "
            f"module: give more of them, or lower min_functions. Largest: {_largest(found)}."
        )
    return {split: {name: tasks[name] for name in names} for split, names in split_tasks(tasks).items()}


def _largest(tasks: dict[str, list[Function]], count: int = 5) -> str:
    names = sorted(tasks, key=lambda name: -len(tasks[name]))[:count]
    return ", ".join(f"{name} ({len(tasks[name])})" for name in names)


def _read(file: Path) -> str:
    """The text of a file in the encoding that it declares, with plain newlines."""
    data = file.read_bytes()
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def _functions_of(file: SourceFile) -> Iterator[tuple[Function, bytes]]:
    text = _read(file.file)
    if GENERATED.search(text[:HEADER_CHARACTERS]):
        return
    lines = text.split("\n")
    for name, node in _documented(ast.parse(text), ""):
        pair = _pair(node, lines)
        if pair is not None:
            yield Function(file.task, name, *pair, file.path, file.licence), _fingerprint(node)


def _documented(node: ast.AST, prefix: str) -> Iterator[tuple[str, FunctionNode]]:
    """Functions and methods with a docstring and a body; those inside another function stay part of its body."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FunctionNode):
            if ast.get_docstring(child, clean=False) is not None and len(child.body) > 1:
                yield prefix + child.name, child
        elif isinstance(child, ast.ClassDef):
            yield from _documented(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.stmt | ast.excepthandler):
            yield from _documented(child, prefix)


def _pair(node: FunctionNode, lines: list[str]) -> tuple[str, str] | None:
    """The source and target of a function, or None where its layout does not let it stand on its own."""
    docstring, first = node.body[0], node.body[1]
    head_end, body_start = docstring.end_lineno or 0, first.lineno
    if docstring.lineno == node.lineno or body_start == head_end:
        return None
    unit = _width(lines[first.lineno - 1]) - _width(lines[node.lineno - 1])
    if unit <= 0:
        return None
    base, kept = _width(lines[node.lineno - 1]), _lines_inside_strings(node.body[1:], lines)
    numbered = enumerate(lines[node.lineno - 1 : node.end_lineno], start=node.lineno)
    moved = [line if number in kept else _move(line, base, unit) for number, line in numbered]
    head = head_end - node.lineno + 1
    source, target = "\n".join(moved[:head]), "\n".join(moved[head:]).strip("\n")
    return (source, target) if _stands_alone(source, target, node) else None


def _width(line: str) -> int:
    expanded = line.expandtabs(8)
    return len(expanded) - len(expanded.lstrip())


def _move(line: str, base: int, unit: int) -> str:
    """Shift a line left by `base` columns and scale what is left so that one level is four columns."""
    width = max(_width(line) - base, 0)
    return " " * (width * INDENT // unit) + line.lstrip() if line.strip() else ""


def _lines_inside_strings(body: list[ast.stmt], lines: list[str]) -> set[int]:
    """Numbers of the lines that begin inside a string, whose spaces are data and must stay."""
    inside: set[int] = set()
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.JoinedStr) or (
                isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
            ):
                start, end = node.lineno, node.end_lineno or node.lineno
                text = "\n".join(lines[start - 1 : end])
                if end > start and ('"""' in text or "'''" in text or "\\\n" in text):
                    inside.update(range(start + 1, end + 1))
    return inside


def _stands_alone(source: str, target: str, node: FunctionNode) -> bool:
    """Whether the pair parses to the same signature and the same body as the function that it came from."""
    try:
        again = ast.parse(f"{source}\n{target}").body
    except (SyntaxError, ValueError):
        return False
    return (
        len(again) == 1
        and isinstance(again[0], FunctionNode)
        and ast.dump(again[0].args) == ast.dump(node.args)
        and list(map(ast.dump, again[0].body[1:])) == list(map(ast.dump, node.body[1:]))
    )


def _fingerprint(node: FunctionNode) -> bytes:
    """A digest of what the function computes: its parameters and its body."""
    arguments = copy.deepcopy(node.args)
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    dumps = [type(node).__name__, ast.dump(arguments), *map(ast.dump, node.body[1:])]
    return hashlib.sha256("\n".join(dumps).encode("utf-8", "surrogatepass")).digest()
