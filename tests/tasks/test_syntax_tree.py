"""Linearised syntax trees: they come back as they went in, for the standard library and for every kind of statement."""

import ast
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metagpt_tf.datasets.python_files import standard_library
from metagpt_tf.tasks import syntax_codes
from metagpt_tf.tasks.syntax_tree import from_tree_text, leading_statements, parse_tree_text, to_tree_text

CASES = [
    "def f(a, /, b: int = 1, *args: str, c, d=2, **more) -> list[int]:\n    return a",
    "def f(*, key): pass",
    "@one\n@two(3)\nasync def f():\n    async with a as b, c:\n        await d\n"
    "    async for x, *y in z:\n        yield x",
    "@d\nclass A(B, metaclass=C, **k):\n    x: int\n    (y): int = 3\n    self.z: str = 's'",
    "x = y = [*a, (b, c), {}, {1, 2}, {'k': v, **w}]",
    "x += 1; x -= 1; x *= 1; x /= 1; x //= 1; x %= 1; x **= 1; x @= 1; x &= 1; x |= 1; x ^= 1; x <<= 1; x >>= 1",
    "x = a < b <= c != d is not e not in f; y = a == b; z = a is b; w = a in b; v = a > b; u = a >= b",
    "x = a and b and c or not d; y = -a + ~b - +c; z = (q := 5)",
    "x = 1.5e300 + 1e999 + 3j + 0x1f + 10**2 + 1 .real + 1.0.imag",
    "x = 'a\\'b' + \"it's\" + 'both \\' \"' + 'tab\\t \\\\ \\n line' + b'\\x00\\xff' + u'mark' + '\\ud800' + 'é'",
    "x = f'{a!r:>{width}} {b} text {{}} {c:%d}' + f''",
    "x = [a for b in c if d if e for f in g]; y = {a for b in c}; z = {a: b for c in d}; w = (a async for b in c)",
    "x = a[1:2:3, ::, ...][0][-1]; y = a.b.c(d, *e, f=g, **h)(); z = lambda *a, k=1: (yield)",
    "if a:\n    pass\nelif b:\n    x\nelse:\n    y",
    "while a:\n    break\nelse:\n    continue\nfor i in r:\n    pass\nelse:\n    pass",
    "try:\n    a\nexcept A as e:\n    raise\nexcept (B, C):\n    raise D from e\n"
    "except:\n    raise E\nelse:\n    b\nfinally:\n    c",
    "try:\n    a\nexcept* A:\n    b",
    "match a:\n    case 1 | 'x' | None: pass\n    case [b, *_, -1]: pass\n    case {'k': v, **rest}: pass\n"
    "    case C(1, k=D.e) as f if g: pass\n    case {**z}: pass\n    case _: pass",
    "import a.b as c, d\nfrom . import e\nfrom ..f.g import h as i, j\nfrom k import *\nglobal l, m",
    "assert a, 'why'\nassert b\ndel c, d[0], (e, f)\nnonlocal_ = 1",
    "def f():\n    nonlocal a, b\n    return\n    return (yield from c)",
    "naïve = 'ünï'; µ = 1",
]


@pytest.mark.parametrize("source", CASES)
def test_every_construct_comes_back(source):
    text = to_tree_text(source)
    assert from_tree_text(text) == ast.unparse(ast.parse(source))
    assert ast.dump(parse_tree_text(text)) == ast.dump(ast.parse(source))


def functions(path: Path) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(path.read_bytes())
    return [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


STANDARD_LIBRARY = sorted(file.file for file in standard_library())


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(STANDARD_LIBRARY))
def test_functions_of_the_standard_library_come_back(path):
    for source in functions(path)[:40]:
        assert from_tree_text(to_tree_text(source)) == ast.unparse(ast.parse(source)), source


def test_a_tree_is_shorter_than_its_source():
    path = next(file for file in STANDARD_LIBRARY if file.name == "textwrap.py")
    for source in functions(path):
        assert len(to_tree_text(source)) < len(source)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="dCfwi=raxX;)(.[,<{?`#'\\$~@ab1 +-]&*/:0\n", max_size=40))
def test_any_text_is_a_tree_or_an_error_that_says_where(text):
    try:
        source = from_tree_text(text)
    except ValueError as error:
        assert "character" in str(error)
    else:
        assert isinstance(source, str)
    module, _ = leading_statements(text)
    assert ast.parse(ast.unparse(module)) is not None


def test_every_beginning_gives_whole_statements():
    text = to_tree_text("total = a + b\nif total > 3:\n    total -= 1\nreturn total")
    statements = [ast.dump(one) for one in parse_tree_text(text).body]
    for cut in range(len(text)):
        module, whole = leading_statements(text[:cut])
        kept = [ast.dump(one) for one in module.body]
        assert kept[:-1] == statements[: len(kept[:-1])]  # the name that ends the last one may be cut
        if not whole:
            assert kept == statements[: len(kept)]
            with pytest.raises(ValueError, match="should be .* found the end"):
                from_tree_text(text[:cut])


def test_statements_without_a_spelling_end_the_beginning():
    module, whole = leading_statements("=x 1=1xr2")
    assert ast.unparse(module) == "x = 1" and not whole


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [("=x", 2, "an expression"), ("Z", 0, "a statement"), ("=x +", 4, "an expression"), ("=x 01", 3, "a number")],
)
def test_an_error_names_the_character(text, place, expected):
    with pytest.raises(ValueError, match=f"character {place} should be {expected}"):
        from_tree_text(text)


def test_codes_are_unambiguous():
    for forms in (syntax_codes.EXPRESSIONS, syntax_codes.STATEMENTS, syntax_codes.PATTERNS):
        assert len({form.code for form in forms}) == len(forms)
    operators = {*syntax_codes.BINARY, *syntax_codes.BOOLEAN, *syntax_codes.UNARY}
    special = {"?", "\\?", "{", "#", "$", "\\b", "\\u", "=", ";", ")", "'", '"'}
    codes = [form.code for form in syntax_codes.EXPRESSIONS]
    assert len({*operators, *special, *codes}) == len(operators) + len(special) + len(codes)


def test_source_that_is_no_python_is_an_error():
    with pytest.raises(SyntaxError):
        to_tree_text("def f(:")
