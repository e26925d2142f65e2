"""`deploy_model` for a device and for a browser tab: a LiteRT file, and what stands beside it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.applications.deployed import Deployed
from metagpt_tf.applications.image import glyph_prompts
from metagpt_tf.datasets import load_glyphs
from metagpt_tf.datasets.glyphs import CHARACTERS
from metagpt_tf.export import ParityReport, export_litert, parity_report
from metagpt_tf.export.device_kit import kit_files, list_for_service_worker, runtime_files, write_files
from metagpt_tf.export.litert import first_state
from metagpt_tf.export.seal import read_about
from metagpt_tf.fast_weights import State
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import ImageAutoencoder

WRITTEN = ("code", "text")
STYLES = 16  # held-out ones that the page offers
MODELS = "models.json"
EXAMPLE = Path(__file__).with_name("page_example.txt")
PROMPT = 'def perimeter(width, height):\n    """Length of the border."""'


@dataclass(frozen=True)
class DeviceFile:
    """What is to be written; see `deploy_model`."""

    learner: MetaLearner
    support: tuple[Any, Any] | None = None
    k_shot: int = 8
    quantization: str = "float32"
    target_spec: tf.TensorSpec | None = None
    autoencoder: ImageAutoencoder | None = None
    about: Mapping[str, Any] | None = None

    @property
    def kind(self) -> str:
        """`"image"`, `"code"`, `"text"`, or `"plain"` for a model that generates nothing."""
        if not hasattr(self.learner.model, "generate_ids"):
            return "plain"
        if self.autoencoder is not None:
            return "image"
        written = str((self.about or {}).get("kind", "code"))
        if written not in WRITTEN:
            raise ValueError(
                f"about says that the model writes {written!r}; a model without autoencoder=… writes "
                f"{' or '.join(WRITTEN)}. Give the autoencoder whose codes it writes, or another kind."
            )
        return written

    def write(self, directory: Path) -> tuple[Path, ParityReport | None]:
        """`model.tflite`, `model.json` and `initial.npz`; the file is compared with the learner first."""
        drawn = {"plain": ["score"], "image": ["sample", "score", "stream", "draw"]}
        extras = drawn.get(self.kind, ["sample", "score", "stream"])
        # Beside its place, under another name, until it has been compared.
        unchecked = export_litert(
            self.learner,
            directory / "unchecked.tflite",
            self.k_shot,
            target=self.target_spec,
            quantization=self.quantization,
            extras=extras,
            autoencoder=self.autoencoder,
            about=self.about,
        )
        try:
            report = None if self.support is None else self._compared(unchecked)
            about = read_about(unchecked)
            final = unchecked.replace(directory / "model.tflite")
        finally:
            unchecked.unlink(missing_ok=True)
        write_files(directory, {"model.json": json.dumps(about, indent=1).encode() + b"\n"})
        first = first_state(self.learner, self.quantization)
        State.of(first, about["scope"], about["keep_zeros"], about["model"]).save(directory / "initial.npz")
        return final, report

    def _compared(self, path: Path) -> ParityReport:
        report = parity_report(self.learner, litert=path, support=self.support, autoencoder=self.autoencoder)
        if not report.passed:
            raise ValueError(f"The LiteRT file does not answer as the learner does, and is not deployed:\n{report}")
        return report


def deploy_litert(file: DeviceFile, root: Path) -> Deployed:
    """The file, a Python runner without TensorFlow, and snippets for Kotlin and C++."""
    path, report = file.write(root)
    write_files(root, kit_files("litert"), keep=True)
    return Deployed(root, None, {}, report, path)


def deploy_web(file: DeviceFile, root: Path, name: str, runtime: Any = None) -> Deployed:
    """The page with this model; called again with another name, the page has both.

    Raises:
        ValueError: a model that writes no texts, or a tab that another model of the page has.
    """
    if file.kind == "plain":
        raise ValueError("The page is for models that write texts or draw. Take target='litert' for this one.")
    listed = _listed(root, name, file.kind)
    runtime_parts = runtime_files(runtime)
    directory = root / "models" / name
    path, report = file.write(directory)
    data, parts = _data_of(file, f"models/{name}")
    write_files(directory, parts)
    write_files(root, kit_files("web"))  # an old page beside a new runtime would not run
    write_files(root / "runtime", runtime_parts)
    place = f"models/{name}"
    entry = {"name": name, "kind": file.kind, "file": f"{place}/model.tflite", "initial": f"{place}/initial.npz"}
    models = [*listed, {**entry, "data": f"{place}/{data}"}]
    write_files(root, {MODELS: json.dumps({"models": models}, indent=1).encode() + b"\n"})
    list_for_service_worker(root)
    return Deployed(root, None, {}, report, path)


def _listed(root: Path, name: str, kind: str) -> list[dict[str, str]]:
    """The other models of a page that is there already."""
    if not (root / MODELS).is_file():
        return []
    others = [one for one in json.loads((root / MODELS).read_text(encoding="utf-8"))["models"] if one["name"] != name]
    tab = lambda kind: "image" if kind == "image" else "text"  # noqa: E731
    if taken := [one["name"] for one in others if tab(one["kind"]) == tab(kind)]:
        raise ValueError(f"The page in {root} has {taken[0]!r} in that tab. Deploy under that name, or elsewhere.")
    return others


def _data_of(file: DeviceFile, place: str) -> tuple[str, dict[str, bytes]]:
    """What a tab begins with: styles to pick from, or an example to learn from."""
    about: dict[str, Any]
    if file.autoencoder is None:
        about = {"example": EXAMPLE.read_text(encoding="utf-8"), "prompt": PROMPT}
        return "data.json", {"data.json": json.dumps(about).encode()}
    glyphs = load_glyphs()
    styles = sorted(glyphs.splits["meta_test"])
    styles = [styles[i] for i in np.linspace(0, len(styles) - 1, min(STYLES, len(styles))).astype(int)]
    images = glyphs.images[[glyphs.styles.index(style) for style in styles]]
    about = {"characters": CHARACTERS, "prompts": glyph_prompts(), "styles": styles, "pixels": f"{place}/glyphs.bin"}
    pixels = _resized(images, file.autoencoder.image_shape)
    return "data.json", {"data.json": json.dumps(about).encode(), "glyphs.bin": pixels.tobytes()}


def _resized(images: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Glyphs `(N, C, 28, 28)` uint8 as images of a model's shape, in uint8."""
    flat = images.reshape(-1, *images.shape[2:], 1)
    if flat.shape[1:] != shape:
        flat = np.repeat(np.round(tf.image.resize(flat, shape[:2], "area").numpy()), shape[2], axis=-1)
    return flat.astype("uint8")
