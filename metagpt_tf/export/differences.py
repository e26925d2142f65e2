"""How far two answers lie apart, and where tokens or texts part."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf


def comparable(name: str, values: np.ndarray) -> np.ndarray:
    """PNG files, which are outputs called `…_bytes`, as pixels in [0, 1]; others as they are."""
    if not name.endswith("_bytes"):
        return values
    return np.stack([tf.io.decode_png(file).numpy() for file in np.ravel(values)]) / 255.0


def difference(expected: np.ndarray, found: np.ndarray) -> float:
    """Largest absolute difference of floats; of ids and texts the share that differs; infinite for other shapes."""
    expected, found = np.asarray(expected), np.asarray(found)
    if expected.shape != found.shape:
        return float("inf")
    if not expected.size:
        return 0.0
    if expected.dtype.kind == "f":
        return float(np.max(np.abs(expected - found)))
    return float(np.mean(expected != found))


def first_difference(expected: np.ndarray, found: np.ndarray, piece: Callable[[int], str] = str) -> str:
    """Where ids or texts part first, e.g. `"row 1, token 12: 259 'he', expected 107 'h'"`; empty if they do not.

    Args:
        expected: what Keras says.
        found: what was read.
        piece: id to what it stands for.
    """
    expected, found = np.asarray(expected), np.asarray(found)
    if expected.dtype.kind == "f":
        return ""
    if expected.shape != found.shape:
        return f"shape {found.shape}, expected {expected.shape}"
    places = np.argwhere(expected != found)
    if not len(places):
        return ""
    place = tuple(int(i) for i in places[0])
    right, wrong = expected[place], found[place]
    where = f"row {place[0]}" if place else "all"
    if expected.dtype.kind == "O":
        return f"{where}, byte {_parting(right, wrong)}: {wrong!r}, expected {right!r}"
    if place[1:]:
        where += f", token {place[1]}"
    return f"{where}: {_id(wrong, piece)}, expected {_id(right, piece)}"


def _id(value: int, piece: Callable[[int], str]) -> str:
    meaning = piece(int(value))
    return f"{int(value)} {meaning!r}" if meaning else f"{int(value)}"


def _parting(a: bytes, b: bytes) -> int:
    pairs = zip(a, b, strict=False)
    return next((index for index, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))
