"""Fast weights: which variables of a model a task adapts, and their form as one flat vector.

A *scope* picks variables, *fast weights* are tensors that stand in for them, a *state* is those tensors flattened
into one float32 vector that a client can keep. Nothing here writes to a variable.
"""

import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from metagpt_tf.files import written_aside
from metagpt_tf.kept_zeros import is_prunable, kept_places, pattern_of, places_in, without_gradient_at_zeros
from metagpt_tf.registry import closest

# What NumPy and zipfile raise for files that are damaged, are something else, or claim impossible sizes.
UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error),
    *(NotImplementedError, RuntimeError, MemoryError, OverflowError, struct.error),
)

NORM_AND_BIAS = ("bias", "beta", "gamma", "scale")


def _head_variables(model: keras.Model) -> list[Any]:
    named = [v for v in model.trainable_variables if "head" in v.path.split("/")]
    if named:
        return named
    layers = [layer for layer in model.layers if layer.trainable_variables]
    return list(layers[-1].trainable_variables) if layers else []


SCOPES: dict[str, Callable[[keras.Model], list[Any]]] = {
    "all": lambda model: list(model.trainable_variables),
    "head": _head_variables,
    "norm_bias": lambda model: [v for v in model.trainable_variables if v.name in NORM_AND_BIAS],
    "low_rank": lambda model: [v for v in model.trainable_variables if v.name.startswith(("low_rank", "lora_"))],
    "context": lambda model: [v for v in model.trainable_variables if v.name == "context"],
    "initial_state": lambda model: [v for v in model.trainable_variables if v.name.startswith("initial_state_")],
}

MENDS = {
    "low_rank": "Build the model with low-rank adapters, e.g. MetaGPT(low_rank=4).",
    "context": "Build the model with context tokens, e.g. MetaGPT(context_tokens=4).",
    "initial_state": "Wrap a recurrent layer, e.g. metagpt_tf.layers.InitialState(keras.layers.GRU(32)).",
}


def scope_variables(model: keras.Model, scope: str) -> list[Any]:
    """Variables of `model` that `scope` picks, in the order of `model.trainable_variables`.

    Args:
        model: a built `keras.Model`.
        scope: `"all"`; `"head"` (the layer named head, else the last layer with weights); `"norm_bias"`
            (normalisation weights and biases); `"low_rank"` (low-rank adapters); `"context"` (context parameters);
            `"initial_state"` (first states of recurrent layers); or a regular expression searched in each variable's
            path.

    Raises:
        ValueError: the model is not built, or the scope picks nothing.
    """
    if not model.trainable_variables:
        raise ValueError(
            f"Model {model.name!r} has no trainable variables yet. Build it first, e.g. by calling it once."
        )
    if scope in SCOPES:
        picked = {id(v) for v in SCOPES[scope](model)}
    else:
        picked = {id(v) for v in model.trainable_variables if re.search(scope, v.path)}
    if not picked:
        paths = ", ".join(v.path for v in model.trainable_variables[:3])
        mend = MENDS.get(
            scope, f"Use a scope or a regular expression over paths like {paths}, … {closest(scope, SCOPES)}"
        )
        raise ValueError(f"Scope {scope!r} picks no variable of model {model.name!r}. {mend}")
    return [v for v in model.trainable_variables if id(v) in picked]


class State(np.ndarray):
    """What a task taught a model: a flat float32 vector that remembers the scope it belongs to.

    It behaves as the NumPy array it is, so it can be saved, sent or compared; `scope` and `keep_zeros` are how
    `MetaGPT.generate(prompt, state=state)` knows which weights it stands for.

    Attributes:
        scope: name or regular expression of the scope, `None` after operations that lose it.
        keep_zeros: whether it leaves out the weights that are pruned.
        model: hash of the model that it is of, where a file says so.

    Example:

    >>> State.of([1.0, 2.0], scope="context").scope
    'context'
    """

    scope: str | None
    keep_zeros: bool
    model: str | None

    @classmethod
    def of(cls, values: Any, scope: str | None, keep_zeros: bool = False, model: str | None = None) -> "State":
        """Make a state from `(P,)` float values."""
        state = np.array(values, dtype="float32").view(cls)
        state.scope, state.keep_zeros, state.model = scope, keep_zeros, model
        return state

    def __array_finalize__(self, source: Any) -> None:
        self.scope = getattr(source, "scope", None)
        self.keep_zeros = getattr(source, "keep_zeros", False)
        self.model = getattr(source, "model", None)

    def save(self, path: str | os.PathLike, model: str | None = None) -> Path:
        """Write the state and its scope to an `.npz` file, and the hash of its model if one is given."""
        final = Path(path)
        whose = self.model if model is None else model
        parts: dict[str, Any] = {"scope": np.array(self.scope or ""), "keep_zeros": self.keep_zeros}
        if whose is not None:
            parts["model"] = np.array(whose)
        with written_aside(final) as aside, aside.open("wb") as file:
            np.savez(file, state=np.asarray(self), **parts)
        return final

    @classmethod
    def load(cls, path: str | os.PathLike) -> "State":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not a state file.
        """
        try:
            # Opened here: NumPy leaves a file open that it cannot read.
            with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
                if file["state"].dtype != np.float32 or file["state"].ndim != 1:
                    raise ValueError(f"its state is {file['state'].dtype} of shape {file['state'].shape}")
                keep_zeros = bool(file["keep_zeros"]) if "keep_zeros" in file else False
                model = str(file["model"]) if "model" in file else None
                return cls.of(file["state"], str(file["scope"]) or None, keep_zeros, model)
        except FileNotFoundError:
            raise
        except UNREADABLE as error:
            raise ValueError(f"{path} is not a state file written by State.save: {error}") from error


class FastWeights:
    """The layout of one scope's variables inside a flat state vector.

    Args:
        model: a built `keras.Model`.
        scope: see `scope_variables`.
        keep_zeros: take zeros of matrices for pruned weights: they have no gradient and no place in the state.

    Attributes:
        variables: the variables of the scope.
        size: P, length of the state.
        pattern: a checksum of where the zeros were that are kept.
        layer_indices: which layer each variable belongs to, counted from 0.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="head")])
    >>> FastWeights(model, "head").size
    9
    """

    def __init__(self, model: keras.Model, scope: str = "all", keep_zeros: bool = False) -> None:
        self.model = model
        self.scope = scope
        self.keep_zeros = keep_zeros
        self.variables = scope_variables(model, scope)
        position = {id(v): i for i, v in enumerate(model.trainable_variables)}
        self.indices = [position[id(v)] for v in self.variables]
        self.shapes = [tuple(v.shape) for v in self.variables]
        self._kept = [kept_places(v) if keep_zeros and is_prunable(v) else None for v in self.variables]
        self.pattern = self.pattern_now()
        self.sizes = [
            int(np.prod(shape)) if kept is None else len(kept)
            for shape, kept in zip(self.shapes, self._kept, strict=True)
        ]
        self.size = sum(self.sizes)
        layers = [v.path.rpartition("/")[0] for v in self.variables]
        first = {name: i for i, name in enumerate(dict.fromkeys(layers))}
        self.layer_indices = tuple(first[name] for name in layers)

    def pattern_now(self) -> int:
        """What `pattern` would be of a layout made now; another one means that this one is out of date."""
        return pattern_of(v for v in self.variables if is_prunable(v)) if self.keep_zeros else 0

    def select(self, trainable: Sequence[Any]) -> list[Any]:
        """The scope's part of a list ordered as `model.trainable_variables`."""
        return [trainable[i] for i in self.indices]

    def merge(self, trainable: Sequence[Any], fast: Sequence[Any]) -> list[Any]:
        """`trainable` with the scope's part replaced by `fast`."""
        merged = list(trainable)
        for index, weight, kept in zip(self.indices, fast, self._kept, strict=True):
            merged[index] = weight if kept is None else without_gradient_at_zeros(weight)
        return merged

    def pack(self, fast: Sequence[Any]) -> tf.Tensor:
        """Flatten fast weights to the state `(P,)` float32."""
        flat = [tf.reshape(tf.cast(w, tf.float32), [-1]) for w in fast]
        return tf.concat(
            [w if kept is None else tf.gather(w, kept) for w, kept in zip(flat, self._places(), strict=True)], 0
        )

    def unpack(self, state: Any) -> list[tf.Tensor]:
        """Cut a state `(P,)` into tensors shaped like the variables."""
        parts = tf.split(state, self.sizes) if len(self.sizes) > 1 else [state]
        return [
            tf.reshape(part if kept is None else _spread(part, kept, shape), shape)
            for part, kept, shape in zip(parts, self._places(), self.shapes, strict=True)
        ]

    def _places(self) -> list[Any]:
        """Of each variable, the places of its kept weights; `None` where all are kept."""
        pairs = zip(self.variables, self._kept, strict=True)
        return [None if kept is None else places_in(variable, kept) for variable, kept in pairs]

    def initial_state(self) -> State:
        """The state that changes nothing: the variables' present values."""
        flat = [np.ravel(keras.ops.convert_to_numpy(v)) for v in self.variables]
        parts = [w if kept is None else w[kept] for w, kept in zip(flat, self._kept, strict=True)]
        return State.of(np.concatenate(parts), self.scope, self.keep_zeros)

    def mapping(self, state: Any) -> list[tuple[Any, tf.Tensor]]:
        """Pairs for `keras.StatelessScope(state_mapping=…)`, under which the model runs with `state`."""
        return list(zip(self.variables, self.unpack(state), strict=True))

    def check(self, state: Any) -> np.ndarray:
        """Return `state` as a float32 vector, or say what is wrong with it.

        Raises:
            ValueError: wrong length or rank, or values that are not finite.
        """
        vector = np.asarray(state, dtype="float32")
        if vector.shape != (self.size,):
            raise ValueError(
                f"A state of scope {self.scope!r} of model {self.model.name!r} has shape ({self.size},); "
                f"received {vector.shape}. Use the state with the model and scope that made it."
            )
        if not np.isfinite(vector).all():
            raise ValueError(
                f"The state holds {int((~np.isfinite(vector)).sum())} values that are not finite. "
                "Adapt again with a smaller inner_learning_rate."
            )
        return vector


def _spread(kept_weights: tf.Tensor, places: Any, shape: tuple[int, ...]) -> tf.Tensor:
    """Weights `(n,)` at their places in an otherwise empty vector."""
    return tf.scatter_nd(places[:, None], kept_weights, [int(np.prod(shape))])
