"""What a file made by `export_litert` can be asked, whatever runs it: LiteRT here, or a tab of a browser.

Axes: B batch, K support, S source, T target, V vocabulary, P state.
"""

import abc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from metagpt_tf.fast_weights import State

ROOM = 2**16  # bytes of a state file beside its numbers


class DeviceCalls(abc.ABC):
    """The calls; a subclass says how a signature is run.

    Attributes:
        about: what the file says of itself (`seal.about_of`).
        milliseconds: of the last call where the subclass measures it, else 0.
    """

    about: dict[str, Any]
    milliseconds: float = 0.0

    @property
    def signatures(self) -> list[str]:
        """Names of what it can be asked."""
        return sorted(self.about["signatures"])

    def run(self, signature: str, **inputs: Any) -> dict[str, np.ndarray]:
        """Outputs of a signature by name.

        Raises:
            ValueError: an unknown signature, other inputs than it has, another shape, or a state that is not finite.
        """
        if signature not in self.about["signatures"]:
            raise ValueError(f"This file has no signature {signature!r}; it has {self.signatures}.")
        specs = self.about["signatures"][signature]
        if set(inputs) != set(specs):
            raise ValueError(f"{signature} takes {', '.join(sorted(specs))}; received {', '.join(sorted(inputs))}.")
        return self._run(signature, {name: _checked(signature, name, inputs[name], *specs[name]) for name in specs})

    @abc.abstractmethod
    def _run(self, signature: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run a signature on inputs that fit it."""

    def adapt(self, support_x: np.ndarray, support_y: np.ndarray) -> np.ndarray:
        """State `(P,)` from a support set of the K the file was made for."""
        return self.run("adapt", support_x=support_x, support_y=support_y)["state"]

    def generate(self, source: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Greedy ids `(B, T)` for source ids `(B, S)`."""
        return self.run("generate", source=source, state=state)["output"]

    def sample(
        self,
        source: np.ndarray,
        state: np.ndarray,
        noise: np.ndarray | None = None,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> np.ndarray:
        """Ids `(B, T)` drawn at random.

        Args:
            source, state: as in `generate`.
            noise: Gumbel noise `(B, T, V)`; the same noise gives the same ids as `generation.decode`. `None` draws it
                from `seed`.
            temperature: 0 takes the likeliest token.
            top_k: 0 keeps all.
            top_p: 1 keeps all.
            seed: of the noise.
        """
        shape = self._shape("sample", "noise")
        drawn = np.random.default_rng(seed).gumbel(size=shape).astype("float32") if noise is None else noise
        rows = lambda value, kind: np.full(shape[:1], value, kind)  # noqa: E731
        hot, most, share = rows(temperature, "float32"), rows(top_k, "int32"), rows(top_p, "float32")
        given = {"temperature": hot, "top_k": most, "top_p": share}
        return self.run("sample", source=source, state=state, noise=drawn, **given)["output"]

    def stream(self, source: np.ndarray, state: np.ndarray) -> Iterator[np.ndarray]:
        """The ids of `generate`, one `(B,)` after the other, as they are found; ends with the last row."""
        tokenizer = self.about["tokenizer"]
        token = np.full(self._shape("step", "token"), tokenizer["bos_id"], "int32")
        done = np.zeros(token.shape, bool)
        carried = self.run("start", source=source, state=state)
        for position in range(self.target_length):
            found = self.run("step", token=token, position=np.array([position]), state=state, **carried)
            token = np.where(done, tokenizer["pad_id"], found.pop("logits").argmax(-1)).astype("int32")
            carried |= found  # what did not change is not returned
            done |= token == tokenizer["eos_id"]
            yield token
            if done.all():
                return

    def score(self, x: np.ndarray, y: np.ndarray, state: np.ndarray) -> np.ndarray:
        """The loss of each of K examples `(K,)` with a state."""
        names = ("source", "target") if "generate" in self.signatures else ("x", "y")
        return self.run("score", **dict(zip(names, (x, y), strict=True)), state=state)["loss"]

    def draw(self, output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Images `(B, H, W, C)` of ids `(B, T)`, and whether each was written whole `(B,)` bool."""
        found = self.run("draw", output=output)
        return found["image"], found["whole"].astype(bool)

    def encode(self, image: np.ndarray) -> np.ndarray:
        """Ids `(K, T)`, the targets of a support set, of K images `(K, H, W, C)` in [0, 1]."""
        return self.run("encode", image=image)["target"]

    def predict(self, x: np.ndarray, state: np.ndarray) -> np.ndarray:
        """The prediction of a model that generates no text."""
        return self.run("predict", x=x, state=state)["output"]

    def loss(self, x: np.ndarray, y: np.ndarray, state: np.ndarray) -> float:
        """The loss of K examples with a state, of a file that was exported `with_loss`."""
        return float(self.run("loss", x=x, y=y, state=state)["loss"])

    @property
    def target_length(self) -> int:
        """T, most tokens of an answer."""
        return self._shape("adapt", "support_y")[1]

    def _shape(self, signature: str, name: str) -> tuple[int, ...]:
        if signature not in self.about["signatures"]:
            raise ValueError(f"This file has no signature {signature!r}; it has {self.signatures}.")
        return tuple(self.about["signatures"][signature][name][1])

    def save_state(self, state: np.ndarray, path: str | os.PathLike) -> Path:
        """Write a state, its scope and its model's hash; the page in a browser and `State.load` read it too."""
        about = self.about
        return State.of(state, about["scope"], about["keep_zeros"]).save(path, about["model"])

    def load_state(self, path: str | os.PathLike) -> State:
        """A state that was saved, if it is one of this model.

        Raises:
            FileNotFoundError: no such file.
            ValueError: a damaged file, one that is larger than a state, or a state of another model.
        """
        if Path(path).is_file() and Path(path).stat().st_size > 4 * self.about["state_size"] + ROOM:
            raise ValueError(f"{path} is larger than a state of this model, {4 * self.about['state_size']:,} bytes.")
        state = State.load(path)
        if state.model not in (None, self.about["model"]) or state.shape != (self.about["state_size"],):
            raise ValueError(
                f"{path} holds a state of shape {state.shape} of another model; this one's is "
                f"({self.about['state_size']},). Adapt again."
            )
        if not np.isfinite(state).all():
            raise ValueError(f"{path} holds numbers that are not finite. Adapt again.")
        return state


def _checked(signature: str, name: str, value: Any, kind: str, shape: list[int]) -> np.ndarray:
    expected, given = tuple(shape), np.shape(value)
    if expected != given:
        raise ValueError(f"{signature}: {name} must have shape {expected}, as the file was made for; received {given}.")
    array = np.asarray(value, kind)
    if name == "state" and not np.isfinite(array).all():
        raise ValueError(f"{signature}: the state holds numbers that are not finite. Adapt again.")
    return array
