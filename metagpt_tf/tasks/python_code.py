"""Python code as few-shot tasks: write the bodies of functions of a package from a few of its functions."""

import os
from collections.abc import Sequence
from typing import Any

from metagpt_tf import tokenizers
from metagpt_tf.datasets import load_functions
from metagpt_tf.tasks.arrays import OnSmall
from metagpt_tf.tasks.text import TextTasks, pack_pairs

PathLike = str | os.PathLike[str]


class PythonCode(TextTasks):
    """Signature and docstring in, body out; a task is a package or module, held out as a whole.

    Use it as real text that is on every machine: without arguments it reads the standard library of the running Python.

    Args:
        path: a folder, a `.py` file or a list of these; default the standard library. See `datasets.load_functions`.
        packages: installed packages to add, each a task.
        tokenizer: an object or a name.
        source_length: S, tokens of a signature and docstring, EOS included; longer ones are cut.
        target_length: T, tokens of a body, EOS included; longer ones are cut.
        min_functions: tasks with fewer documented functions are dropped.
        data_dir: folder of the cache of the standard library; default TFDS's own.
        on_small: what happens to tasks of fewer than K + Q functions, see `ArrayTasks`.

    Raises:
        FileNotFoundError: nothing is at `path`.
        ValueError: too few tasks for three splits, an unknown package or tokenizer, a length below 1.

    Example:

    >>> import tempfile
    >>> tasks = PythonCode(data_dir=tempfile.mkdtemp())
    >>> batch = next(iter(tasks.as_dataset(meta_batch_size=2, k_shot=4, n_query=4)))
    >>> batch.support_x.shape
    TensorShape([2, 4, 128])
    """

    def __init__(
        self,
        path: PathLike | Sequence[PathLike] | None = None,
        packages: Sequence[str] = (),
        tokenizer: Any = "bytes",
        source_length: int = 128,
        target_length: int = 128,
        min_functions: int = 20,
        data_dir: PathLike | None = None,
        on_small: OnSmall = "error",
    ) -> None:
        resolved = tokenizers.get(tokenizer)
        pairs = load_functions(path, packages, min_functions, data_dir)
        packed = pack_pairs(pairs, resolved, source_length, target_length)
        super().__init__(packed, resolved, source_length, target_length, on_small)
