"""Loading a `.keras` file whole or not at all."""

import os
import zipfile
import zlib
from pathlib import Path

import keras

# Imported for their registrations: a file names its classes, and Keras must know them before it reads one.
import metagpt_tf.meta
import metagpt_tf.models
import metagpt_tf.reinforcement  # noqa: F401

__all__ = ["check_file", "load_model"]


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
    check_file(path)
    try:
        return keras.models.load_model(path, compile=compile)
    except (TypeError, ValueError, KeyError, OSError) as error:
        raise ValueError(
            f"{path} is whole, and Keras cannot build its model: {type(error).__name__}: {error}. A class of your own "
            "must be registered (keras.saving.register_keras_serializable) and imported before loading."
        ) from error
