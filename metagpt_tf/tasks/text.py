"""Tasks whose examples are pairs of texts: a source to read, a target to write.

Axes: n rows of a task, S source, T target.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metagpt_tf import tokenizers
from metagpt_tf.tasks.arrays import ArrayTasks, OnSmall, Task
from metagpt_tf.tokenizers import Tokenizer

Pairs = Mapping[str, Mapping[str, Sequence[tuple[str, str]]]]


class TextTasks(ArrayTasks):
    """`ArrayTasks` of packed token ids that remember their tokenizer and lengths.

    Make it with `from_pairs`.

    Args:
        tasks: split -> task name -> `((n, S) int32, (n, T) int32)`.
        tokenizer: what packed them, an object or a name such as `"bytes"`.
        source_length: S, tokens of a source, EOS included.
        target_length: T, tokens of a target, EOS included.
        on_small: see `ArrayTasks`.
    """

    def __init__(
        self,
        tasks: Mapping[str, Mapping[str, Task]],
        tokenizer: Any,
        source_length: int,
        target_length: int,
        on_small: OnSmall = "error",
    ) -> None:
        super().__init__(tasks, on_small)
        self.tokenizer: Tokenizer = tokenizers.get(tokenizer)
        self.source_length = source_length
        self.target_length = target_length

    @staticmethod
    def from_pairs(
        pairs: Pairs, tokenizer: Any, source_length: int, target_length: int, on_small: OnSmall = "error"
    ) -> "TextTasks":
        """Pack pairs of texts into tasks; longer texts are cut to the lengths, their last token EOS.

        Args:
            pairs: split -> task name -> `[(source_text, target_text), …]`.
            tokenizer: an object or a name such as `"bytes"`.
            source_length: S, tokens of a source, EOS included.
            target_length: T, tokens of a target, EOS included.
            on_small: see `ArrayTasks`.

        Raises:
            ValueError: an unknown tokenizer or split, a length below 1, or a task without pairs.

        Example:

        >>> pairs = {"meta_train": {"upper": [("a", "A"), ("b", "B"), ("c", "C")]}}
        >>> tasks = TextTasks.from_pairs(pairs, "bytes", source_length=4, target_length=4)
        >>> tasks.episode("upper", k_shot=2, n_query=1).support_x.shape
        TensorShape([2, 4])
        """
        resolved = tokenizers.get(tokenizer)
        packed = pack_pairs(pairs, resolved, source_length, target_length)
        return TextTasks(packed, resolved, source_length, target_length, on_small)


def pack_pairs(
    pairs: Pairs, tokenizer: Tokenizer, source_length: int, target_length: int
) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Split -> task -> `((n, S), (n, T))` int32 ids of pairs of texts."""
    packed: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for split, tasks in pairs.items():
        packed[split] = {}
        for name, rows in tasks.items():
            if not rows:
                raise ValueError(f"Task {name!r} of {split!r} has no pairs. Give it some, or leave it out.")
            packed[split][name] = pack_rows(rows, tokenizer, source_length, target_length)
    return packed


def pack_rows(
    rows: Sequence[tuple[str, str]], tokenizer: Tokenizer, source_length: int, target_length: int
) -> tuple[np.ndarray, np.ndarray]:
    """`((n, S), (n, T))` int32 ids of n pairs of texts, at least one."""
    sources, targets = zip(*rows, strict=True)
    return tokenizer.pack(sources, source_length), tokenizer.pack(targets, target_length)
