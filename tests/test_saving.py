"""A `.keras` file is loaded whole, or refused with the reason."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import metagpt_tf
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.reinforcement import RL2, Bandits
from metagpt_tf.saving import ABOVE, check_file, load_learner, load_model, save_learner

ROOT = Path(__file__).resolve().parents[1]


class Unknown(keras.Model):
    """A user's class, not registered."""

    def call(self, x):
        return x


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "learner.keras"
    learner = MetaLearner(MetaGPT(source_length=8, target_length=8, dim=8, num_heads=2, num_layers=1), "maml")
    learner.compile("adam")
    learner.optimizer.build(learner.trainable_variables)  # as fit does
    learner.save(path)
    return path


def damaged(saved: Path, folder: Path, content: bytes) -> Path:
    path = folder / "damaged.keras"
    path.write_bytes(content)
    return path


def test_a_new_process_needs_no_other_import(saved: Path):
    code = (
        f"from metagpt_tf.saving import load_model; assert type(load_model({str(saved)!r})).__name__ == 'MetaLearner'"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_learner_by_rewards_comes_back_in_a_new_process(tmp_path: Path):
    path = tmp_path / "rl.keras"
    learner = RL2(Bandits(arms=2, pulls=2), units=4)
    learner.compile("adam")
    learner.optimizer.build(learner.trainable_variables)
    learner.save(path)
    code = f"from metagpt_tf.saving import load_model; assert load_model({str(path)!r}).units == 4"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_weights_and_compilation_come_back(saved: Path):
    learner, other = load_model(saved), load_model(saved, compile=False)
    assert learner.compiled and not other.compiled
    for a, b in zip(learner.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("share", np.linspace(0.05, 0.95, 19))
def test_a_flipped_byte_is_found_or_changes_nothing(saved: Path, tmp_path: Path, share: float):
    content = bytearray(saved.read_bytes())
    content[int(share * len(content))] ^= 0xFF
    with pytest.raises(
        ValueError, match=r"damaged\.keras \([\d,]+ bytes\) is (damaged|not a whole).* or save the model"
    ):
        load_model(damaged(saved, tmp_path, bytes(content)))


def test_a_changed_weight_is_refused(saved: Path, tmp_path: Path):
    """A float is changed in place: the archive and the HDF5 in it stay readable, and only the checksum tells."""
    learner = load_model(saved)
    table = keras.ops.convert_to_numpy(learner.model.embedding.table)
    content = bytearray(saved.read_bytes())
    at = content.index(table[3].tobytes())
    content[at : at + 4] = np.float32(7).tobytes()
    path = damaged(saved, tmp_path, bytes(content))
    with pytest.raises(ValueError, match=r"part 'model\.weights\.h5' differs from its checksum"):
        load_model(path)


@pytest.mark.parametrize("keep", [0, 10, 5000, -1])
def test_a_cut_file_is_refused(saved: Path, tmp_path: Path, keep: int):
    with pytest.raises(ValueError, match=r"damaged\.keras .*is not a whole \.keras file: expected the zip archive"):
        check_file(damaged(saved, tmp_path, saved.read_bytes()[:keep]))


def test_another_archive_is_refused(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=np.zeros(2))
    with pytest.raises(ValueError, match=r"a\.npz .*lacks config\.json, metadata\.json, model\.weights\.h5"):
        load_model(tmp_path / "a.npz")


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no model file at .*none\.keras"):
        load_model(tmp_path / "none.keras")


def test_a_class_that_nobody_registered(tmp_path: Path):
    model = Unknown()
    model(np.zeros((1, 2), "float32"))
    model.save(tmp_path / "private.keras")
    with pytest.raises(ValueError, match=r"(?s)is whole, and Keras cannot build.*must be registered"):
        load_model(tmp_path / "private.keras")


def test_every_class_that_a_file_may_name_is_found() -> None:
    """A module with such a class is imported by `saving`, or stands in its list."""
    package = Path(metagpt_tf.__file__).parent
    below = {"layers", "models", "meta", "reinforcement", "tokenizers", "generation", "tasks", "fast_weights"}
    marked = {
        ".".join(("metagpt_tf", *path.relative_to(package).with_suffix("").parts))
        for path in package.rglob("*.py")
        if "@keras.saving.register_keras_serializable" in path.read_text(encoding="utf-8")
    }
    assert {module for module in marked if module.split(".")[1] not in below} == set(ABOVE)


def test_a_preset_of_a_pruned_learner_keeps_its_zeros(tmp_path):
    model = MetaGPT(source_length=8, target_length=8, dim=8, num_heads=2, num_layers=1)
    learner = MetaLearner(model, "maml", keep_zeros=True)
    assert load_learner(save_learner(learner, tmp_path / "pruned")).keep_zeros
    assert not load_learner(save_learner(MetaLearner(model, "maml"), tmp_path / "dense")).keep_zeros
