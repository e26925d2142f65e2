"""Faults for real functions: each changes one line, and with it the syntax tree, or makes the text no Python at all."""

import ast
import io
import random
import tokenize
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from metagpt_tf.registry import closest

OPERATORS = {
    **{"+": "-", "-": "+", "*": "/", "/": "*", "//": "/", "%": "//", "<<": ">>", ">>": "<<", "&": "|", "|": "&"},
    **{"+=": "-=", "-=": "+=", "*=": "/=", "/=": "*=", "and": "or", "or": "and"},
}
COMPARISONS = {"==": "!=", "!=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">"}
CLOSING = ")]}"


@dataclass(frozen=True)
class Corruption:
    """A function with one fault.

    Args:
        text: the broken text.
        line: number of the line that is wrong, from 1; of a line that is missing, the one now in its place.
        kind: what was done, a key of `CORRUPTIONS`.
    """

    text: str
    line: int
    kind: str


@dataclass(frozen=True)
class Text:
    """A function's text, its lines and tokens, and the lines that may be changed."""

    text: str
    lines: list[str]
    tokens: list[tokenize.TokenInfo]
    names: list[str]
    allowed: frozenset[int]

    def tokens_allowed(self) -> Iterator[tuple[tokenize.TokenInfo, tokenize.TokenInfo, tokenize.TokenInfo]]:
        """Each token of a line that may be changed, between its neighbours."""
        triples = zip(self.tokens, self.tokens[1:], self.tokens[2:], strict=False)
        return (triple for triple in triples if triple[1].start[0] in self.allowed)

    def replaced(self, token: tokenize.TokenInfo, new: str) -> tuple[int, list[str]]:
        """The edit that writes `new` in place of a token."""
        row, line = token.start[0], self.lines[token.start[0] - 1]
        return row, [line[: token.start[1]] + new + line[token.end[1] :]]


Edit = tuple[int, list[str]]  # number of a line, and the lines to put in its place


def _names(text: Text, rng: random.Random) -> list[Edit]:
    edits = []
    for before, token, after in text.tokens_allowed():
        if token.string in text.names and before.string != "." and after.string != "=":
            others = [name for name in text.names if name != token.string]
            edits.append(text.replaced(token, rng.choice([*others, f"{token.string}_"])))
    return edits


def _swapped(table: dict[str, str]) -> Callable[[Text, random.Random], list[Edit]]:
    def find(text: Text, rng: random.Random) -> list[Edit]:
        del rng  # the table leaves no choice
        found = (token for _, token, _ in text.tokens_allowed() if token.string in table)
        return [text.replaced(token, table[token.string]) for token in found]

    return find


def _constants(text: Text, rng: random.Random) -> list[Edit]:
    tokens = (t for _, t, _ in text.tokens_allowed() if t.type == tokenize.NUMBER and t.string.isdecimal())
    return [text.replaced(t, str(abs(int(t.string) + rng.choice((-1, 1))))) for t in tokens]


def _brackets(text: Text, rng: random.Random) -> list[Edit]:
    del rng
    tokens = (t for _, t, _ in text.tokens_allowed() if t.type == tokenize.OP and t.string in CLOSING)
    return [text.replaced(token, "") for token in tokens]


def _colons(text: Text, rng: random.Random) -> list[Edit]:
    del rng
    ends = (tokenize.NEWLINE, tokenize.COMMENT)
    found = ((token, after) for _, token, after in text.tokens_allowed() if token.string == ":")
    return [text.replaced(token, "") for token, after in found if after.type in ends]


def _returns(text: Text, rng: random.Random) -> list[Edit]:
    del rng
    rows = [(row, text.lines[row - 1]) for row in sorted(text.allowed)]
    return [(row, [line.replace("return ", "", 1)]) for row, line in rows if line.lstrip().startswith("return ")]


def _indents(text: Text, rng: random.Random) -> list[Edit]:
    edits = []
    for row in sorted(text.allowed):
        line = text.lines[row - 1]
        widths = [w for w in (-4, -2, -1, 1, 2, 4) if w > 0 or line.startswith(" " * -w)]
        width = rng.choice(widths)
        edits.append((row, [" " * width + line if width > 0 else line[-width:]]))
    return edits


def _dropped(text: Text, rng: random.Random) -> list[Edit]:
    del rng
    return [(row, []) for row in sorted(text.allowed)]


def _duplicated(text: Text, rng: random.Random) -> list[Edit]:
    del rng
    return [(row, [text.lines[row - 1]] * 2) for row in sorted(text.allowed)]


CORRUPTIONS: dict[str, Callable[[Text, random.Random], list[Edit]]] = {
    "bracket": _brackets,
    "colon": _colons,
    "comparison": _swapped(COMPARISONS),
    "constant": _constants,
    "dropped line": _dropped,
    "duplicated line": _duplicated,
    "indent": _indents,
    "name": _names,
    "operator": _swapped(OPERATORS),
    "return": _returns,
}
STILL_PYTHON = {"comparison", "constant", "name", "operator", "return"}


def corrupt(
    text: str,
    seed: int | str = 0,
    kinds: Sequence[str] | None = None,
    first_line: int = 2,
    visible_bytes: int | None = None,
) -> Corruption | None:
    """Put one fault into a function.

    Use it for data on repair and review. The fault is real: the syntax tree differs, or there is none. What it does to
    the function's results is not examined, so that a few faults may compute the same.

    Args:
        text: a whole function.
        seed: of the choice; the same text, seed and kinds give the same fault.
        kinds: keys of `CORRUPTIONS` to choose from; default all.
        first_line: first line that may be changed, from 1; default the one below `def`.
        visible_bytes: change only what lies whole within the first so many bytes; default all.

    Returns:
        The broken text, or None where no fault of these kinds fits.

    Raises:
        SyntaxError: the text is no Python.
        ValueError: an unknown kind (the message suggests the closest).

    Example:

    >>> corrupt("def f(x):\\n    return x + 1", kinds=["operator"])
    Corruption(text='def f(x):\\n    return x - 1', line=2, kind='operator')
    """
    for kind in kinds or ():
        if kind not in CORRUPTIONS:
            raise ValueError(f"Unknown kind of corruption {kind!r}. {closest(kind, CORRUPTIONS)}")
    rng = random.Random(f"{seed}/{text}")
    before = _tree(text)
    parsed = _parsed(text, before, first_line, visible_bytes)
    order = list(CORRUPTIONS) if kinds is None else list(kinds)
    rng.shuffle(order)
    for kind in order:
        edits = CORRUPTIONS[kind](parsed, rng)
        rng.shuffle(edits)
        for row, replacement in edits[:8]:
            lines = [*parsed.lines[: row - 1], *replacement, *parsed.lines[row:]]
            broken = "\n".join(lines)
            after = _tree_or_none(broken)
            if kind not in STILL_PYTHON if after is None else not same_tree(before, after):
                return Corruption(broken, min(row + (kind == "duplicated line"), len(lines)), kind)
    return None


def same_tree(one: Any, other: Any) -> bool:
    """Whether two syntax trees are equal but for places; unlike two dumps, it stops where they differ."""
    if isinstance(one, ast.AST):
        return type(one) is type(other) and all(
            same_tree(getattr(one, name, None), getattr(other, name, None)) for name in one._fields
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same_tree, one, other))
    # 1, 1.0 and True are equal as values, and different as literals.
    return type(one) is type(other) and repr(one) == repr(other)


def _parsed(text: str, tree: ast.Module, first_line: int, visible_bytes: int | None) -> Text:
    """The text with its tokens; lines inside a literal of several lines are left alone."""
    lines = text.split("\n")
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    allowed, place = set(), 0
    for row, line in enumerate(lines, start=1):
        place += len(line.encode("utf-8", "surrogatepass"))
        whole = visible_bytes is None or place <= visible_bytes
        if row >= first_line and whole and line.strip() and not line.lstrip().startswith("#"):
            allowed.add(row)
        place += 1
    for token in tokens:
        if token.type == tokenize.STRING and token.end[0] > token.start[0]:
            allowed -= set(range(token.start[0], token.end[0] + 1))
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return Text(text, lines, tokens, sorted(found), frozenset(allowed))


def _tree(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the parser warns about what a fault made odd, such as calling a number
        return ast.parse(text)


def _tree_or_none(text: str) -> ast.Module | None:
    try:
        return _tree(text)
    except (SyntaxError, ValueError):
        return None
