"""The versions of a SavedModel on disk: the newest one answers, and gives way to a newer one without a gap."""

import logging
import os
import threading
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

logger = logging.getLogger(__name__)


class Loaded(NamedTuple):
    """A version in memory; `signatures` lives as long as somebody holds this."""

    version: int
    module: Any
    signatures: dict[str, Any]


class ModelVersions:
    """Serves the highest version under a directory, and looks for a higher one now and then.

    A new version is loaded while the old one answers, and takes its place when it is ready. One that cannot be read is
    reported in the log and passed over until it changes.

    Args:
        root: directory of numbered versions, as `export_saved_model` writes it.
        poll_seconds: time between two looks.

    Raises:
        FileNotFoundError: no version there.
        ValueError: the only one there cannot be read.
    """

    def __init__(self, root: str | os.PathLike, poll_seconds: float = 1.0) -> None:
        self.root, self.poll_seconds = Path(root), poll_seconds
        self._stopped = threading.Event()
        self._refused: dict[int, float] = {}
        numbers = self._numbers()
        if not numbers:
            raise FileNotFoundError(
                f"{root} holds no numbered version. export_saved_model(model, {str(root)!r}) adds one."
            )
        try:
            self._current = _load(self.root, numbers[-1])
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise ValueError(f"Version {numbers[-1]} in {root} is not a readable SavedModel: {error}") from error
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def current(self) -> Loaded:
        """The version that answers now."""
        return self._current

    def close(self) -> None:
        """Stop looking for versions."""
        self._stopped.set()
        self._thread.join()

    def look(self) -> None:
        """Load a version that is higher than the current one, if there is one."""
        for number in reversed(self._numbers()):
            if number <= self._current.version:
                return
            changed = (self.root / str(number) / "saved_model.pb").stat().st_mtime
            if self._refused.get(number) == changed:
                continue
            try:
                self._current = _load(self.root, number)
            except (OSError, ValueError, tf.errors.OpError) as error:
                self._refused[number] = changed
                logger.warning("Version %d in %s cannot be read, and is passed over: %s", number, self.root, error)
            else:
                return

    def _watch(self) -> None:
        while not self._stopped.wait(self.poll_seconds):
            try:
                self.look()
            except OSError as error:  # a version that is being removed
                logger.warning("Looking for versions in %s failed: %s", self.root, error)

    def _numbers(self) -> list[int]:
        found = self.root.glob("*/saved_model.pb")
        return sorted(int(path.parent.name) for path in found if path.parent.name.isdigit())


def _load(root: Path, number: int) -> Loaded:
    module = tf.saved_model.load(str(root / str(number)))
    return Loaded(number, module, dict(module.signatures))
