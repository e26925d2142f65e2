"""Loading a `.keras` file or a preset whole or not at all."""

import importlib
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

# Imported for their registrations: a file names its classes, and Keras must know them before it reads one.
import metagpt_tf.meta
import metagpt_tf.models
import metagpt_tf.reinforcement  # noqa: F401
from metagpt_tf.meta import MetaLearner
from metagpt_tf.presets import Preset, find_preset, save_preset

__all__ = ["check_file", "load_learner", "load_model", "save_learner"]

# Of rooms above this one: modules with classes that a file may name. Nothing else that it names is imported.
ABOVE = ("metagpt_tf.tuning.elastic",)


def check_file(path: str | os.PathLike) -> Path:
    """Read every byte of a `.keras` file and compare it with the file's own checksums (CRC-32).

    `keras.models.load_model` falls back to reading a damaged part piece by piece, past its checksum: a byte flipped on
    the way can load as another weight.

    Args:
        path: file to check.

    Returns:
        The path.

    Raises:
        FileNotFoundError: no such file.
        ValueError: empty, cut, changed, or not a `.keras` file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no model file at {path}. model.save({str(path)!r}) writes one.")
    size = f"{path} ({path.stat().st_size:,} bytes)"
    mend = "Copy it again from where it came from, or save the model again."
    try:
        with zipfile.ZipFile(path) as archive:
            names, damaged = archive.namelist(), archive.testzip()
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{size} is not a whole .keras file: expected the zip archive that model.save writes, and found that "
            f"'{error}'. It is cut, empty or something else. {mend}"
        ) from error
    if damaged:
        raise ValueError(f"{size} is damaged: its part {damaged!r} differs from its checksum. {mend}")
    missing = {"config.json", "metadata.json", "model.weights.h5"} - set(names)
    if missing:
        raise ValueError(f"{size} is no .keras file: it lacks {', '.join(sorted(missing))}. {mend}")
    return path


def load_model(path: str | os.PathLike, compile: bool = True) -> keras.Model:
    """Load a `MetaGPT`, a `MetaLearner` or any other Keras model, verified byte by byte.

    `keras.models.load_model` behind `check_file`, with this package's classes registered.

    Args:
        path: `.keras` file.
        compile: bool, restore the optimizer, loss and metrics as well; default True.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged file, or one with classes that are not registered.

    Example:

    >>> import tempfile
    >>> from metagpt_tf.models import MetaGPT
    >>> path = tempfile.mkdtemp() + "/m.keras"
    >>> MetaGPT(source_length=8, target_length=8, dim=8, num_heads=2, num_layers=1).save(path)
    >>> load_model(path).dim
    8
    """
    _import_classes_of(check_file(path))
    try:
        return keras.models.load_model(path, compile=compile)
    except (TypeError, ValueError, KeyError, OSError) as error:
        raise ValueError(
            f"{path} is whole, and Keras cannot build its model: {type(error).__name__}: {error}. A class of your own "
            "must be registered (keras.saving.register_keras_serializable) and imported before loading."
        ) from error


def _import_classes_of(path: Path) -> None:
    """Import those modules of `ABOVE` that a file names."""
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    for module in ABOVE:
        if f'"{module}"'.encode() in config:
            importlib.import_module(module)


def save_learner(
    learner: MetaLearner, directory: str | os.PathLike, card: Mapping[str, Any] | None = None, dtype: str = "float32"
) -> Path:
    """Write a learner as a preset: its model, and its algorithm with the rates it learned.

    `MetaGPT.from_preset(directory)` reads the model alone. The optimizer is not kept: `learner.save` does that.

    Args:
        learner: built.
        directory, card, dtype: as in `presets.save_preset`.

    Raises:
        FileExistsError: something is in the directory.
        ValueError: the learner is not built.
    """
    parts = {"model": learner.model, "algorithm": learner.algorithm}
    kept = {"keep_zeros": True} if learner.keep_zeros else {}
    return save_preset(directory, parts, {**(card or {}), **kept} or None, dtype)


def load_learner(name: str | os.PathLike, **overrides: Any) -> MetaLearner:
    """A learner from a preset's directory or from a `.keras` file.

    Args:
        name: a directory written by `save_learner`, or a file written by `learner.save`.
        **overrides: constructor arguments of a preset's model that leave the shapes of its weights.

    Returns:
        The learner; from a preset it is compiled with the model's own loss and Adam, from a file as it was saved.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: a damaged file or preset, one that holds no learner, or overrides for a file.

    Example:

    >>> import tempfile
    >>> from metagpt_tf.models import MetaGPT
    >>> learner = MetaLearner(MetaGPT(source_length=8, target_length=8, dim=8, num_heads=2, num_layers=1), "meta_sgd")
    >>> type(load_learner(save_learner(learner, tempfile.mkdtemp() + "/preset")).algorithm).__name__
    'MetaSGD'
    """
    directory = find_preset(name)
    if directory is not None:
        return _learner_of(Preset(directory), overrides)
    if overrides:
        raise ValueError(f"{name} is a file, whose model is as it was saved: leave {', '.join(overrides)} out.")
    model = load_model(name)
    if not isinstance(model, MetaLearner):
        raise ValueError(f"{name} holds a {type(model).__name__}, not a MetaLearner: it cannot adapt.")
    return model


def _learner_of(preset: Preset, overrides: Mapping[str, Any]) -> MetaLearner:
    made = {part: preset.description(part) for part in ("model", "algorithm")}
    made["model"]["config"].update(overrides)
    model, algorithm = (_class_of(preset, d["class"]).from_config(d["config"]) for d in made.values())
    learner = MetaLearner(model, algorithm, keep_zeros=bool(preset.card.get("keep_zeros", False)))
    for part, target in (("model", model), ("algorithm", learner.algorithm)):
        preset.set_weights(part, target)
    learner.compile()
    return learner


def _class_of(preset: Preset, name: str) -> Any:
    found = keras.saving.get_registered_object(name)
    if found is None:
        raise ValueError(
            f"The preset at {preset.directory} holds a {name!r}, which is not registered. Import the module that "
            "registers it (keras.saving.register_keras_serializable) first."
        )
    return found
