"""What every contestant of `meta_step` gets: the same episode and the same weights, as NumPy arrays.

Axes: M tasks, K support examples, Q query examples, S source, T target.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

PAD, BOS, EOS, VOCABULARY = 0, 1, 2, 259
SUPPORT_X, SUPPORT_Y, QUERY_X, QUERY_Y = range(4)
FIRST_ORDER = ("fomaml", "reptile")


def add_options(add: Callable[..., Any], tasks: str = "tasks in a meta-batch") -> None:
    """The sizes of the model and of the episodes, as options of a script.

    Args:
        add: `parser.add_argument`.
        tasks: what `--tasks` counts.
    """
    add("--dim", type=int, default=128, help="model width")
    add("--layers", type=int, default=2, help="layers of the encoder, and of the decoder")
    add("--heads", type=int, default=4, help="attention heads")
    add("--hidden", type=int, default=512, help="feed-forward width")
    add("--length", type=int, default=64, help="tokens of a source and of a target")
    add("--tasks", type=int, default=4, help=tasks)
    add("--support", type=int, default=4, help="K, examples to adapt on")
    add("--query", type=int, default=4, help="Q, examples to be judged on")


def episode(settings: dict[str, Any]) -> tuple[np.ndarray, ...]:
    """A meta-batch of random bytes: `support_x (M, K, S)`, `support_y (M, K, T)`, then the same of the query, int32.

    Rows end with EOS somewhere in their second half and are padded, so that the masks are part of the work.
    """
    random = np.random.default_rng(settings["seed"])
    tasks, length = settings["tasks"], settings["length"]
    return tuple(_rows(random, (tasks, settings[rows], length)) for rows in ("support", "support", "query", "query"))


def decoder_input(target: Any, concatenate: Any) -> Any:
    """Teacher forcing: BOS, then the target without its last token, along the last axis."""
    return concatenate([target[..., :1] * 0 + BOS, target[..., :-1]])


def adapted(algorithm: str, names: Iterable[str]) -> list[str]:
    """Those of the weights' names that a task adapts: the head for ANIL, all for the others."""
    return [name for name in names if algorithm != "anil" or name.startswith("head/")]


def save_weights(path: str, named: dict[str, np.ndarray]) -> None:
    """Write weights by name to an `.npz` file."""
    with Path(path).open("wb") as file:
        np.savez(file, **named)


def load_weights(path: str) -> dict[str, np.ndarray]:
    """The weights of `save_weights`, names like `encoder/layer_0/self_attention/query/kernel`."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def positions(length: int, dim: int) -> np.ndarray:
    """Sinusoidal position vectors `(length, dim)`; Vaswani et al., 2017, section 3.5."""
    angles = np.arange(length)[:, None] / 10000.0 ** (np.arange(0, dim, 2)[None] / dim)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, dim).astype("float32")


def _rows(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    ids = random.integers(EOS + 1, VOCABULARY, shape)
    end = random.integers(shape[-1] // 2, shape[-1], shape[:-1])[..., None]
    place = np.arange(shape[-1])
    return np.where(place < end, ids, np.where(place == end, EOS, PAD)).astype("int32")
