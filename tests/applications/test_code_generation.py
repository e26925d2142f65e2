"""Generated code: written again until it parses, formatted, reported on."""

import ast

import pytest

from metagpt_tf.applications import code, code_report
from metagpt_tf.applications.code_generation import longest_tree
from metagpt_tf.applications.code_report import formatted, undefined_names
from metagpt_tf.models import MetaGPT


@pytest.fixture(scope="module")
def model():
    return MetaGPT(source_length=32, target_length=16, dim=16, num_heads=2, num_layers=1, hidden_dim=16)


@pytest.fixture
def writing(model, monkeypatch):
    """Makes the model write given texts, and remembers how it was asked."""

    def texts(*bodies):
        asked = []

        def generate(prompt, **options):
            asked.append(options)
            return bodies[min(len(asked), len(bodies)) - 1]

        monkeypatch.setattr(model, "generate", generate, raising=False)
        return asked

    return texts


def test_it_writes_again_until_the_text_parses(model, writing):
    asked = writing("    x = (", "    return )", "    return 1", "    return 2")
    written, report = code.generate_code(model, "f", return_report=True, attempts=8, seed=5)
    assert ast.unparse(ast.parse(written)) == "def f():\n    return 1"
    assert (report.syntax, report.attempts, report.truncated) == (True, 3, False)
    assert "sampler" not in asked[0] and asked[0]["seed"] == 5
    assert [one["seed"] for one in asked[1:]] == [6, 7]
    assert all(one["sampler"].temperature == 0.8 for one in asked[1:])


def test_a_callers_sampler_is_kept(model, writing):
    from metagpt_tf.generation import get

    asked = writing(")")
    with pytest.warns(UserWarning, match="no line"):
        code.generate_code(model, "f", attempts=3, sampler="top_k")
    assert [type(one["sampler"]) for one in asked[1:]] == [type(get("top_k"))] * 2


def test_the_longest_beginning_is_the_last_resort(model, writing):
    writing("    a = 1\n    b = (", "    a = 1\n    b = 2\n    c = )", "    x = 1\n    )")
    written, report = code.generate_code(model, "f", return_report=True, attempts=3)
    assert written.split("\n")[1:] == ["    a = 1", "    b = 2"]
    assert report.truncated and report.syntax and report.attempts == 3


def test_text_that_is_no_python_has_its_report(model, writing):
    writing(")))")
    with pytest.warns(UserWarning, match="no line for 'f' that parses"):
        written, report = code.generate_code(model, "f", return_report=True, attempts=2)
    assert written == "def f():\n)))"
    assert report == code.CodeReport(False, None, 2, False, None)


def test_trees_are_written_as_code(model, writing):
    writing("=x+a 1rx")
    written, report = code.generate_code(model, "f", ["a"], return_report=True, representation="tree")
    assert written == "def f(a):\n    x = a + 1\n    return x" and not report.truncated
    assert longest_tree("def f():", "=x 1=y+") == ("def f():\n    x = 1", False)
    assert longest_tree("def f():", ")") == (None, False)


def test_undefined_names_are_reported(model, writing):
    pytest.importorskip("pyflakes")
    writing("    return a + missing + other(missing)")
    _, report = code.generate_code(model, "f", ["a"], return_report=True)
    assert report.undefined_names == ("missing", "other")
    assert undefined_names("import os\ndef f(x):\n    return os, x, len") == ()


def test_without_pyflakes_nothing_is_claimed(monkeypatch):
    monkeypatch.setattr(code_report.importlib.util, "find_spec", lambda name: None)
    assert undefined_names("x = y") is None


def test_layout_comes_from_the_formatter_that_is_installed(monkeypatch):
    wanted = "x = [1, 2]"
    layout, name = formatted("x = [1,2]")
    assert (layout, name) == (wanted, name) if name else layout == "x = [1,2]"
    monkeypatch.setattr(code_report, "_formatter", lambda: None)
    assert formatted("x = [1,2]") == ("x = [1,2]", None)
    assert formatted("x = [1,2]", "none") == ("x = [1,2]", None)


def test_each_formatter_works_where_it_is_installed(monkeypatch):
    for name in code_report.FORMATTERS:
        arguments = code_report.FORMATTERS[name]
        monkeypatch.setattr(code_report, "FORMATTERS", {name: arguments})
        if code_report._formatter():
            assert formatted("x = { 'a':1 }") == ('x = {"a": 1}', name)
        monkeypatch.undo()


def test_a_formatter_that_fails_is_named(monkeypatch):
    monkeypatch.setattr(code_report, "_formatter", lambda: ("ruff", ["false"]))
    with pytest.warns(UserWarning, match="ruff did not format the code"):
        assert formatted("x = 1") == ("x = 1", None)
    monkeypatch.setattr(code_report, "_formatter", lambda: ("ruff", ["no-such-program"]))
    with pytest.warns(UserWarning, match="ruff did not format the code"):
        assert formatted("x = 1") == ("x = 1", None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "rough"}, "Unknown format 'rough'"),
        ({"representation": "tre"}, "Did you mean 'tree'"),
        ({"attempts": 0}, "attempts must be at least 1"),
    ],
)
def test_bad_options_are_errors(model, options, message):
    with pytest.raises(ValueError, match=message):
        code.generate_code(model, "f", **options)


def test_a_real_model_is_asked_several_times(model):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        _, report = code.generate_code(model, "f", max_length=4, attempts=2, return_report=True, seed=1)
    assert 1 <= report.attempts <= 2
