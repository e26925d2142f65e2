"""A TFDS builder over documented Python functions: the standard library of the running interpreter and more.

Everything is read from this machine: neither the builder nor its info ever opens a connection.
"""

import dataclasses
import hashlib
import importlib.metadata
import platform
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from metagpt_tf.datasets.offline_builder import OfflineBuilder
from metagpt_tf.datasets.python_files import SourceFile, given_path, installed_package, standard_library
from metagpt_tf.datasets.python_source import Function, split_functions

MIN_FUNCTIONS = 20
INTERPRETER = f"python_{platform.python_version()}".replace(".", "_").replace("+", "_")

DESCRIPTION = """\
Documented functions of Python packages as pairs: signature and docstring (source), body (target). A task is a top-level
package or module; whole tasks are held out for meta-validation and meta-testing. Duplicates, tests, vendored copies and
generated files are removed. The text is read from the Python installation that builds the set.
"""


@dataclasses.dataclass(eq=False)
class PythonFunctionsConfig(tfds.core.BuilderConfig):
    """What a copy of the data set is made of; the standard library is always in it.

    Args:
        name: names the copy on disk; copies of other packages or of another Python need another name.
        packages: installed packages to add, by the name that `import` takes; `"keras.src.*"` is a task for each part.
        folders: folders to add, a task for each of their first-level packages and modules.
        min_functions: tasks with fewer documented functions are dropped.
    """

    packages: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    min_functions: int = MIN_FUNCTIONS

    def files(self) -> list[SourceFile]:
        """All the files to read."""
        added = [installed_package(package) for package in self.packages] + [given_path(path) for path in self.folders]
        return sum(added, standard_library())


STANDARD_LIBRARY = PythonFunctionsConfig(
    name=f"standard_library_{INTERPRETER}", description=f"The standard library of Python {platform.python_version()}."
)


def config_for(packages: tuple[str, ...] = (), min_functions: int = MIN_FUNCTIONS) -> PythonFunctionsConfig:
    """The config of the standard library and some installed packages, named after their versions.

    Args:
        packages: installed packages to add; their order does not matter.
        min_functions: tasks with fewer documented functions are dropped.

    Returns:
        `STANDARD_LIBRARY` itself when nothing is added or changed.

    Example:

    >>> config_for() is STANDARD_LIBRARY
    True
    """
    packages = tuple(sorted(set(packages)))
    if not packages and min_functions == MIN_FUNCTIONS:
        return STANDARD_LIBRARY
    contents = f"{[(package, _version(package)) for package in packages]} {min_functions}"
    digest = hashlib.sha256(contents.encode()).hexdigest()[:12]
    return PythonFunctionsConfig(
        name=f"{STANDARD_LIBRARY.name}_{digest}",
        description=f"The standard library and {', '.join(packages) or 'no more'}; min_functions={min_functions}.",
        packages=packages,
        min_functions=min_functions,
    )


class PythonFunctions(OfflineBuilder):
    """Documented Python functions, split by whole task into meta_train, meta_validation and meta_test.

    Use it where a `tf.data` pipeline is wanted; `load_functions` gives the same pairs as plain lists. Each example has
    six strings: `task`, `name`, `source`, `target`, `path`, `licence` (see `python_source.Function`).

    Args:
        data_dir: folder of the copy; default TFDS's own (`TFDS_DATA_DIR` or `~/tensorflow_datasets`).
        config: a `PythonFunctionsConfig` or a config's name; default the standard library.

    Example:

    >>> import tempfile
    >>> builder = PythonFunctions(data_dir=tempfile.mkdtemp())
    >>> sorted(builder.info.features)
    ['licence', 'name', 'path', 'source', 'target', 'task']
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.0.0": "Signature and docstring to body, tasks split by a hash of their names."
    }
    BUILDER_CONFIGS: ClassVar[list[tfds.core.BuilderConfig]] = [STANDARD_LIBRARY]

    def describe(self) -> dict[str, Any]:
        """See `OfflineBuilder`."""
        names = [field.name for field in dataclasses.fields(Function)]
        return {
            "description": DESCRIPTION,
            "features": tfds.features.FeaturesDict({name: tfds.features.Text() for name in names}),
            "supervised_keys": ("source", "target"),
            "license": "Each example carries the licence of its package.",
        }

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Split -> its functions, task by task."""
        splits = split_functions(self.builder_config.files(), self.builder_config.min_functions)
        return {
            split: [dataclasses.asdict(function) for functions in tasks.values() for function in functions]
            for split, tasks in splits.items()
        }


def _version(package: str) -> str:
    """The version that a package's distribution declares, else the newest change of its files."""
    try:
        return importlib.metadata.version(package.split(".")[0])
    except importlib.metadata.PackageNotFoundError:
        return str(max(Path(file.file).stat().st_mtime_ns for file in installed_package(package)))
