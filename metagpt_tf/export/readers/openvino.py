"""OpenVINO: another runtime altogether, for the signatures whose operations it has."""

import contextlib
import importlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from tensorflow.core.protobuf import saved_model_pb2

from metagpt_tf.export.readers.base import PROTO, Answer, Reader, Unreadable, definitions, read_proto
from metagpt_tf.export.readers.tensorflow import timed

DEFAULT = "serving_default"  # the one signature that it looks for


class OpenVinoReader(Reader):
    """`openvino.convert_model` on one signature at a time; needs `pip install openvino`."""

    name: ClassVar[str] = "openvino"

    def __init__(self, directory: str | os.PathLike) -> None:
        super().__init__(directory)
        try:
            self._openvino: Any = importlib.import_module("openvino")
        except ImportError as error:
            raise Unreadable("openvino is not installed: pip install openvino") from error
        self._compiled: dict[str, Any] = {}

    def call(self, signature: str, inputs: Mapping[str, np.ndarray], repeats: int = 0) -> Answer:
        """Run a signature, see `Reader.call`."""
        outputs = definitions(self.directory)[signature].outputs
        if signature not in self._compiled:
            self._compiled[signature] = self._compile(signature)
        model = self._compiled[signature]

        def run() -> dict[str, np.ndarray]:
            found = model(dict(inputs))
            return {name: np.array(found[name]) for name in outputs}

        return timed(run, repeats)

    def _compile(self, signature: str) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            _only(signature, self.directory, Path(folder))
            try:
                with _root_logger_kept():
                    model = self._openvino.convert_model(folder)
            except Exception as error:  # of a type that it does not publish
                reason = _lacking(str(error))
                if reason is None:
                    raise
                raise Unreadable(reason) from error
            return self._openvino.compile_model(model, "CPU")


@contextlib.contextmanager
def _root_logger_kept() -> Iterator[None]:
    """A conversion that fails leaves the root logger, and so everyone's warnings, at the level ERROR."""
    root = logging.getLogger()
    level, filters, handlers = root.level, [*root.filters], [*root.handlers]
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters[:], root.handlers[:] = filters, handlers


def _only(signature: str, directory: Path, folder: Path) -> None:
    """A SavedModel of one signature, the default one; its weights stay where they are."""
    proto = saved_model_pb2.SavedModel()
    proto.CopyFrom(read_proto(directory))
    kept = proto.meta_graphs[0].signature_def
    kept[DEFAULT].CopyFrom(definitions(directory)[signature])
    for name in list(kept):
        if name != DEFAULT and not name.startswith("__"):
            del kept[name]
    (folder / PROTO).write_bytes(proto.SerializeToString())
    (folder / "variables").symlink_to((directory / "variables").resolve())


def _lacking(message: str) -> str | None:
    """The operations that it lacks, of a long message; None if that is not what is wrong."""
    lines = [line.strip("- ") for line in message.splitlines()]
    return next((line for line in lines if line.startswith("No conversion rule")), None)
