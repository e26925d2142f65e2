"""Python functions as plain lists of pairs, from the standard library, installed packages, folders or files."""

import contextlib
import os
import warnings
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from metagpt_tf.datasets.python_files import given_path, installed_package
from metagpt_tf.datasets.python_source import extract, split_functions
from metagpt_tf.datasets.splits import SPLITS

if TYPE_CHECKING:
    from metagpt_tf.datasets.python_functions import PythonFunctions

Pair = tuple[str, str]
PathLike = str | os.PathLike[str]


def load_functions(
    path: PathLike | Sequence[PathLike] | None = None,
    packages: Sequence[str] = (),
    min_functions: int = 20,
    data_dir: PathLike | None = None,
    progress: bool = False,
) -> dict[str, dict[str, list[Pair]]]:
    """Load documented Python functions as (source, target) pairs, grouped by split and task.

    Use it to get text for code tasks. `source` is the signature and docstring, `target` the body; one line after the
    other they parse. A task is a top-level package or module, and is in one split only. Without a path the standard
    library of the running Python is read through the TFDS builder `PythonFunctions`: built once into a cache, read
    from it afterwards.

    Args:
        path: a folder (each first-level package and module is a task), a `.py` file (one task) or a list of these, read
            directly; default the standard library. Equal first-level names in two folders are one task.
        packages: installed packages to add, each a task, by the name that `import` takes; `"keras.src.layers"` is part
            of one, `"keras.src.*"` a task for each of its parts.
        min_functions: tasks with fewer documented functions than this are dropped.
        data_dir: folder of the cache; default TFDS's own. Not used with a path.
        progress: whether to show TFDS's progress bars while the cache is built.

    Returns:
        `{"meta_train" | "meta_validation" | "meta_test": {task: [(source, target), ...]}}`, three non-empty splits.

    Raises:
        FileNotFoundError: nothing is at `path`.
        ValueError: an unknown package, no documented function, or fewer than three tasks with enough of them.
        OSError: the cache cannot be written.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp())
    >>> for number, name in enumerate(("one", "two", "three")):
    ...     code = f'def {name}():\\n    "Return a number."\\n    return {number}\\n'
    ...     _ = (folder / f"{name}.py").write_text(code)
    >>> functions = load_functions(folder, min_functions=1)
    >>> sorted(task for tasks in functions.values() for task in tasks)
    ['one', 'three', 'two']
    """
    packages = (packages,) if isinstance(packages, str) else tuple(packages)
    if path is None:
        loaded = _from_builder(packages, min_functions, data_dir, progress)
    else:
        loaded = _from_paths(path, packages, min_functions)
    small = {name for name in packages if not name.endswith(".*")}.difference(*loaded.values())
    if small:
        warnings.warn(
            f"Left out {', '.join(sorted(small))}: fewer than min_functions={min_functions} documented functions.",
            stacklevel=2,
        )
    return loaded


def functions_at(path: PathLike) -> list[Pair]:
    """All documented functions of one folder or `.py` file, as (source, target) pairs in the order of the files.

    Use it for a support set: no splits, no least number of functions.

    Raises:
        FileNotFoundError: nothing is at `path`.
    """
    found = extract(given_path(path))
    found.warn()
    return [(function.source, function.target) for function in found.functions]


def _from_paths(
    path: PathLike | Sequence[PathLike], packages: tuple[str, ...], min_functions: int
) -> dict[str, dict[str, list[Pair]]]:
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    files = [*chain.from_iterable(map(given_path, paths)), *chain.from_iterable(map(installed_package, packages))]
    return {
        split: {task: [(function.source, function.target) for function in tasks[task]] for task in tasks}
        for split, tasks in split_functions(files, min_functions).items()
    }


def _from_builder(
    packages: tuple[str, ...], min_functions: int, data_dir: PathLike | None, progress: bool
) -> dict[str, dict[str, list[Pair]]]:
    with _progress_bars(progress):
        builder = _prepared_builder(packages, min_functions, data_dir)
        return {split: _read_split(builder, split) for split in SPLITS}


def _prepared_builder(packages: tuple[str, ...], min_functions: int, data_dir: PathLike | None) -> "PythonFunctions":
    """The builder, its copy on disk; TFDS writes aside and renames, so a copy is whole or absent."""
    from metagpt_tf.datasets.python_functions import PythonFunctions, config_for

    config = config_for(packages, min_functions)
    builder = PythonFunctions(data_dir=data_dir, config=config)
    try:
        builder.download_and_prepare()
    except OSError as error:
        if builder.data_path.exists():  # another process finished the same copy first: read that one
            return PythonFunctions(data_dir=data_dir, config=config)
        raise OSError(
            f"Could not write the cache of Python functions to {builder.data_dir}: {error}. Expected a writable folder "
            f"with room for some megabytes: pass another data_dir, or set the environment variable TFDS_DATA_DIR."
        ) from error
    return builder


def _read_split(builder: "PythonFunctions", split: str) -> dict[str, list[Pair]]:
    columns = builder.as_dataset(split=split, batch_size=-1)
    rows = zip(*(columns[key].numpy() for key in ("task", "source", "target")), strict=True)
    tasks: dict[str, list[Pair]] = {}
    for task, source, target in rows:
        tasks.setdefault(task.decode(), []).append((source.decode(), target.decode()))
    return tasks


@contextlib.contextmanager
def _progress_bars(shown: bool) -> Iterator[None]:
    """Show or hide TFDS's progress bars, a process-wide setting there, and hide nothing of the caller's afterwards."""
    from tensorflow_datasets.core.utils import tqdm_utils

    before = tqdm_utils._active
    tqdm_utils.display_progress_bar(shown)
    try:
        yield
    finally:
        tqdm_utils.display_progress_bar(before)
