"""From a syntax tree to its linear text; `syntax_tree.to_tree_text` is the way in."""

import ast
from collections.abc import Sequence
from typing import Any

from metagpt_tf.tasks import syntax_codes as codes
from metagpt_tf.tasks.tree_pieces import Pieces, quoted

EXPRESSION_FORMS = {form.node: form for form in codes.EXPRESSIONS}
STATEMENT_FORMS = {form.node: form for form in codes.STATEMENTS}
PATTERN_FORMS = {form.node: form for form in codes.PATTERNS}
CONSTANT_CODES = {repr(value): code for code, value in codes.CONSTANTS.items()}


def name_of(node: Any) -> str:
    """The name of a node's class."""
    return type(node).__name__


class TreeWriter(Pieces):
    """Writes nodes, each as its code and its fields."""

    # ---------------------------------------------------------------- fields

    def fields(self, node: ast.AST, form: codes.Form) -> None:
        """Write a node by its form."""
        self.code(form.code)
        for name, kind in form.fields:
            self.field(node if kind == "B" else getattr(node, name), kind)

    def field(self, value: Any, kind: str) -> None:
        """Write the value of a field of some kind (see `syntax_codes`)."""
        if kind in "oqmM" and value is None:
            self.code(codes.ABSENT)
        elif kind in _WRITERS:
            _WRITERS[kind](self, value)
        else:
            for item in value:
                _ITEMS[kind](self, item)
            self.code(codes.END)

    # ---------------------------------------------------------------- statements

    def statement(self, node: Any) -> None:
        """Write a statement."""
        name = name_of(node)
        if getattr(node, "decorator_list", None):
            self.code(codes.DECORATED)
            self.field(node.decorator_list, "E")
        if name not in ("TypeAlias",) and getattr(node, "type_params", None):
            self.code(codes.TYPED)
            self.field(node.type_params, "E")
        if name in codes.ASYNC_NODES:
            self.code(codes.ASYNC)
            name = codes.ASYNC_NODES[name]
        if name == "FunctionDef":
            self.code("d")
            self.word(node.name)
            self.parameters(node.args, node.returns)
            self.field(node.body, "s")
        elif not self._short_statement(node):
            self.fields(node, STATEMENT_FORMS[name])

    def _short_statement(self, node: Any) -> bool:
        """Write the frequent shapes by their short codes; False where the node has none of them."""
        match node:
            case ast.Assign(targets=[target], value=value):
                self._run(codes.ASSIGN_ONE, target, value)
            case ast.Return(value=ast.expr() as value):
                self._run(codes.RETURN_VALUE, value)
            case ast.Raise(exc=ast.expr() as raised, cause=None):
                self._run(codes.RAISE_ONE, raised)
            case ast.AugAssign(target=target, op=op, value=value):
                self.code(codes.AUGMENTED)
                self._run(codes.CODES_OF_OPERATORS[name_of(op)], target, value)
            # These start with a code that no statement has, and so need none of their own.
            case ast.Expr(value=ast.Call() | ast.Constant(value=str(), kind=None) as value):
                self.expression(value)
            case _:
                return False
        return True

    def _run(self, code: str, *expressions: Any) -> None:
        self.code(code)
        for expression in expressions:
            self.expression(expression)

    # ---------------------------------------------------------------- expressions

    def expression(self, node: Any) -> None:
        """Write an expression."""
        match node:
            case ast.Name(id=name):
                self.word(name)
            case ast.Constant():
                self.constant(node)
            case ast.BinOp(left=left, op=op, right=right):
                self._run(codes.CODES_OF_OPERATORS[name_of(op)], left, right)
            case ast.UnaryOp(op=op, operand=operand):
                self._run(codes.CODES_OF_OPERATORS[name_of(op)], operand)
            case ast.BoolOp(op=op, values=values):
                self.code(codes.CODES_OF_OPERATORS[name_of(op)])
                self.field(values, "E")
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                self.code(codes.COMPARE_ONE)
                self._run(codes.CODES_OF_OPERATORS[name_of(op)], left, right)
            case ast.Compare():
                self._chain(node)
            case ast.Dict(keys=keys, values=values):
                self.code(codes.DICT)
                for key, value in zip(keys, values, strict=True):
                    self.field(key, "o")
                    self.expression(value)
                self.code(codes.END)
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                self._run(codes.FORMATTED, value)
            case _:
                self.fields(node, EXPRESSION_FORMS[name_of(node)])

    def _chain(self, node: ast.Compare) -> None:
        self._run(codes.COMPARE_CHAIN, node.left)
        for op, right in zip(node.ops, node.comparators, strict=True):
            self._run(codes.CODES_OF_OPERATORS[name_of(op)], right)
        self.code(codes.END)

    def constant(self, node: ast.Constant) -> None:
        """Write a literal."""
        value = node.value
        if isinstance(value, str):
            self.code((codes.MARKED_TEXT if node.kind else "") + quoted(value))
        elif isinstance(value, bytes):
            self.code(codes.BYTES + quoted(value.decode("latin-1")))
        elif repr(value) in CONSTANT_CODES:
            self.code(codes.CONSTANT + CONSTANT_CODES[repr(value)])
        else:
            # As in ast.unparse: a literal beyond the range of floats has no other spelling.
            self.word(repr(value).replace("inf", "1e309"), number=True)

    # ---------------------------------------------------------------- parts of nodes

    def arguments(self, node: Any) -> None:
        """Write the arguments of a call, or the bases of a class."""
        for argument in node.args if isinstance(node, ast.Call) else node.bases:
            self.expression(argument)
        for keyword in node.keywords:
            self.code(codes.KEYWORD)
            self.field(keyword.arg, "m")
            self.expression(keyword.value)
        self.code(codes.END)

    def parameters(self, node: ast.arguments, returns: ast.expr | None = None) -> None:
        """Write the parameters of a function, and its return annotation."""
        positional = [*node.posonlyargs, *node.args]
        defaults = [None] * (len(positional) - len(node.defaults)) + list(node.defaults)
        for index, (argument, default) in enumerate(zip(positional, defaults, strict=True), start=1):
            self._parameter(argument, default)
            if index == len(node.posonlyargs):
                self.code("/")
        if node.vararg or node.kwonlyargs:
            self.code("*")
            if node.vararg:
                self._parameter(node.vararg)
            else:
                self.code(codes.ABSENT)
        for argument, default in zip(node.kwonlyargs, node.kw_defaults, strict=True):
            self._parameter(argument, default)
        if node.kwarg:
            self.code("&")
            self._parameter(node.kwarg)
        self._run(codes.RETURNS, returns) if returns else self.code(codes.END)

    def _parameter(self, argument: ast.arg, default: Any = None) -> None:
        self.word(argument.arg)
        if argument.annotation:
            self._run(":", argument.annotation)
        if default is not None:
            self._run("=", default)

    def pattern(self, node: Any) -> None:
        """Write a pattern of a match statement."""
        if isinstance(node, ast.MatchSingleton):
            self.code(codes.SINGLETON_PATTERN + CONSTANT_CODES[repr(node.value)])
        else:
            self.fields(node, PATTERN_FORMS[name_of(node)])

    def parts(self, node: Any, kinds: Sequence[tuple[str, str]]) -> None:
        """Write fields of a node that needs no code, because only its class can stand there."""
        for name, kind in kinds:
            self.field(getattr(node, name), kind)

    def clause(self, node: ast.comprehension) -> None:
        """Write one `for … in … if …` of a comprehension."""
        if node.is_async:
            self.code(codes.ASYNC)
        self.parts(node, PARTS["G"][1])

    def dotted(self, name: str) -> None:
        """Write a module's name, which may hold points, or a star."""
        self.word(name, number=True)


# Lists whose items need no code: the class of the items, and how their fields are written.
PARTS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "G": ("comprehension", (("target", "e"), ("iter", "e"), ("ifs", "E"))),
    "H": ("ExceptHandler", (("type", "o"), ("name", "m"), ("body", "s"))),
    "C": ("match_case", (("pattern", "p"), ("guard", "o"), ("body", "s"))),
    "W": ("withitem", (("context_expr", "e"), ("optional_vars", "o"))),
    "L": ("alias", (("name", "M"), ("asname", "m"))),
}

_WRITERS: dict[str, Any] = {
    **dict.fromkeys("eo", TreeWriter.expression),
    **dict.fromkeys("pq", TreeWriter.pattern),
    **dict.fromkeys("nm", TreeWriter.word),
    "M": TreeWriter.dotted,
    "i": lambda writer, value: writer.word(str(value), number=True),
    "c": lambda writer, value: writer.code(codes.ABSENT if value < 0 else chr(value)),
    "A": TreeWriter.parameters,
    "B": TreeWriter.arguments,
}
_ITEMS: dict[str, Any] = {
    "E": TreeWriter.expression,
    "s": TreeWriter.statement,
    "P": TreeWriter.pattern,
    "N": TreeWriter.word,
    "G": TreeWriter.clause,
    **{kind: lambda writer, item, kind=kind: writer.parts(item, PARTS[kind][1]) for kind in "HCWL"},
}
