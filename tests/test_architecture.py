"""The rules of the house that a machine can check: imports, forbidden calls, lengths."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "metagpt_tf"
SOURCES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}

LONGEST_FILE = 350
LONGEST_FUNCTION = 60

# Dotted names and the only files that may use them, or whatever hangs below them.
RESERVED = {
    "tf.keras": {"compression/_tfmot.py"},  # read once, to see that tfmot leaves it alone
    "keras.src": set(),
    "tf.lite": {"export/litert.py"},
    "ai_edge_litert": {
        *("export/ballast.py", "export/latency_worker.py", "export/runner.py", "export/weight_quantization.py"),
        "export/kits/litert/runner.py",
    },
    "matplotlib": {"plotting.py"},
    "tensorflow_model_optimization": {"compression/_tfmot.py"},
    "keras_tuner": {"tuning/_kerastuner.py"},
    "pickle": set(),
    "cloudpickle": set(),
    "dill": set(),
    "marshal": set(),
    "shelve": set(),
}
FORBIDDEN_CALLS = {"print", "eval", "exec", "__import__"}
LAZY = (
    *("matplotlib", "rich", "tensorflow_datasets", "tensorflow_model_optimization", "ai_edge_litert"),
    *("yaml", "tokenizers", "sacrebleu", "stop_words", "pyflakes", "playwright", "keras_tuner"),
)


def canonical(name: str) -> str:
    """`tensorflow.lite` is `tf.lite`: one spelling for the module and its usual alias."""
    return "tf" + name.removeprefix("tensorflow") if name == "tensorflow" or name.startswith("tensorflow.") else name


def dotted(node: ast.expr) -> str | None:
    """`a.b.c` for an attribute chain that starts at a plain name, else None."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return before and f"{before}.{node.attr}"
    return None


def names_used(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module imported and every attribute chain written in `tree`, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((canonical(alias.name), node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((canonical(f"{node.module}.{alias.name}"), node.lineno) for alias in node.names)
        elif isinstance(node, ast.Attribute) and (name := dotted(node)):
            yield canonical(name), node.lineno


def misuses(tree: ast.AST, file: str) -> list[str]:
    """`file:line: name` for each reserved name that `file` uses and may not."""
    return [
        f"{file}:{line}: {name}"
        for name, line in names_used(tree)
        for reserved, homes in RESERVED.items()
        if f"{name}.".startswith(f"{reserved}.") and file not in homes
    ]


def forbidden_calls(tree: ast.AST, file: str) -> list[str]:
    """Calls of the built-ins nobody may call, and arrays loaded with `allow_pickle=True`."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    found = [(call.lineno, name) for call in calls if (name := dotted(call.func)) in FORBIDDEN_CALLS]
    found += [
        (call.lineno, "allow_pickle")
        for call in calls
        for keyword in call.keywords
        if keyword.arg == "allow_pickle" and not (isinstance(keyword.value, ast.Constant) and not keyword.value.value)
    ]
    return [f"{file}:{line}: {name}" for line, name in found]


def long_functions(tree: ast.AST, file: str) -> list[str]:
    """Functions over the limit, counted from `def` to the last line, docstring included."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = [(node, (node.end_lineno or node.lineno) - node.lineno + 1) for node in functions]
    return [f"{file}:{node.lineno}: {node.name}, {n} lines" for node, n in lengths if n > LONGEST_FUNCTION]


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a new interpreter that finds the package in this working tree."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest) -> tuple[ast.AST, str]:
    return ast.parse(SOURCES[request.param].read_text(encoding="utf-8")), request.param


def test_reserved_names_are_used_only_at_home(source: tuple[ast.AST, str]) -> None:
    assert misuses(*source) == []


def test_nothing_prints_evaluates_or_unpickles(source: tuple[ast.AST, str]) -> None:
    assert forbidden_calls(*source) == []


def test_functions_are_short(source: tuple[ast.AST, str]) -> None:
    assert long_functions(*source) == []


@pytest.mark.parametrize("file", SOURCES)
def test_files_are_short(file: str) -> None:
    assert len(SOURCES[file].read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize(
    "code",
    [
        "tf.keras.layers.Dense(3)",
        "from tensorflow import keras",
        "import tensorflow.keras as k",
        "from tensorflow.keras.layers import Dense",
        "from keras.src import ops",
        "import keras.src.layers",
        "keras.src.ops",
        "import pickle",
        "from matplotlib import pyplot",
        "tensorflow.lite.Interpreter",
        "def f():\n    import ai_edge_litert.interpreter",
        "import tensorflow_model_optimization as tfmot",
    ],
)
def test_a_misuse_is_seen(code: str) -> None:
    assert len(set(misuses(ast.parse(code), "layers/some.py"))) >= 1


def test_what_is_allowed_stays_allowed() -> None:
    assert misuses(ast.parse("import keras\nkeras.layers\nfrom .keras import src\ntf.literal"), "layers/some.py") == []
    assert misuses(ast.parse("import matplotlib.pyplot"), "plotting.py") == []
    assert misuses(ast.parse("tf.lite.TFLiteConverter"), "export/litert.py") == []
    assert forbidden_calls(ast.parse("model.eval()\nnp.load(p, allow_pickle=False)\nkeras.print"), "some.py") == []


@pytest.mark.parametrize("code", ["print(1)", "eval('1')", "exec('1')", "np.load(p, allow_pickle=True)"])
def test_a_forbidden_call_is_seen(code: str) -> None:
    assert len(forbidden_calls(ast.parse(code), "some.py")) == 1


def test_a_long_function_is_seen() -> None:
    body = "    x = 1\n" * LONGEST_FUNCTION
    assert long_functions(ast.parse(f"def f():\n{body}"), "some.py") == ["some.py:1: f, 61 lines"]


def test_import_contracts_hold() -> None:
    """The contracts of pyproject.toml: arrows between the rooms point down only."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"
    done = run_python(code)
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_the_package_loads_no_optional_library() -> None:
    done = run_python(f"import sys, metagpt_tf; sys.stdout.write(' '.join(m for m in {LAZY} if m in sys.modules))")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
