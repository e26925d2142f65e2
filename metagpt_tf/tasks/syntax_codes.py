"""The alphabet of linearised syntax trees: which code stands for which node, and what follows it.

A code is one character, or two that start with a backslash. Statements, expressions and patterns have an alphabet each.
"""

import ast
from dataclasses import dataclass

END, ABSENT, RETURNS, ESCAPE = ")", ";", "]", "\\"

# Kinds of a field: how it is written after the code of its node.
#   e expression, o the same or absent, E expressions up to END
#   s statements up to END, H handlers, C match cases, W with items, L imported names, G comprehension clauses
#   p pattern, q the same or absent, P patterns up to END
#   n name, m the same or absent, N names up to END, M dotted name or absent, i small whole number
#   A parameters (with a return annotation), B positional arguments and keywords up to END, c conversion of an f-string


@dataclass(frozen=True)
class Form:
    """How the nodes of a class are written: a code, then fields in an order of ours, each with its kind."""

    node: str
    code: str
    fields: tuple[tuple[str, str], ...]

    def build(self, values: dict[str, object]) -> ast.AST:
        """A node of the class."""
        return getattr(ast, self.node)(**values)


def form(node: str, code: str, fields: str = "") -> Form:
    """A form from `"name:kind name:kind"`."""
    pairs = [field.split(":") for field in fields.split()]
    return Form(node, code, tuple((name, kind) for name, kind in pairs))


def _known(*forms: Form) -> tuple[Form, ...]:
    """The forms whose classes this Python has."""
    return tuple(one for one in forms if hasattr(ast, one.node))


EXPRESSIONS = _known(
    form("Attribute", ".", "attr:n value:e"),
    form("Subscript", "[", "value:e slice:e"),
    form("Starred", ">", "value:e"),
    form("List", "<", "elts:E"),
    form("Tuple", ",", "elts:E"),
    form("Slice", ":", "lower:o upper:o step:o"),
    form("JoinedStr", "`", "values:E"),
    form("FormattedValue", "\\#", "value:e conversion:c format_spec:o"),
    form("NamedExpr", "\\=", "target:e value:e"),
    form("Lambda", "\\l", "args:A body:e"),
    form("IfExp", "\\i", "test:e body:e orelse:e"),
    form("Set", "\\{", "elts:E"),
    form("ListComp", "\\[", "elt:e generators:G"),
    form("SetComp", "\\s", "elt:e generators:G"),
    form("GeneratorExp", "\\(", "elt:e generators:G"),
    form("DictComp", "\\d", "key:e value:e generators:G"),
    form("Await", "\\a", "value:e"),
    form("Yield", "\\y", "value:o"),
    form("YieldFrom", "\\Y", "value:e"),
    form("Call", "(", "func:e arguments:B"),
    form("TypeVar", "\\T", "name:n bound:o"),
    form("ParamSpec", "\\P", "name:n"),
    form("TypeVarTuple", "\\V", "name:n"),
)

STATEMENTS = _known(
    form("FunctionDef", "d", "name:n args:A body:s"),
    form("ClassDef", "C", "name:n arguments:B body:s"),
    form("Delete", "D", "targets:E"),
    form("For", "f", "target:e iter:e body:s orelse:s"),
    form("While", "w", "test:e body:s orelse:s"),
    form("If", "i", "test:e body:s orelse:s"),
    form("With", "W", "items:W body:s"),
    form("Match", "m", "subject:e cases:C"),
    form("Raise", "X", "exc:o cause:o"),
    form("Try", "t", "body:s handlers:H orelse:s finalbody:s"),
    form("TryStar", "\\t", "body:s handlers:H orelse:s finalbody:s"),
    form("Assert", "!", "test:e msg:o"),
    form("Import", "I", "names:L"),
    form("ImportFrom", "F", "module:M level:i names:L"),
    form("Global", "g", "names:N"),
    form("Nonlocal", "n", "names:N"),
    form("Assign", "\\=", "targets:E value:e"),
    form("AnnAssign", ":", "target:e annotation:e value:o simple:i"),
    form("Return", "R", "value:o"),
    form("TypeAlias", "Y", "name:e type_params:E value:e"),
    form("Expr", "e", "value:e"),
    form("Pass", "p"),
    form("Break", "b"),
    form("Continue", "c"),
)

PATTERNS = _known(
    form("MatchValue", "v", "value:e"),
    form("MatchSequence", "[", "patterns:P"),
    form("MatchMapping", "{", "keys:E patterns:P rest:m"),
    form("MatchClass", "(", "cls:e patterns:P kwd_attrs:N kwd_patterns:P"),
    form("MatchStar", "*", "name:m"),
    form("MatchAs", "=", "pattern:q name:m"),
    form("MatchOr", "|", "patterns:P"),
)

# Most frequent shapes get shorter codes than their general form.
ASSIGN_ONE, RETURN_VALUE, RAISE_ONE, AUGMENTED, DECORATED, ASYNC, TYPED = "=", "r", "x", "a", "@", "~", "["
COMPARE_ONE, COMPARE_CHAIN, DICT, FORMATTED, KEYWORD, CONSTANT = "?", "\\?", "{", "#", "=", "$"
BYTES, MARKED_TEXT, SINGLETON_PATTERN = "\\b", "\\u", "$"

BINARY = {
    **dict(zip("+-*/%@&|^", ("Add", "Sub", "Mult", "Div", "Mod", "MatMult", "BitAnd", "BitOr", "BitXor"), strict=True)),
    **{"\\/": "FloorDiv", "\\*": "Pow", "\\<": "LShift", "\\>": "RShift"},
}
BOOLEAN = {"]": "And", "}": "Or"}
UNARY = {"!": "Not", "~": "Invert", "\\-": "USub", "\\+": "UAdd"}
COMPARISONS = dict(
    zip("=!<[>]ijno", ("Eq", "NotEq", "Lt", "LtE", "Gt", "GtE", "Is", "IsNot", "In", "NotIn"), strict=True)
)
CONSTANTS: dict[str, object] = {"N": None, "T": True, "F": False, "E": ...}
CODES_OF_OPERATORS = {name: code for table in (BINARY, BOOLEAN, UNARY, COMPARISONS) for code, name in table.items()}
ASYNC_NODES = {"AsyncFunctionDef": "FunctionDef", "AsyncFor": "For", "AsyncWith": "With"}


def is_word(character: str) -> bool:
    """Whether a character may stand inside a name or number."""
    return bool(character) and f"a{character}".isidentifier()
