"""The versions of a SavedModel on disk: the newest one answers, and gives way to a newer one without a gap."""

import logging
import os
import re
import threading
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

NUMBER = re.compile(r"[1-9][0-9]{0,17}")
logger = logging.getLogger(__name__)


class Loaded(NamedTuple):
    """A version in memory; `signatures` lives as long as somebody holds this."""

    version: int
    module: Any
    signatures: dict[str, Any]


class ModelVersions:
    """Serves the highest version under a directory that can be read, and looks for a higher one now and then.

    A new version is loaded while the old one answers, and takes its place when it is ready. One that cannot be read is
    reported in the log and passed over until its files change.

    Args:
        root: directory of numbered versions, as `export_saved_model` writes it.
        poll_seconds: time between two looks.

    Raises:
        FileNotFoundError: no version there.
        ValueError: none of them can be read.
    """

    def __init__(self, root: str | os.PathLike, poll_seconds: float = 1.0) -> None:
        self.root, self.poll_seconds = Path(root), poll_seconds
        self._stopped = threading.Event()
        self._refused: dict[int, Any] = {}
        numbers = self._numbers()
        if not numbers:
            raise FileNotFoundError(
                f"{root} holds no numbered version. export_saved_model(model, {str(root)!r}) adds one."
            )
        found = next(filter(None, map(self._tried, numbers)), None)
        if found is None:
            raise ValueError(f"None of the versions {numbers} in {root} is a readable SavedModel; the log says why.")
        self._current: Loaded = found
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
        higher = [number for number in self._numbers() if number > self._current.version]
        self._current = next(filter(None, map(self._tried, higher)), self._current)

    def _watch(self) -> None:
        while not self._stopped.wait(self.poll_seconds):
            try:
                self.look()
            except Exception:  # whatever a directory holds, the version that answers goes on answering
                logger.exception("Looking for versions in %s failed", self.root)

    def _tried(self, number: int) -> Loaded | None:
        """A version, unless it cannot be read; one that was refused is tried again when its files have changed."""
        files = _files(self.root / str(number))
        if self._refused.get(number) == files:
            return None
        try:
            module = tf.saved_model.load(str(self.root / str(number)))
            return Loaded(number, module, dict(module.signatures))
        except Exception as error:  # a damaged graph raises anything
            self._refused[number] = files
            logger.warning("Version %d in %s cannot be read, and is passed over: %s", number, self.root, error)
            return None

    def _numbers(self) -> list[int]:
        """Versions that are there, highest first."""
        names = [path.parent.name for path in self.root.glob("*/saved_model.pb")]
        return sorted((int(name) for name in names if NUMBER.fullmatch(name)), reverse=True)


def _files(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file())
