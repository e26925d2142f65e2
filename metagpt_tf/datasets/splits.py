"""Whole tasks go to one split: the rule that decides which, the same on every machine."""

import hashlib
from collections.abc import Iterable

SPLITS = ("meta_train", "meta_validation", "meta_test")
BOUNDARIES = (0.70, 0.85)
NAMESPACE = "metagpt_tf/"  # hashed before the name: other projects that hash names draw other splits


def position(name: str) -> float:
    """The place of a task's name on [0, 1), uniform over names and independent of Python's hash seed."""
    return int.from_bytes(hashlib.sha256(f"{NAMESPACE}{name}".encode()).digest()[:8], "big") / 2**64


def split_tasks(names: Iterable[str]) -> dict[str, list[str]]:
    """Divide task names into three disjoint, non-empty splits of about 70, 15 and 15 %.

    Use it wherever tasks have names: a task keeps its split when other tasks come and go. With u = `position(name)`,

        meta_train: u < 0.70        meta_validation: 0.70 <= u < 0.85        meta_test: u >= 0.85

    and where that leaves a split empty, the boundary moves past the name nearest to it.

    Args:
        names: task names; duplicates count once.

    Returns:
        Split name -> its task names in alphabetical order.

    Raises:
        ValueError: fewer than three distinct names.

    Example:

    >>> {split: len(names) for split, names in split_tasks(["ast", "csv", "json"]).items()}
    {'meta_train': 1, 'meta_validation': 1, 'meta_test': 1}
    """
    order = sorted(set(names), key=lambda name: (position(name), name))
    if len(order) < len(SPLITS):
        raise ValueError(
            f"Found {len(order)} task(s) ({', '.join(sorted(order)) or 'none'}), but three disjoint splits "
            f"({', '.join(SPLITS)}) need at least {len(SPLITS)}. Give more tasks."
        )
    first, second = (sum(position(name) < boundary for name in order) for boundary in BOUNDARIES)
    first = min(max(first, 1), len(order) - 2)
    second = min(max(second, first + 1), len(order) - 1)
    parts = (order[:first], order[first:second], order[second:])
    return {split: sorted(part) for split, part in zip(SPLITS, parts, strict=True)}
