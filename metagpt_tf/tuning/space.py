"""What a search may choose: a space that is plain data, written down and checked before anything runs."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metagpt_tf.registry import closest

Axis = Sequence[Any] | Mapping[str, Any]
RANGE_KEYS = ("low", "high", "step", "log")


@dataclass(frozen=True)
class Space:
    """Names of hyper-parameters to what each may be.

    Attributes:
        axes: name to a list of choices, `["adam", "sgd"]`, or to a range, `{"low": 0.01, "high": 0.5, "log": True}`:
            of whole numbers if both ends are, with an optional `"step"`; `"log"` draws its logarithm evenly.

    Raises:
        ValueError: nothing to choose, or an axis that is neither.

    Example:

    >>> space = Space.of(scope=["all", "low_rank"], inner_learning_rate={"low": 0.01, "high": 0.5, "log": True})
    >>> Space.from_json(space.to_json()) == space
    True
    >>> space.first()
    {'scope': 'all', 'inner_learning_rate': 0.01}
    """

    axes: dict[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.axes, Mapping) or not self.axes:
            raise ValueError(
                "The space is empty: a search needs something to choose from, e.g. "
                'Space.of(inner_learning_rate={"low": 0.01, "high": 0.5, "log": True}, scope=["all", "low_rank"]).'
            )
        object.__setattr__(self, "axes", {name: _checked(name, axis) for name, axis in self.axes.items()})

    @classmethod
    def of(cls, **axes: Axis) -> "Space":
        """A space of keyword arguments."""
        return cls(dict(axes))

    @classmethod
    def from_any(cls, space: "Space | Mapping[str, Axis]") -> "Space":
        """A space, or one of a mapping."""
        return space if isinstance(space, Space) else cls(dict(space) if isinstance(space, Mapping) else space)

    def to_json(self) -> str:
        """The space as JSON."""
        return json.dumps(self.axes)

    @classmethod
    def from_json(cls, text: str) -> "Space":
        """What `to_json` wrote.

        Raises:
            ValueError: no space.
        """
        try:
            axes = json.loads(text)
        except json.JSONDecodeError:
            axes = None
        if not isinstance(axes, dict):
            raise ValueError(f'Expected JSON like {{"scope": ["all", "low_rank"]}}, received {text[:80]!r}.')
        return cls(axes)

    def first(self) -> dict[str, Any]:
        """The first choice, or the low end, of every axis."""
        return {name: axis[0] if isinstance(axis, list) else axis["low"] for name, axis in self.axes.items()}

    def check_names(self, known: Sequence[str]) -> None:
        """Refuse a name that nobody reads.

        Raises:
            ValueError: such a name; the closest known one is suggested.
        """
        for name in self.axes:
            if name not in known:
                raise ValueError(f"Unknown hyper-parameter {name!r}. {closest(name, known)}")

    def ends(self, name: str) -> list[Any]:
        """The choices of an axis, or the two ends of its range; nothing for an axis that is not there."""
        axis = self.axes.get(name, [])
        return list(axis) if isinstance(axis, list) else [axis["low"], axis["high"]]

    def whole(self, name: str) -> list[Any]:
        """All that an axis of whole numbers can be; the choices or the ends of any other."""
        axis = self.axes.get(name, [])
        if isinstance(axis, list) or not isinstance(axis["low"], int):
            return self.ends(name)
        return list(range(axis["low"], axis["high"] + 1, axis.get("step", 1)))


def _checked(name: str, axis: Any) -> Any:
    """An axis in its one form.

    Raises:
        ValueError: no axis.
    """
    if isinstance(axis, Mapping):
        return _checked_range(name, dict(axis))
    if isinstance(axis, str) or not isinstance(axis, Sequence) or not axis:
        raise ValueError(
            f"{name!r} needs a list of choices, at least one, or a range {{'low': …, 'high': …}}; received {axis!r}."
        )
    choices = list(axis)
    kinds = {float if isinstance(value, int | float) and not isinstance(value, bool) else type(value) for value in axis}
    if len(kinds) > 1 or not kinds <= {float, str, bool}:
        raise ValueError(f"The choices of {name!r} must be numbers, or names, or truth values; received {choices!r}.")
    if kinds == {float} and not all(isinstance(value, int) for value in choices):
        choices = [float(value) for value in choices]
    return choices


def _checked_range(name: str, axis: dict[str, Any]) -> dict[str, Any]:
    for key in axis:
        if key not in RANGE_KEYS:
            raise ValueError(f"The range of {name!r} has an unknown entry {key!r}. {closest(key, RANGE_KEYS)}")
    given: list[Any] = [axis.get(key) for key in RANGE_KEYS]
    low, high, step, log = given
    numbers = [value for value in (low, high) if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < 2 or not all(map(math.isfinite, numbers)) or not low < high:
        raise ValueError(f"The range of {name!r} needs numbers with low < high, received {axis!r}.")
    if (log and (low <= 0 or step is not None)) or (step is not None and not step > 0):
        raise ValueError(
            f"The range of {name!r} is {axis!r}: a logarithmic one begins above 0 and has no step, and a step is "
            "above 0."
        )
    whole = isinstance(low, int) and isinstance(high, int) and (step is None or isinstance(step, int))
    ends = {"low": low, "high": high} if whole else {"low": float(low), "high": float(high)}
    return {**ends, **({} if step is None else {"step": step}), **({"log": True} if log else {})}
