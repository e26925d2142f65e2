"""What benchmarks, scripts and tools take from the package is there: no test runs them all, for they take hours."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path for folder in ("benchmarks", "scripts", "tools") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_script_imports_is_there(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "metagpt_tf":
            room = importlib.import_module(node.module or "")
            for name in (alias.name for alias in node.names):
                if not hasattr(room, name):
                    importlib.import_module(f"{node.module}.{name}")  # a module, or there is no such name
