"""Presets: a directory with a model's configuration, its weights, what it says of itself, and the hash of each.

Nothing in it is code: JSON and arrays. A file that is not as it was written is refused.
"""

import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from metagpt_tf.files import written_aside

# Where presets that come with the package lie.
PRETRAINED = Path(__file__).parent / "models" / "presets"
SUMS, CARD = "SHA256SUMS", "card.json"


def pretrained_names(part: str = "model") -> list[str]:
    """Names of the presets that come with the package and have that part, in alphabetical order."""
    return sorted(path.parent.name for path in PRETRAINED.glob(f"*/{part}.npz"))


def find_preset(name: str | os.PathLike) -> Path | None:
    """The directory of a pretrained name, or of the user's own preset; `None` if it is neither."""
    if isinstance(name, str) and (PRETRAINED / name / SUMS).is_file() and Path(name).name == name:
        return PRETRAINED / name
    path = Path(name)
    return path if (path / SUMS).is_file() else None


class Preset:
    """A preset that is whole: every file was compared with its hash when this was made.

    Use it to read parts of a preset; `MetaGPT.from_preset` and `saving.load_learner` are what users call.

    Args:
        directory: of the preset.

    Raises:
        FileNotFoundError: there is no preset.
        ValueError: a file is missing, or differs from what was written.

    Reference: FIPS 180-4 (SHA-256); the hashes are in the format of `sha256sum`: `sha256sum -c SHA256SUMS` checks them.
    """

    def __init__(self, directory: str | os.PathLike) -> None:
        self.directory = Path(directory)
        if not (self.directory / SUMS).is_file():
            raise FileNotFoundError(
                f"There is no preset at {self.directory}: expected a directory with {SUMS}. "
                "model.save_to_preset(directory) writes one."
            )
        lines = (self.directory / SUMS).read_text(encoding="utf-8").splitlines()
        pairs = [line.split("  ", 1) for line in lines if line.strip()]
        self.hashes: dict[str, str] = {name: value for value, name in pairs}
        self._content = {name: self._checked(name) for name in self.hashes}

    def _checked(self, name: str) -> bytes:
        path = self.directory / name
        if Path(name).name != name or not path.is_file():
            raise ValueError(f"The preset at {self.directory} lacks {name!r}, which its {SUMS} names. Copy it again.")
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != self.hashes[name]:
            raise ValueError(
                f"{path} is not what was saved: its SHA-256 is {found[:16]}…, expected {self.hashes[name][:16]}…. It "
                "was changed or damaged, and is not loaded. Copy the preset again from where it came from."
            )
        return content

    @property
    def parts(self) -> list[str]:
        """Names of the parts, e.g. `["algorithm", "model"]`."""
        return sorted(name.removesuffix(".npz") for name in self.hashes if name.endswith(".npz"))

    @property
    def card(self) -> dict[str, Any]:
        """What the preset says of itself: data, licence, figures; empty if it says nothing."""
        return self._json(CARD) if CARD in self.hashes else {}

    def description(self, part: str) -> dict[str, Any]:
        """`{"class": registered name, "config": constructor arguments}` of a part.

        Raises:
            ValueError: the preset has no such part.
        """
        if part not in self.parts:
            raise ValueError(f"The preset at {self.directory} has no {part!r}; it has {', '.join(self.parts)}.")
        return self._json(f"{part}.json")

    def set_weights(self, part: str, target: Any) -> None:
        """Put a part's weights into a built model or layer.

        Raises:
            ValueError: other shapes than the target's; names the first weight that does not fit.
        """
        with np.load(io.BytesIO(self._content[f"{part}.npz"]), allow_pickle=False) as arrays:
            values = [arrays[f"{index}"] for index in range(len(arrays.files))]
        for variable, value in zip(target.weights, values, strict=False):
            if tuple(variable.shape) != value.shape:
                raise ValueError(
                    f"Weight {variable.path!r} has shape {tuple(variable.shape)}, the preset's {value.shape}. "
                    "Override only what leaves the weights' shapes, or train anew from a size such as 'nano'."
                )
        if len(values) != len(target.weights):
            raise ValueError(f"{part} of the preset has {len(values)} weights, this one {len(target.weights)}.")
        pairs = zip(target.weights, values, strict=True)
        target.set_weights([value.astype(variable.dtype) for variable, value in pairs])

    def _json(self, name: str) -> dict[str, Any]:
        return json.loads(self._content[name])


def save_preset(
    directory: str | os.PathLike,
    parts: Mapping[str, Any],
    card: Mapping[str, Any] | None = None,
    dtype: str = "float32",
) -> Path:
    """Write built models and layers as a preset.

    Args:
        directory: to make; must not exist, or be empty.
        parts: name of each part to the object, e.g. `{"model": model}`.
        card: what the preset says of itself: data, licence, figures.
        dtype: of the stored weights; `"float16"` halves the files and rounds to three digits.

    Returns:
        The directory.

    Raises:
        FileExistsError: something is in the directory.
        OSError: it cannot be written.
        ValueError: a part is not built, or a `dtype` that is no float.
    """
    directory = Path(directory)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise FileExistsError(f"{directory} is not empty, and a preset is not written over it. Choose another place.")
    if dtype not in ("float16", "float32"):
        raise ValueError(f"dtype must be 'float32' or 'float16', received {dtype!r}.")
    content = {name: data for part, target in parts.items() for name, data in _files(part, target, dtype).items()}
    if card is not None:
        content[CARD] = _as_json(card)
    with written_aside(directory) as aside:
        aside.mkdir()
        for name, data in content.items():
            (aside / name).write_bytes(data)
        (aside / SUMS).write_text(_sums(content), encoding="utf-8")
    return directory


def write_card(directory: str | os.PathLike, card: Mapping[str, Any]) -> None:
    """Replace what a preset says of itself, and its hash; the rest must be whole."""
    preset = Preset(directory)
    hashes = {**preset.hashes, CARD: hashlib.sha256(_as_json(card)).hexdigest()}
    for name, data in ((CARD, _as_json(card)), (SUMS, _lines(hashes).encode())):
        with written_aside(preset.directory / name) as aside:
            aside.write_bytes(data)


def _files(part: str, target: Any, dtype: str) -> dict[str, bytes]:
    if not target.built:
        raise ValueError(f"{part} ({type(target).__name__}) is not built, so it has no weights to save. Call it once.")
    name = keras.saving.get_registered_name(type(target))
    arrays = io.BytesIO()
    values: Sequence[np.ndarray] = target.get_weights()
    rounded = {f"{i}": v.astype(dtype) if v.dtype.kind == "f" else v for i, v in enumerate(values)}
    np.savez_compressed(arrays, allow_pickle=False, **rounded)
    return {f"{part}.json": _as_json({"class": name, "config": target.get_config()}), f"{part}.npz": arrays.getvalue()}


def _as_json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _sums(content: Mapping[str, bytes]) -> str:
    return _lines({name: hashlib.sha256(data).hexdigest() for name, data in content.items()})


def _lines(hashes: Mapping[str, str]) -> str:
    return "".join(f"{value}  {name}\n" for name, value in sorted(hashes.items()))
