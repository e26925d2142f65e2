"""What one example of each text task is before a converter makes a pair of it: plain dictionaries, as in JSON Lines."""

from collections.abc import Callable, Hashable, Iterable
from typing import TypedDict, TypeVar

from metagpt_tf.datasets.splits import split_tasks

T = TypeVar("T")
Tasks = dict[str, dict[str, list[T]]]  # split -> task -> records


class LabelledText(TypedDict):
    """A text and the class it belongs to."""

    text: str
    label: str


class TaggedSentence(TypedDict):
    """Tokens and their tags, one each: `"B-X"` begins a name of type X, `"I-X"` goes on with it, `"O"` is outside."""

    tokens: list[str]
    tags: list[str]


class Dialogue(TypedDict):
    """The turns of a conversation, in order."""

    turns: list[str]


class Triple(TypedDict):
    """A fact, and a text that says something about its head (`""` if there is none)."""

    head: str
    relation: str
    tail: str
    text: str


def split_records(tasks: dict[str, list[T]]) -> Tasks[T]:
    """Hold out whole tasks: split -> task -> records, by `split_tasks`.

    Raises:
        ValueError: fewer than three tasks.

    Example:

    >>> parts = split_records({"a": [1], "b": [2], "c": [3]})
    >>> sorted(len(tasks) for tasks in parts.values())
    [1, 1, 1]
    """
    return {split: {name: tasks[name] for name in names} for split, names in split_tasks(tasks).items()}


def distinct(records: Iterable[T], key: Callable[[T], Hashable]) -> list[T]:
    """The first record of each key: an equal one could stand in the support and in the query of an episode.

    Example:

    >>> distinct(["a", "A", "b"], str.lower)
    ['a', 'b']
    """
    first: dict[Hashable, T] = {}
    for record in records:
        first.setdefault(key(record), record)
    return list(first.values())


def large_enough(tasks: dict[str, list[T]], least: int, what: str) -> dict[str, list[T]]:
    """The tasks with at least `least` records.

    Raises:
        ValueError: fewer than three of them, too few for three splits.
    """
    kept = {name: records for name, records in tasks.items() if len(records) >= least}
    if len(kept) < 3:
        sizes = {name: len(records) for name, records in sorted(tasks.items())[:10]}
        raise ValueError(
            f"Three disjoint splits need at least 3 tasks with at least {least} {what} each; received "
            f"{len(kept)} of {len(tasks)}: {sizes}. Give more, or lower the least number."
        )
    return kept
