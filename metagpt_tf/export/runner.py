"""Running a LiteRT file of ours: a few calls, no TensorFlow behind them."""

import os
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from metagpt_tf.export.device_calls import DeviceCalls
from metagpt_tf.export.seal import read_about


class LiteRTRunner(DeviceCalls):
    """Adapts and generates with a file made by `export_litert`.

    The file is compared with its own checksum first: the runtime would believe a damaged one, or end the process.

    Args:
        path: the `.tflite` file.
        delegates: use XNNPACK (the default in production); `False` runs the plain kernels, for comparison.
        num_threads: threads of the interpreter.

    Attributes:
        about: what the file says of itself (`seal.about_of`).

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a LiteRT file of `export_litert`, or a damaged one.

    Example:

    >>> runner = LiteRTRunner("model.tflite")  # doctest: +SKIP
    >>> state = runner.adapt(support_x, support_y)  # doctest: +SKIP
    >>> ids = runner.generate(source, state)  # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike, delegates: bool = True, num_threads: int = 2) -> None:
        self.about = read_about(Path(path))
        resolver = OpResolverType.AUTO if delegates else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            self._interpreter = Interpreter(str(path), num_threads=num_threads, experimental_op_resolver_type=resolver)
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"{path} is not a readable LiteRT file: {error}") from error
        self._runners = {name: self._interpreter.get_signature_runner(name) for name in self.signatures}

    def _run(self, signature: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self._runners[signature](**arrays)
