"""Python as a linearised syntax tree: every node a code of one or two characters, then its parts, in prefix order.

    def add(a, b):
        return a + b           ⇄    dadd a b)r+a b)

There are no line breaks, indents, comments or brackets to get right: a statement that is complete is valid syntax.
"""

import ast
import warnings
from collections.abc import Iterable
from typing import Any

from metagpt_tf.tasks.tree_reader import TreeReader
from metagpt_tf.tasks.tree_writer import TreeWriter


def to_tree_text(source: str) -> str:
    """Linearise the syntax tree of Python statements.

    Use it as a second representation of code: what is lost is layout (comments, blank lines, quotes), which
    `ast.unparse` loses too. `from_tree_text(to_tree_text(s)) == ast.unparse(ast.parse(s))`.

    Args:
        source: one or more whole statements, such as a function.

    Returns:
        The tree as one text; a line break is only inside a literal.

    Raises:
        SyntaxError: the source is not Python.

    Example:

    >>> to_tree_text("def add(a, b=1):\\n    total = a + b\\n    return total")
    'dadd a b=1)=total+a b rtotal)'
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the parser warns about escapes in code that is not ours
        tree = ast.parse(source)
    return tree_text(tree.body)


def tree_text(statements: Iterable[ast.stmt]) -> str:
    """Linearise statements that are parsed already, such as the body of a function.

    Args:
        statements: nodes of `ast`.

    Example:

    >>> tree_text(ast.parse("x = 1; return x").body)
    '=x 1 rx'
    """
    writer = TreeWriter()
    for statement in statements:
        writer.statement(statement)
    return writer.text()


def from_tree_text(text: str) -> str:
    """Python source of a linearised tree, as `ast.unparse` formats it.

    Args:
        text: what `to_tree_text` wrote.

    Raises:
        ValueError: the text is no tree; the message names the character.

    Example:

    >>> from_tree_text("rfoo")
    'return foo'
    """
    return ast.unparse(parse_tree_text(text))


def parse_tree_text(text: str) -> ast.Module:
    """The syntax tree of a linearised tree, equal to the one that was written.

    Raises:
        ValueError: the text is no tree; the message names the character.

    Example:

    >>> ast.dump(parse_tree_text("p"))
    'Module(body=[Pass()], type_ignores=[])'
    """
    reader, body = TreeReader(text), list[ast.stmt]()
    while not reader.at_end():
        body.append(reader.statement())
    return _finished(body)


def leading_statements(text: str) -> tuple[ast.Module, bool]:
    """As many whole statements as a text begins with, and whether that is all of it.

    Use it for a text that a model wrote: what is whole is valid syntax, whatever stands behind it. A tree may still say
    what Python has no spelling for (`1 = x`, a name that is a keyword); it ends before such a statement.

    Args:
        text: a linearised tree, perhaps cut or damaged.

    Returns:
        The statements before the first fault, and True if there is none.

    Example:

    >>> module, whole = leading_statements("=x 1=y+x")
    >>> ast.unparse(module), whole
    ('x = 1', False)
    """
    reader, body = TreeReader(text), list[ast.stmt]()
    try:
        while not reader.at_end():
            statement = reader.statement()
            if not _has_spelling(statement):
                return _finished(body), False
            body.append(statement)
    except (ValueError, RecursionError):
        return _finished(body), False
    return _finished(body), True


def _has_spelling(statement: ast.stmt) -> bool:
    """Whether Python's own parser reads what a statement is written as."""
    try:
        ast.parse(ast.unparse(_finished([statement])))
    except (SyntaxError, ValueError):
        return False
    return True


def _finished(body: list[Any]) -> ast.Module:
    """A module of statements, with the contexts and places that a tree needs beside its parts."""
    module = ast.Module(body, [])
    for node in ast.walk(module):
        match node:
            case ast.Assign(targets=targets):
                _store(*targets)
            case ast.AugAssign(target=target) | ast.AnnAssign(target=target) | ast.NamedExpr(target=target):
                _store(target)
            case ast.For(target=target) | ast.AsyncFor(target=target) | ast.comprehension(target=target):
                _store(target)
            case ast.withitem(optional_vars=ast.expr() as target):
                _store(target)
            case ast.Delete(targets=targets):
                _store(*targets, context=ast.Del)
    return ast.fix_missing_locations(module)


def _store(*targets: Any, context: type[ast.expr_context] = ast.Store) -> None:
    for target in targets:
        if hasattr(target, "ctx"):
            target.ctx = context()
        if isinstance(target, ast.Tuple | ast.List):
            _store(*target.elts, context=context)
        elif isinstance(target, ast.Starred):
            _store(target.value, context=context)
