"""Running a LiteRT file of ours: three calls, no TensorFlow behind them."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType


class LiteRTRunner:
    """Adapts and generates with a file made by `export_litert`.

    Args:
        path: the `.tflite` file.
        delegates: use XNNPACK (the default in production); `False` runs the plain kernels, for comparison.
        num_threads: threads of the interpreter.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a LiteRT file, or one without the signature `adapt`.

    Example:

    >>> runner = LiteRTRunner("model.tflite")  # doctest: +SKIP
    >>> state = runner.adapt(support_x, support_y)  # doctest: +SKIP
    >>> ids = runner.generate(source, state)  # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike, delegates: bool = True, num_threads: int = 2) -> None:
        if not Path(path).is_file():
            raise FileNotFoundError(f"There is no LiteRT file at {path}. export_litert(learner, path) writes one.")
        resolver = OpResolverType.AUTO if delegates else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            self._interpreter = Interpreter(str(path), num_threads=num_threads, experimental_op_resolver_type=resolver)
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"{path} is not a readable LiteRT file: {error}") from error
        signatures = self._interpreter.get_signature_list()
        if "adapt" not in signatures:
            raise ValueError(
                f"{path} has no signature 'adapt' (it has {sorted(signatures)}); was it made by export_litert?"
            )
        self._runners = {name: self._interpreter.get_signature_runner(name) for name in signatures}

    def adapt(self, support_x: np.ndarray, support_y: np.ndarray) -> np.ndarray:
        """State `(P,)` from a support set of the K the file was made for."""
        return self._run("adapt", support_x=support_x, support_y=support_y)["state"]

    def generate(self, source: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Greedy ids `(B, T)` for source ids `(B, S)`."""
        return self._run("generate", source=source, state=state)["output"]

    def predict(self, x: np.ndarray, state: np.ndarray) -> np.ndarray:
        """The prediction of a model that generates no text."""
        return self._run("predict", x=x, state=state)["output"]

    def loss(self, x: np.ndarray, y: np.ndarray, state: np.ndarray) -> float:
        """The loss of K examples with a state, of a file that was exported `with_loss`."""
        return float(self._run("loss", x=x, y=y, state=state)["loss"])

    def _run(self, signature: str, **inputs: Any) -> dict[str, np.ndarray]:
        if signature not in self._runners:
            raise ValueError(f"This file has no signature {signature!r}; it has {sorted(self._runners)}.")
        runner = self._runners[signature]
        arrays = {}
        for name, details in runner.get_input_details().items():
            expected, given = tuple(map(int, details["shape"])), np.shape(inputs[name])
            if expected != given:
                raise ValueError(
                    f"{signature}: {name} must have shape {expected}, as the file was made for; received {given}."
                )
            arrays[name] = np.asarray(inputs[name], details["dtype"])
        return runner(**arrays)
