"""Real data on this machine as TFDS builders, and `load_functions`, which gives it as plain lists.

`PythonFunctions` needs tensorflow_datasets, whose import is slow: it is loaded when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

from metagpt_tf.datasets.alphabets import Alphabets, load_alphabets
from metagpt_tf.datasets.loading import functions_at, load_functions
from metagpt_tf.datasets.splits import SPLITS, split_tasks

if TYPE_CHECKING:
    from metagpt_tf.datasets.python_functions import PythonFunctions, PythonFunctionsConfig

__all__ = [
    "SPLITS",
    "Alphabets",
    "PythonFunctions",
    "PythonFunctionsConfig",
    "functions_at",
    "load_alphabets",
    "load_functions",
    "split_tasks",
]


def __getattr__(name: str) -> Any:
    if name in ("PythonFunctions", "PythonFunctionsConfig"):
        from metagpt_tf.datasets import python_functions

        return getattr(python_functions, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
