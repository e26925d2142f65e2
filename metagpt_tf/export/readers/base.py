"""What every reader of a SavedModel does: name its signatures, and run one."""

import abc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

PROTO = "saved_model.pb"


class Unreadable(Exception):
    """This reader cannot run that signature; says why."""


class Answer(NamedTuple):
    """What a signature returned.

    Attributes:
        outputs: by name.
        milliseconds: median of the repeats after the first run; 0 without repeats.
    """

    outputs: dict[str, np.ndarray]
    milliseconds: float


class Reader(abc.ABC):
    """One way to run a SavedModel, to show that its file says everything.

    Args:
        directory: a version's directory, as `export_saved_model` returns it.

    Raises:
        FileNotFoundError: no SavedModel is there.
        Unreadable: what the reader needs is not installed.
    """

    name: ClassVar[str]

    def __init__(self, directory: str | os.PathLike) -> None:
        self.directory = Path(directory)
        self.signatures = {name: dict(definition.inputs) for name, definition in definitions(self.directory).items()}

    @abc.abstractmethod
    def call(self, signature: str, inputs: Mapping[str, np.ndarray], repeats: int = 0) -> Answer:
        """Run a signature once, and as often again as is to be timed.

        Raises:
            KeyError: no such signature.
            Unreadable: this reader cannot run it.
        """


def read_proto(directory: Path) -> saved_model_pb2.SavedModel:
    """The description of a SavedModel, without loading it.

    Raises:
        FileNotFoundError: there is none.
    """
    path = directory / PROTO
    if not path.is_file():
        raise FileNotFoundError(f"{directory} holds no {PROTO}. Give a version's directory, such as model/1.")
    proto = saved_model_pb2.SavedModel()
    proto.ParseFromString(path.read_bytes())
    return proto


def definitions(directory: Path) -> dict[str, meta_graph_pb2.SignatureDef]:
    """Each signature with the names of its tensors in the graph."""
    found = read_proto(directory).meta_graphs[0].signature_def
    return {name: found[name] for name in sorted(found) if not name.startswith("__")}
