"""Which Python files are read: the standard library's, an installed package's or those of a folder.

Pure Python: packages are found, never imported. Tests, vendored copies and generated files are left out.
"""

import dataclasses
import functools
import importlib.metadata
import importlib.util
import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TEST_FOLDERS = {"test", "tests", "idle_test"}
VENDORED_FOLDERS = {"_vendor", "vendor", "_vendored", "vendored", "ensurepip", "site-packages", "dist-packages"}
SKIPPED_FOLDERS = TEST_FOLDERS | VENDORED_FOLDERS | {"__pycache__", "node_modules"}
SKIPPED_FILES = re.compile(r"(^test_.*|.*_test|.*_tests|.*_pb2|.*_pb2_grpc|^_sysconfigdata.*)\.py$")


@dataclass(frozen=True)
class SourceFile:
    """A file to read, the name of its task and the path that its functions will carry."""

    file: Path
    task: str
    path: str
    licence: str = "unknown"


def standard_library() -> list[SourceFile]:
    """The files of the running interpreter's standard library, a task for each top-level module or package."""
    root = Path(sysconfig.get_path("stdlib"))
    files = (_source_file(file, root, "PSF-2.0") for file in _python_files(root))
    return [file for file in files if file.task in sys.stdlib_module_names]


def installed_package(name: str) -> list[SourceFile]:
    """The files of an installed package or module, all of one task; nothing is imported.

    Args:
        name: as `import` takes it, `"keras"`; `"keras.src.layers"` for a part of it, and `"keras.src.*"` for all its
            parts, a task each.

    Raises:
        ValueError: no package of this name is installed, or it holds no Python files.
    """
    top, *inner = name.split(".")
    if inner:
        return _part_of_package(name, installed_package(top), inner)
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None:
        raise ValueError(
            f"No package {name!r} is installed. Give the top-level name that `import` takes (such as 'json'), "
            f"install it, or pass its folder as the path."
        )
    licence = "PSF-2.0" if name in sys.stdlib_module_names else _licence(name)
    folders = [Path(location) for location in spec.submodule_search_locations or ()]
    found = [_source_file(file, folder.parent, licence) for folder in folders for file in _python_files(folder)]
    if not folders and spec.origin and spec.origin.endswith(".py"):
        found = [_source_file(Path(spec.origin), Path(spec.origin).parent, licence)]
    if not found:
        raise ValueError(f"The installed package {name!r} holds no Python source files: it is built in or compiled.")
    return found


def _part_of_package(name: str, files: list[SourceFile], inner: list[str]) -> list[SourceFile]:
    """Those of a package's files that are below one of its parts, or below all of them, a task each."""
    each = inner[-1] == "*"
    parts = (files[0].path.split("/")[0], *(inner[:-1] if each else inner))
    found = []
    for file in files:
        place = Path(file.path).parts
        if place[: len(parts)] == parts and len(place) > len(parts) + each:
            task = ".".join((*parts, place[len(parts)]) if each else parts)
            found.append(dataclasses.replace(file, task=task))
    if not found:
        raise ValueError(
            f"No part {name!r} of the package {parts[0]!r} holds Python source files. Give a folder of it, such as "
            f"'keras.src.layers', or 'keras.src.*' for all folders below one."
        )
    return found


def given_path(path: str | os.PathLike[str]) -> list[SourceFile]:
    """The files of a folder (a task for each of its first-level packages and modules) or one `.py` file (a task).

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: a file that does not end in `.py`.
    """
    root = Path(path)
    if root.is_dir():
        return [_source_file(file, root) for file in _python_files(root)]
    if not root.exists():
        raise FileNotFoundError(
            f"No file or folder at {str(path)!r}. Expected a folder of Python packages and modules, a .py file, or a "
            f"list of these; leave the path out to read the standard library."
        )
    if root.suffix != ".py":
        raise ValueError(f"Expected a folder or a .py file, received the file {str(path)!r}.")
    return [_source_file(root, root.parent)]


def _python_files(root: Path) -> Iterator[Path]:
    """Hand-written Python files under `root`, in the order of their paths; links to folders are not followed."""
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if name not in SKIPPED_FOLDERS and name[0] != ".")
        for name in sorted(names):
            if name.endswith(".py") and not SKIPPED_FILES.match(name):
                yield Path(folder, name)


def _source_file(file: Path, root: Path, licence: str = "unknown") -> SourceFile:
    """Its task is the first part of its path below `root`; a root that is a package lends `__init__` its own name."""
    relative = file.relative_to(root)
    task = root.resolve().name if relative.name == relative.parts[0] == "__init__.py" else relative.parts[0]
    return SourceFile(file, task.removesuffix(".py"), relative.as_posix(), licence)


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


def _licence(package: str) -> str:
    """The licence that a package's metadata declares: an SPDX expression, a short text or a trove classifier."""
    names = _distributions().get(package)
    if not names:
        return "unknown"
    metadata = importlib.metadata.metadata(names[0])
    for field in ("License-Expression", "License"):  # the second may hold the whole text of a licence
        if field in metadata and 0 < len(metadata[field]) <= 60 and "\n" not in metadata[field]:
            return metadata[field]
    classifiers = [line for line in metadata.get_all("Classifier") or () if line.startswith("License ::")]
    return classifiers[0].rsplit("::", 1)[-1].strip() if classifiers else "unknown"
