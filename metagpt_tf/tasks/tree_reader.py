"""From a linear text back to a syntax tree; `syntax_tree.from_tree_text` is the way in."""

import ast
from collections.abc import Callable
from typing import Any

from metagpt_tf.tasks import syntax_codes as codes
from metagpt_tf.tasks.tree_pieces import DOTTED, NUMBER, Cursor
from metagpt_tf.tasks.tree_writer import PARTS

EXPRESSIONS = {form.code: form for form in codes.EXPRESSIONS}
STATEMENTS = {form.code: form for form in codes.STATEMENTS}
PATTERNS = {form.code: form for form in codes.PATTERNS}
CONVERSIONS = (-1, *map(ord, "rsa"))
PLAIN = {name: asynchronous for asynchronous, name in codes.ASYNC_NODES.items()}


class TreeReader(Cursor):
    """Reads nodes from a text, by the code at the place it has reached."""

    # ---------------------------------------------------------------- fields

    def until_end(self, item: Callable[[], Any]) -> list[Any]:
        """Items up to END."""
        items = []
        while not self.take(codes.END):
            items.append(item())
        return items

    def fields(self, form: codes.Form) -> Any:
        """A node by its form, its code already read."""
        values: dict[str, Any] = {}
        for name, kind in form.fields:
            if kind == "B":
                positional, keywords = self._arguments()
                values |= {"args" if form.node == "Call" else "bases": positional, "keywords": keywords}
            else:
                values[name] = self.field(kind)
        return form.build(values)

    def field(self, kind: str) -> Any:
        """The value of a field of some kind (see `syntax_codes`)."""
        if kind in "oqmM" and self.take(codes.ABSENT):
            return None
        if kind in PARTS:
            return self.until_end(lambda: self._part(*PARTS[kind]))
        readers: dict[str, Callable[[], Any]] = {
            **dict.fromkeys("eo", self.expression),
            **dict.fromkeys("pq", self.pattern),
            **dict.fromkeys("nm", self.word),
            "E": lambda: self.until_end(self.expression),
            "s": lambda: self.until_end(self.statement),
            "P": lambda: self.until_end(self.pattern),
            "N": lambda: self.until_end(self.word),
            "M": lambda: self._match(DOTTED, "a module"),
            "i": lambda: int(self._match(NUMBER, "a whole number")),
            "c": lambda: -1 if self.take(codes.ABSENT) else ord(self._code("a conversion")),
            "A": lambda: self._parameters()[0],
        }
        return readers[kind]()

    def _part(self, node: str, kinds: tuple[tuple[str, str], ...]) -> Any:
        extra = {"is_async": int(self.take(codes.ASYNC))} if node == "comprehension" else {}
        return getattr(ast, node)(**{name: self.field(kind) for name, kind in kinds}, **extra)

    # ---------------------------------------------------------------- statements

    def statement(self) -> Any:
        """One statement."""
        if self.peek("(") or self.peek("'") or self.peek('"'):
            return ast.Expr(self.expression())
        code = self._code("a statement")
        if code in (codes.DECORATED, codes.TYPED):
            return self._prefixed("decorator_list" if code == codes.DECORATED else "type_params")
        if code == codes.ASYNC:
            return self._asynchronous()
        match code:
            case "d":
                return self._function()
            case codes.ASSIGN_ONE:
                return ast.Assign([self.expression()], self.expression())
            case codes.RETURN_VALUE:
                return ast.Return(self.expression())
            case codes.RAISE_ONE:
                return ast.Raise(self.expression(), None)
            case codes.AUGMENTED:
                operator = self._operator(codes.BINARY)
                return ast.AugAssign(self.expression(), operator, self.expression())
        if code not in STATEMENTS:
            self.place -= len(code)
            raise self.fail("a statement")
        node = self.fields(STATEMENTS[code])
        if isinstance(node, ast.ClassDef):
            node.decorator_list = []
        return node

    def _prefixed(self, name: str) -> Any:
        values = self.field("E")
        node = self.statement()
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            raise self.fail("a function or class under its decorators")
        setattr(node, name, values)
        return node

    def _asynchronous(self) -> Any:
        node = self.statement()
        if type(node).__name__ not in PLAIN:
            raise self.fail("an asynchronous statement")
        return getattr(ast, PLAIN[type(node).__name__])(**dict(ast.iter_fields(node)))

    def _function(self) -> Any:
        name = self.word()
        parameters, returns = self._parameters()
        return ast.FunctionDef(name, parameters, self.field("s"), [], returns)

    # ---------------------------------------------------------------- expressions

    def expression(self) -> Any:
        """One expression."""
        following = self.text[self.place : self.place + 1]
        if following.isdigit():
            return ast.Constant(self._value(NUMBER, "a number"))
        if codes.is_word(following):
            return ast.Name(self.word(), ast.Load())
        if following and following in "'\"":
            return ast.Constant(self._literal())
        code = self._code("an expression")
        if code in EXPRESSIONS:
            node = self.fields(EXPRESSIONS[code])
            self._check_formatted(node)
            if isinstance(node, ast.Attribute | ast.Subscript | ast.Starred | ast.List | ast.Tuple):
                node.ctx = ast.Load()
            return node
        return self._special(code)

    def _special(self, code: str) -> Any:
        if code in codes.BINARY:
            return ast.BinOp(self.expression(), getattr(ast, codes.BINARY[code])(), self.expression())
        if code in codes.UNARY:
            return ast.UnaryOp(getattr(ast, codes.UNARY[code])(), self.expression())
        if code in codes.BOOLEAN:
            return ast.BoolOp(getattr(ast, codes.BOOLEAN[code])(), self.field("E"))
        match code:
            case codes.COMPARE_ONE:
                operator, left = self._operator(codes.COMPARISONS), self.expression()
                return ast.Compare(left, [operator], [self.expression()])
            case codes.COMPARE_CHAIN:
                left = self.expression()
                rest = self.until_end(lambda: (self._operator(codes.COMPARISONS), self.expression()))
                return ast.Compare(left, [one for one, _ in rest], [right for _, right in rest])
            case codes.DICT:
                items = self.until_end(lambda: (self.field("o"), self.expression()))
                return ast.Dict([key for key, _ in items], [value for _, value in items])
            case codes.FORMATTED:
                return ast.FormattedValue(self.expression(), -1, None)
            case codes.CONSTANT:
                return ast.Constant(self._singleton())
            case codes.BYTES:
                return ast.Constant(self._bytes())
            case codes.MARKED_TEXT:
                return ast.Constant(self._literal(), kind="u")
        self.place -= len(code)
        raise self.fail("an expression")

    def _check_formatted(self, node: Any) -> None:
        """Only texts and fields make up an f-string; nothing else has a spelling there."""
        if isinstance(node, ast.JoinedStr):
            for value in node.values:
                text = isinstance(value, ast.Constant) and isinstance(value.value, str)
                if not (text or isinstance(value, ast.FormattedValue)):
                    raise self.fail("parts of an f-string before this")
        elif isinstance(node, ast.FormattedValue) and (
            node.conversion not in CONVERSIONS or not isinstance(node.format_spec, ast.JoinedStr | None)
        ):
            raise self.fail("a field of an f-string before this")

    def _operator(self, table: dict[str, str]) -> Any:
        code = self._code("an operator")
        if code not in table:
            self.place -= len(code)
            raise self.fail(f"one of the operators {' '.join(table)}")
        return getattr(ast, table[code])()

    # ---------------------------------------------------------------- parts of nodes

    def _arguments(self) -> tuple[list[Any], list[Any]]:
        positional: list[Any] = []
        keywords: list[Any] = []
        while not self.take(codes.END):
            if self.take(codes.KEYWORD):
                keywords.append(ast.keyword(self.field("m"), self.expression()))
            else:
                positional.append(self.expression())
        return positional, keywords

    def _parameters(self) -> tuple[ast.arguments, Any]:
        found = ast.arguments([], [], None, [], [], None, [])
        keyword_only = False
        while not (self.peek(codes.END) or self.peek(codes.RETURNS)):
            if self.take("/"):
                found.posonlyargs, found.args = found.args, []
            elif self.take("*"):
                keyword_only = True
                found.vararg = None if self.take(codes.ABSENT) else self._parameter()[0]
            elif self.take("&"):
                found.kwarg = self._parameter()[0]
            else:
                argument, default = self._parameter()
                self._place_parameter(found, argument, default, keyword_only)
        returns = self.expression() if self.take(codes.RETURNS) else None
        if returns is None:
            self.take(codes.END)
        return found, returns

    def _parameter(self) -> tuple[ast.arg, Any]:
        argument = ast.arg(self.word(), None)
        if self.take(":"):
            argument.annotation = self.expression()
        return argument, self.expression() if self.take("=") else None

    @staticmethod
    def _place_parameter(found: ast.arguments, argument: ast.arg, default: Any, keyword_only: bool) -> None:
        if keyword_only:
            found.kwonlyargs.append(argument)
            found.kw_defaults.append(default)
        else:
            found.args.append(argument)
            found.defaults += [] if default is None else [default]

    def pattern(self) -> Any:
        """One pattern of a match statement."""
        code = self._code("a pattern")
        if code == codes.SINGLETON_PATTERN:
            return ast.MatchSingleton(self._singleton())
        if code not in PATTERNS:
            self.place -= len(code)
            raise self.fail("a pattern")
        return self.fields(PATTERNS[code])
