"""LiteRT files as the learner in memory would answer: every signature, by each way to run a file.

Axes: B batch, K support, P state.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.export.browser import BrowserRunner
from metagpt_tf.export.device_calls import DeviceCalls
from metagpt_tf.export.device_signatures import EXTRAS, DeviceShapes, device_signatures
from metagpt_tf.export.parity_reference import Arrays, Reference
from metagpt_tf.export.runner import LiteRTRunner
from metagpt_tf.export.seal import read_about
from metagpt_tf.export.signatures import Exported
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import ImageAutoencoder
from metagpt_tf.models.drawing import Drawing

SETTINGS = {"temperature": 0.9, "top_k": 5, "top_p": 0.95}
REPEATS = 3

RUNNERS: dict[str, Callable[[str | os.PathLike], Any]] = {
    "litert": lambda path: nullcontext(LiteRTRunner(path)),
    "litert_no_delegate": lambda path: nullcontext(LiteRTRunner(path, delegates=False)),
    "browser": BrowserRunner,
}


class DeviceReference:
    """What a file is given, and what the learner answers to that.

    Args:
        reference: the learner's support, inputs and state.
        learner: compiled.
        path: of the file, whose shapes and signatures are taken.
        autoencoder: that it was exported with.
    """

    def __init__(
        self, reference: Reference, learner: MetaLearner, path: Path, autoencoder: ImageAutoencoder | None
    ) -> None:
        self.reference, self.about = reference, read_about(path)
        specs = self.about["signatures"]
        answer = "generate" if "generate" in specs else "predict"
        lengths = {}
        if answer == "generate":
            lengths = {"source_length": specs["adapt"]["support_x"][1][1]}
            lengths["target_length"] = specs["adapt"]["support_y"][1][1]
        exported = Exported(learner, **lengths)
        kind, shape = specs["adapt"]["support_y"]
        drawing = Drawing(autoencoder, exported.model) if autoencoder is not None and self.about["image"] else None
        extras = [name for name in EXTRAS if name in specs or (name == "stream" and "start" in specs)]
        shapes = DeviceShapes(
            self.about["k_shot"], self.about["batch_size"], tf.TensorSpec(shape[1:], kind), extras, drawing
        )
        self._functions = device_signatures(exported, shapes)
        self._outputs: dict[str, Arrays] = {"adapt": {"state": reference.state}}
        self._known = self._values(specs)

    def _values(self, specs: Mapping[str, Any]) -> Arrays:
        """Values by the names of inputs; those that other signatures return come when they are needed."""
        x, y = self.reference.support
        rows = np.resize(self.reference.inputs, (self.about["batch_size"], *self.reference.inputs.shape[1:]))
        draw = np.random.default_rng(0)
        known = {"support_x": x, "support_y": y, "x": x, "y": y, "target": y, "state": self.reference.state}
        known |= {"source": rows, "position": np.zeros(1)}
        if self.about["tokenizer"]:
            known["token"] = np.full(len(rows), self.about["tokenizer"]["bos_id"])
        for name, value in SETTINGS.items():
            known[name] = np.full(len(rows), value)
        if "sample" in specs:
            known["noise"] = draw.gumbel(size=specs["sample"]["noise"][1])
        if "encode" in specs:
            known["image"] = draw.random(specs["encode"]["image"][1])
        return known

    def inputs_of(self, signature: str) -> Arrays:
        """What each way to run the file is given."""
        found = {}
        for spec in self._functions[signature].input_signature:
            value = self._value(signature, spec)
            found[spec.name] = np.asarray(value).astype(spec.dtype.as_numpy_dtype)
        return found

    def _value(self, signature: str, spec: tf.TensorSpec) -> Any:
        if spec.name.startswith("cache_"):
            return self.outputs_of("start")[spec.name]
        if spec.name == "output":
            return self.outputs_of("generate")["output"]
        k_rows = signature in ("score", "loss")
        if spec.name in ("source", "x"):
            rows = self.reference.support[0] if k_rows else self._known["source"]
            return rows[:, : spec.shape[1]] if spec.name == "source" else rows
        return self._known[spec.name]

    def outputs_of(self, signature: str) -> Arrays:
        """What Keras answers, of `adapt` what the learner's own method returns."""
        if signature not in self._outputs:
            found = self._functions[signature](*map(tf.constant, self.inputs_of(signature).values()))
            self._outputs[signature] = {name: value.numpy() for name, value in found.items()}
        return self._outputs[signature]

    def answers(self, runner: DeviceCalls) -> Iterator[tuple[str, Arrays, Arrays, float]]:
        """Signature, what was expected, what was found, and milliseconds of a call after the first."""
        for signature in self.about["signatures"]:
            inputs = self.inputs_of(signature)
            found = runner.run(signature, **inputs)
            times = []
            for _ in range(REPEATS):
                began = time.perf_counter()
                runner.run(signature, **inputs)
                times.append(runner.milliseconds or 1e3 * (time.perf_counter() - began))
            yield signature, self.outputs_of(signature), found, float(np.median(times))


def variants_of(litert: Any) -> dict[str, Path]:
    """Files by the names that their rows get: of one file none."""
    if isinstance(litert, Mapping):
        return {f":{name}": Path(path) for name, path in litert.items()}
    return {"": Path(litert)}
