"""A `.keras` file: whole in a new process, refused when damaged."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from metagpt_tf.models import InverseSquareRoot, MaskedCrossentropy, MetaGPT

from .conftest import SIZES, WRITER, make_writer

ROOT = Path(__file__).resolve().parents[2]

LOAD = """
import json, sys
import keras, metagpt_tf.models
import numpy as np
folder = sys.argv[1]
data = np.load(f"{folder}/data.npz")
for name in ("trained", "other"):
    model = keras.models.load_model(f"{folder}/{name}.keras")
    np.save(f"{folder}/{name}.npy", model(model.training_inputs(data["source"], data["target"])).numpy())
    if name == "trained":
        found = {"texts": model.generate(["abc", "h"], sampler="top_k", seed=3), "compiled": model.compiled}
        found |= {"smoothing": model.loss.label_smoothing, "steps": int(model.optimizer.iterations)}
        found |= {"loss": model.fit(data["source"], data["target"], verbose=0, shuffle=False).history["loss"]}
sys.stdout.write(json.dumps(found))
"""


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a new interpreter in which Keras's warnings about loading are errors."""
    command = [sys.executable, "-W", "error::UserWarning", "-c", code, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)


def test_a_new_process_finds_the_whole_model(tmp_path: Path, ids):
    """Outputs, texts, the compiled loss, and the optimizer in the middle of its schedule."""
    model, other = make_writer(num_layers=1), make_writer(norm="post", positions="learned", tie_embeddings=False)
    model.compile(keras.optimizers.Adam(InverseSquareRoot(64, 10)), MaskedCrossentropy(0.1))
    model.fit(*ids, verbose=0)
    np.savez(tmp_path / "data.npz", source=ids[0], target=ids[1])
    model.save(tmp_path / "trained.keras")
    other.save(tmp_path / "other.keras")
    done = run_python(LOAD, str(tmp_path))
    assert done.returncode == 0, done.stderr
    for name, here in (("trained", model), ("other", other)):
        logits = here(here.training_inputs(*ids)).numpy()
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), logits, atol=1e-4)  # of about 60
    found = json.loads(done.stdout)
    texts = model.generate(["abc", "h"], sampler="top_k", seed=3)
    resumed = model.fit(*ids, verbose=0, shuffle=False).history["loss"]
    assert found.pop("loss") == pytest.approx(resumed, rel=1e-5)
    assert found == {"texts": texts, "compiled": True, "smoothing": 0.1, "steps": 1}


def test_training_goes_on_as_if_it_had_not_been_saved(tmp_path: Path, ids):
    model = MetaGPT(**SIZES)
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(*ids, batch_size=4, verbose=0, shuffle=False)
    model.save(tmp_path / "m.keras")
    twin = keras.models.load_model(tmp_path / "m.keras")
    for m in (model, twin):
        m.fit(*ids, batch_size=4, verbose=0, shuffle=False)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert [m.name for m in twin.default_metrics()] == ["token_accuracy", "bits_per_token"]


def test_a_model_that_was_never_compiled_loads_uncompiled(tmp_path: Path, writer, ids):
    writer.save(tmp_path / "m.keras")
    twin = keras.models.load_model(tmp_path / "m.keras")
    assert not twin.compiled
    inputs = twin.training_inputs(*ids)
    np.testing.assert_array_equal(twin(inputs), writer(inputs))


def test_weights_alone(tmp_path: Path, writer, ids):
    writer.save_weights(tmp_path / "m.weights.h5")
    twin = MetaGPT(**WRITER)
    twin.load_weights(tmp_path / "m.weights.h5")
    inputs = twin.training_inputs(*ids)
    np.testing.assert_array_equal(twin(inputs), writer(inputs))
    with pytest.raises(ValueError, match=r"(?s)[Ss]hape|expected"):
        MetaGPT(**{**WRITER, "dim": 8}).load_weights(tmp_path / "m.weights.h5")


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory, writer) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "m.keras"
    writer.save(path)
    return path.read_bytes()


@pytest.mark.parametrize("keep", [0, 10, 0.5], ids=["empty", "header", "half"])
def test_a_cut_file_is_refused_and_named(tmp_path: Path, content: bytes, keep: float):
    path = tmp_path / "cut.keras"
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match=r"(?s)cut\.keras"):
        keras.models.load_model(path)


def test_a_damaged_config_is_refused(tmp_path: Path, content: bytes):
    broken, start = bytearray(content), content.index(b"config.json") + 40
    broken[start : start + 30] = bytes(30)
    path = tmp_path / "flipped.keras"
    path.write_bytes(broken)
    with pytest.raises(zipfile.BadZipFile, match="Bad CRC-32 for file 'config.json'"):
        keras.models.load_model(path)


def test_cut_weights_inside_a_whole_archive_are_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "weights.keras"
    with zipfile.ZipFile(io.BytesIO(content)) as whole, zipfile.ZipFile(path, "w") as cut:
        for name in whole.namelist():
            data = whole.read(name)
            cut.writestr(name, data[: len(data) // 2] if name.endswith(".h5") else data)
    with pytest.raises(OSError, match="truncated file"):
        keras.models.load_model(path)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"(?s)File not found: .*none\.keras"):
        keras.models.load_model(tmp_path / "none.keras")
