"""Checks of constructor arguments: a mistake is named where it is made, not somewhere inside a graph."""

from collections.abc import Iterable
from typing import Any

from metagpt_tf.registry import closest


def check_choice(owner: Any, name: str, value: Any, choices: Iterable[str]) -> str:
    """Return `value` if it is one of `choices`.

    Raises:
        ValueError: it is not; the message suggests the closest one.
    """
    choices = list(choices)
    if value not in choices:
        raise ValueError(f"{type(owner).__name__}: unknown {name} {value!r}. {closest(str(value), choices)}")
    return value


def check_at_least(owner: Any, least: int, **values: Any) -> None:
    """Refuse sizes that are no integers or are below `least`.

    Raises:
        ValueError: names the argument, what was given and what was expected.
    """
    for name, value in values.items():
        # `index` is what makes Python and NumPy integers alike; a bool has it too and is no size.
        if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
            raise ValueError(
                f"{type(owner).__name__}: expected {name} to be an integer >= {least}, received {value!r}."
            )


def check_share(owner: Any, **values: Any) -> None:
    """Refuse shares outside [0, 1).

    Raises:
        ValueError: names the argument, what was given and what was expected.
    """
    for name, value in values.items():
        if not 0.0 <= value < 1.0:
            raise ValueError(f"{type(owner).__name__}: expected {name} to be in [0, 1), received {value!r}.")


def check_rank(owner: Any, name: str, shape: tuple, axes: str) -> None:
    """Refuse an input whose number of axes is not that of `axes`, such as `"(B, T, D)"`.

    Raises:
        ValueError: shows both shapes.
    """
    if len(shape) != axes.count(",") + 1:
        raise ValueError(f"{type(owner).__name__}: expected {name} of shape {axes}, received shape {tuple(shape)}.")
