"""Problems made of real functions: write the body, complete, fill in, repair, review. Each is pairs of texts."""

import ast
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from metagpt_tf.registry import closest
from metagpt_tf.tasks.code_corruptions import corrupt
from metagpt_tf.tasks.syntax_tree import tree_text

Pair = tuple[str, str]
Functions = Mapping[str, Mapping[str, Sequence[Pair]]]

HOLE = "<fill>"
SOUND = "ok"
REPRESENTATIONS = ("bytes", "tree")
LONGEST_MIDDLE = 5


@dataclass(frozen=True)
class Settings:
    """What a problem needs to know beside its function; sizes in bytes, None for no limit."""

    seed: int
    tree: bool
    source_bytes: int | None
    target_bytes: int | None


class CodeFunction:
    """A documented function, and where it may be cut.

    Args:
        source: signature and docstring.
        target: the body.
    """

    def __init__(self, source: str, target: str) -> None:
        self.source, self.target = source, target
        self.text = f"{source}\n{target}"
        self.lines = self.text.split("\n")
        self.head = source.count("\n") + 1

    @cached_property
    def statements(self) -> list[ast.stmt]:
        """The statements of the body, without the docstring."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parser warns about escapes in code that is not ours
            node = ast.parse(self.text).body[0]
        return node.body[1:] if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else []

    def borders(self, whole_statements: bool) -> list[int]:
        """Numbers of lines, from 0, before which the body may be cut."""
        if not whole_statements:
            return [row for row in range(self.head, len(self.lines)) if self.lines[row].strip()]
        ends = [0, *(statement.end_lineno or 0 for statement in self.statements)]
        rows = [_first_row(statement) for statement in self.statements]
        return [row for row, end in zip(rows, ends, strict=False) if row >= end]  # two on a line are not cut apart

    def written(self, start: int, stop: int, tree: bool) -> str:
        """Lines from `start` to before `stop`, as text or as the tree of the statements that begin there."""
        if not tree:
            return "\n".join(self.lines[start:stop])
        return tree_text(one for one in self.statements if start <= _first_row(one) < stop)


def _first_row(statement: ast.stmt) -> int:
    """The line, from 0, at which a statement begins, its decorators included."""
    return min([statement.lineno, *(one.lineno for one in getattr(statement, "decorator_list", ()))]) - 1


def _body(function: CodeFunction, settings: Settings, rng: random.Random) -> Pair | None:
    del rng
    body = tree_text(function.statements) if settings.tree else function.target
    return function.source, body


def _completion(function: CodeFunction, settings: Settings, rng: random.Random) -> Pair | None:
    borders = function.borders(settings.tree)
    if not borders:
        return None
    cut = rng.choice(borders)
    prefix = _last_lines(function.lines[:cut], settings.source_bytes)
    return None if prefix is None else (prefix, function.written(cut, len(function.lines), settings.tree))


def _middle(function: CodeFunction, settings: Settings, rng: random.Random) -> Pair | None:
    borders = [*function.borders(settings.tree), len(function.lines)]
    if len(borders) < 2:
        return None
    first = rng.randrange(len(borders) - 1)
    start, stop = borders[first], borders[min(first + rng.randint(1, LONGEST_MIDDLE), len(borders) - 1)]
    limit = settings.source_bytes
    room = None if limit is None else limit - len(HOLE) - 2
    prefix = _last_lines(function.lines[:start], None if room is None else room - room // 2)
    if prefix is None:
        return None
    rest = None if room is None else room - _size(prefix)
    suffix = _first_lines(function.lines[stop:], rest)
    return f"{prefix}\n{HOLE}\n{suffix}", function.written(start, stop, settings.tree)


def _repair(function: CodeFunction, settings: Settings, rng: random.Random) -> Pair | None:
    limits = [size for size in (settings.source_bytes, settings.target_bytes) if size is not None]
    # In a tree, a byte of the target is not the same place as in the source.
    visible = settings.source_bytes if settings.tree else min(limits, default=None)
    broken = corrupt(function.text, rng.random().hex(), None, function.head + 1, visible)
    if broken is None:
        return None
    return broken.text, function.written(0, len(function.lines), False) if not settings.tree else _whole_tree(function)


def _review(function: CodeFunction, settings: Settings, rng: random.Random) -> Pair | None:
    if rng.random() < 0.5:
        return function.text, SOUND
    broken = corrupt(function.text, rng.random().hex(), None, function.head + 1, settings.source_bytes)
    return None if broken is None else (broken.text, f"line {broken.line}: {broken.kind}")


def _whole_tree(function: CodeFunction) -> str:
    return tree_text(ast.parse(function.text).body)


CODE_TASKS: dict[str, Callable[[CodeFunction, Settings, random.Random], Pair | None]] = {
    "body": _body,
    "completion": _completion,
    "middle": _middle,
    "repair": _repair,
    "review": _review,
}


def code_pairs(
    functions: Sequence[Pair],
    task: str = "body",
    seed: int = 0,
    representation: str = "bytes",
    source_bytes: int | None = None,
    target_bytes: int | None = None,
) -> list[Pair]:
    """Make one problem of each function that allows it.

    The problems: `"body"`, signature and docstring in, body out; `"completion"`, the first lines in, the rest out;
    `"middle"`, what stands before and after `HOLE` in, what belongs there out; `"repair"`, a broken function in, the
    sound one out; `"review"`, a function in, `"ok"` or `"line 3: name"` out (half and half).

    Args:
        functions: `(source, target)`, as `load_functions` gives them.
        task: a key of `CODE_TASKS`.
        seed: of the cuts and faults; a function's problem depends on it, on the task and on its own text alone.
        representation: `"bytes"`, or `"tree"`: targets are linearised syntax trees, cuts lie between statements.
            Sources stay text: they may be broken or cut, and a caller writes them.
        source_bytes: room of a source. What must be seen (the end of a prefix, the fault) is kept inside it.
        target_bytes: room of a target.

    Returns:
        Pairs, in the order of the functions; shorter where a function has no place to cut or to break.

    Raises:
        ValueError: an unknown task or representation, or a review as a tree.

    Example:

    >>> function = ('def add(a, b):\\n    "Add."', "    total = a + b\\n    return total")
    >>> code_pairs([function], "completion", seed=1)
    [('def add(a, b):\\n    "Add."\\n    total = a + b', '    return total')]
    """
    check_task(task, representation)
    settings = Settings(seed, representation == "tree", source_bytes, target_bytes)
    problems = []
    for source, target in functions:
        rng = random.Random(f"{seed}/{task}/{source}\n{target}")
        problem = CODE_TASKS[task](CodeFunction(source, target), settings, rng)
        if problem is not None:
            problems.append(problem)
    return problems


def code_problems(
    data: Functions, task: str = "body", seed: int = 0, representation: str = "bytes", **sizes: int | None
) -> dict[str, dict[str, list[Pair]]]:
    """`code_pairs` for every task of every split; what is left out is counted in one warning.

    Args:
        data: split -> task -> functions.
        task, seed, representation: as in `code_pairs`.
        **sizes: `source_bytes` and `target_bytes` of `code_pairs`.

    Returns:
        Split -> task -> pairs, without tasks that have none.

    Raises:
        ValueError: as in `code_pairs`, or a split is left without any problem.

    Example:

    >>> data = {"meta_train": {"json": [('def f(x):\\n    "Same."', "    return x")]}}
    >>> code_problems(data, "body")["meta_train"]["json"]
    [('def f(x):\\n    "Same."', '    return x')]
    """
    made = {
        split: {name: code_pairs(rows, task, seed, representation, **sizes) for name, rows in tasks.items()}
        for split, tasks in data.items()
    }
    given = sum(len(rows) for tasks in data.values() for rows in tasks.values())
    kept = sum(len(rows) for tasks in made.values() for rows in tasks.values())
    if kept < given:
        warnings.warn(
            f"Left out {given - kept} of {given} functions: no place for {task!r} within {sizes}.", stacklevel=3
        )
    found = {split: {name: rows for name, rows in tasks.items() if rows} for split, tasks in made.items()}
    for split, tasks in found.items():
        if not tasks:
            raise ValueError(
                f"Split {split!r} has no function that allows the task {task!r} within {sizes}. Use longer sources and "
                f"targets, or more functions."
            )
    return found


def check_task(task: str, representation: str = "bytes") -> None:
    """Raise a ValueError unless these are names of a task and a representation that fit together."""
    if task not in CODE_TASKS:
        raise ValueError(f"Unknown code task {task!r}. {closest(str(task), CODE_TASKS)}")
    if representation not in REPRESENTATIONS:
        raise ValueError(f"Unknown representation {representation!r}. {closest(str(representation), REPRESENTATIONS)}")
    if representation == "tree" and task == "review":
        raise ValueError("The target of 'review' is no code, so it has no tree. Use representation='bytes'.")


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _last_lines(lines: Sequence[str], limit: int | None) -> str | None:
    """As many whole lines from the end as fit; None if not one does."""
    kept = len(lines)
    while kept and limit is not None and _size("\n".join(lines[-kept:])) > limit:
        kept -= 1
    return "\n".join(lines[-kept:]) if kept else None


def _first_lines(lines: Sequence[str], limit: int | None) -> str:
    kept = len(lines)
    while kept and limit is not None and _size("\n".join(lines[:kept])) > limit:
        kept -= 1
    return "\n".join(lines[:kept])
