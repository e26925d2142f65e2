"""Adapt, keep and reload what was learned, generate, stream: model.tflite with ai_edge_litert and numpy alone.

python runner.py examples.jsonl "a prompt"     examples.jsonl: K lines, ["what is read", "what is to be written"]
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

MARK = re.compile(rb'\{"metagpt_tf": 1, "sha256": "([0-9a-f]{64})"')


class Model:
    """A file of export_litert. It is compared with its own checksum before the runtime sees it."""

    def __init__(self, path: str = "model.tflite", threads: int = 2) -> None:
        from texts import Texts  # beside this file

        content = Path(path).read_bytes()
        mark = MARK.search(content)
        empty = content[: mark.start(1)] + b"0" * 64 + content[mark.end(1) :] if mark else b""
        if mark is None or hashlib.sha256(empty).hexdigest().encode() != mark[1]:
            raise ValueError(f"{path} is damaged or is no file of export_litert. Copy it again.")
        self.about = json.JSONDecoder().raw_decode(content[mark.start() :].decode("latin-1"))[0]
        shapes = {
            name: {key: tuple(kind[1]) for key, kind in s.items()} for name, s in self.about["signatures"].items()
        }
        read, written = shapes["adapt"]["support_x"], shapes["adapt"]["support_y"]
        self.k_shot = read[0]
        if self.about["tokenizer"] is not None:  # of a model of anything but texts, `call` is all there is
            self.texts = Texts(self.about["tokenizer"].get("merges", []))
            self.source, self.target = read[1], written[1]
        self._file = Interpreter(path, num_threads=threads)

    def call(self, signature: str, **inputs: Any) -> dict[str, np.ndarray]:
        """Any signature, its inputs by name; shapes are in about["signatures"]."""
        return self._file.get_signature_runner(signature)(**inputs)

    def adapt(self, pairs: list[tuple[str, str]]) -> np.ndarray:
        """What K pairs teach: the state, a vector that is yours to keep."""
        if len(pairs) != self.k_shot:
            raise ValueError(f"The file learns from {self.k_shot} examples, received {len(pairs)}.")
        read, write = ([pair[side] for pair in pairs] for side in (0, 1))
        packed = {"support_x": self.texts.pack(read, self.source), "support_y": self.texts.pack(write, self.target)}
        return self.call("adapt", **packed)["state"]

    def save(self, state: np.ndarray, path: str) -> None:
        """Write a state and whose it is; aside first, so that no half file is left."""
        whose = {key: self.about[key] for key in ("scope", "keep_zeros", "model")}
        np.savez(f"{path}.aside.npz", state=state, **whose)
        os.replace(f"{path}.aside.npz", path)

    def load(self, path: str) -> np.ndarray:
        """A state of `save`, of the page in a browser or of `State.save`; refuses a damaged one and another model's."""
        try:
            if os.path.getsize(path) > 4 * self.about["state_size"] + 2**16:
                raise ValueError("it is larger than a state")
            with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
                state, whose = file["state"], str(file["model"]) if "model" in file else None
        except Exception as error:  # whatever NumPy says to a file that is damaged or something else
            raise ValueError(f"{path} is not a whole state file: {error}") from error
        if (state.dtype, state.shape) != (np.float32, (self.about["state_size"],)) or whose not in (
            None,
            self.about["model"],
        ):
            raise ValueError(f"{path} is a state of another model. Adapt again.")
        if not np.isfinite(state).all():
            raise ValueError(f"{path} holds what is no number. Adapt again.")
        return state

    def generate(self, prompt: str, state: np.ndarray) -> str:
        """The likeliest text."""
        source = self.texts.pack([prompt], self.source)
        return self.texts.text(self.call("generate", source=source, state=state)["output"][0])

    def stream(self, prompt: str, state: np.ndarray) -> Iterator[bytes]:
        """The same, piece by piece as it is written."""
        carried, token = self.call("start", source=self.texts.pack([prompt], self.source), state=state), 1
        for place in range(self.target):
            given = {"token": np.array([token], "int32"), "position": np.array([place], "int32"), "state": state}
            found = self.call("step", **given, **carried)
            token = int(found.pop("logits").argmax())
            carried |= found  # what did not change is not returned
            if token == 2:
                return
            yield self.texts.pieces[token]


if __name__ == "__main__":
    model = Model(str(Path(__file__).with_name("model.tflite")))
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    learned = model.adapt([tuple(json.loads(line)) for line in lines])
    model.save(learned, "state.npz")
    for one in model.stream(sys.argv[2], model.load("state.npz")):
        sys.stdout.buffer.write(one)
        sys.stdout.flush()
