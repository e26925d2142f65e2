"""TensorFlow's C API in a process of its own: a C program, compiled here, that knows neither Python nor Keras."""

import functools
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import tensorflow as tf

from metagpt_tf.export.readers.base import Answer, Reader, Unreadable, definitions

SOURCE = Path(__file__).with_name("run_signature.c")
LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")
COMPILERS = ("cc", "gcc", "clang")
LONGEST_RUN = 600  # seconds


class CApiReader(Reader):
    """`TF_LoadSessionFromSavedModel` and `TF_SessionRun` on each signature; needs a C compiler.

    Each call is a process that loads the model anew, on the CPU: this process may hold the memory of a GPU.
    """

    name: ClassVar[str] = "c_api"

    def __init__(self, directory: str | os.PathLike) -> None:
        super().__init__(directory)
        self._definitions = definitions(self.directory)
        self._program = program()

    def call(self, signature: str, inputs: Mapping[str, np.ndarray], repeats: int = 0) -> Answer:
        """Run a signature, see `Reader.call`.

        Raises:
            RuntimeError: the program failed; with what it says.
            subprocess.TimeoutExpired: it took longer than ten minutes.
        """
        definition = self._definitions[signature]
        names = {info.name: name for name, info in sorted(definition.outputs.items())}
        tensors = [_packed(definition.inputs[name].name, value) for name, value in inputs.items()]
        done = subprocess.run(
            [self._program, self.directory, str(repeats), *names],
            input=b"".join([struct.pack("=I", len(tensors)), *tensors]),
            capture_output=True,
            timeout=LONGEST_RUN,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""},
            check=False,
        )
        if done.returncode:
            raise RuntimeError(
                f"run_signature ended with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}"
            )
        stream = _Stream(done.stdout)
        milliseconds = stream.number("d")
        outputs = dict(stream.tensor() for _ in names)
        stream.check_end()
        return Answer({names[name]: value for name, value in outputs.items()}, milliseconds)


@functools.cache
def program() -> Path:
    """The compiled program, made once a process.

    Raises:
        Unreadable: no compiler, or TensorFlow's libraries are not where its wheel has them.
    """
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise Unreadable(f"no C compiler: none of {', '.join(COMPILERS)} is installed")
    folder = Path(tf.sysconfig.get_lib())
    missing = [name for name in LIBRARIES if not (folder / name).is_file()]
    if missing:
        raise Unreadable(f"{folder} has no {', '.join(missing)}")
    made = Path(_folder().name) / "run_signature"
    command = [compiler, "-O1", f"-I{tf.sysconfig.get_include()}", str(SOURCE), "-o", str(made), f"-L{folder}"]
    libraries = [f"-l:{name}" for name in LIBRARIES]
    done = subprocess.run([*command, *libraries, f"-Wl,-rpath,{folder}"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unreadable(f"{SOURCE.name} does not compile: {done.stderr[-2000:]}")
    return made


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Removed when Python ends."""
    return tempfile.TemporaryDirectory(prefix="metagpt_tf_")


def _packed(name: str, value: np.ndarray) -> bytes:
    """A tensor as `run_signature.c` describes it."""
    value, label = np.asarray(value), name.encode()
    kind = tf.string if value.dtype.kind in "OSU" else tf.as_dtype(value.dtype)
    head = struct.pack(f"=I{len(label)}sII", len(label), label, kind.as_datatype_enum, value.ndim)
    head += struct.pack(f"={value.ndim}q", *value.shape)
    if kind != tf.string:
        return head + np.ascontiguousarray(value).tobytes()
    texts = [text.encode() if isinstance(text, str) else bytes(text) for text in value.ravel()]
    return head + b"".join(struct.pack("=Q", len(text)) + text for text in texts)


class _Stream:
    """Reads what the program wrote."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0

    def taken(self, size: int) -> bytes:
        """The next bytes."""
        self._place += size
        if self._place > len(self._content):
            raise RuntimeError(f"run_signature wrote {len(self._content)} bytes and was to write more.")
        return self._content[self._place - size : self._place]

    def check_end(self) -> None:
        """That everything was read."""
        if self._place != len(self._content):
            raise RuntimeError(f"run_signature wrote {len(self._content)} bytes, of which {self._place} are tensors.")

    def number(self, kind: str) -> float:
        """The next number, of a type of `struct`."""
        return struct.unpack(f"={kind}", self.taken(struct.calcsize(f"={kind}")))[0]

    def integer(self, kind: str) -> int:
        """The next whole number."""
        return int(self.number(kind))

    def tensor(self) -> tuple[str, np.ndarray]:
        """The next tensor with its name."""
        name = self.taken(self.integer("I")).decode()
        kind = tf.as_dtype(self.integer("I"))
        shape = [self.integer("q") for _ in range(self.integer("I"))]
        count = int(np.prod(shape))
        if kind == tf.string:
            texts = [self.taken(self.integer("Q")) for _ in range(count)]
            return name, np.array(texts, object).reshape(shape)
        dtype = np.dtype(kind.as_numpy_dtype)
        return name, np.frombuffer(self.taken(count * dtype.itemsize), dtype).reshape(shape)
