"""Presets: the same model back, a tampered file refused, other shapes named."""

import json
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

from metagpt_tf import presets
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.presets import Preset, save_preset, write_card
from metagpt_tf.saving import load_learner, save_learner

SIZES = {"source_length": 8, "target_length": 6, "dim": 8, "num_heads": 2, "num_layers": 1}


@pytest.fixture(scope="module")
def learner() -> MetaLearner:
    keras.utils.set_random_seed(3)
    made = MetaLearner(MetaGPT(**SIZES), MAML(2, 0.3, scope="low_rank", learn_rate="per_tensor_per_step"))
    made.algorithm.set_weights([w + 0.5 for w in made.algorithm.get_weights()])
    return made


def predict(model: keras.Model) -> np.ndarray:
    rows = np.random.default_rng(0).integers(3, 250, (2, 8)).astype("int32")
    return np.asarray(model((rows, rows[:, :6])))


def test_a_model_comes_back_bit_by_bit(learner: MetaLearner, tmp_path: Path) -> None:
    learner.model.save_to_preset(tmp_path / "mine", card={"data": "none"})
    loaded = MetaGPT.from_preset(tmp_path / "mine")
    np.testing.assert_array_equal(predict(loaded), predict(learner.model))
    assert Preset(tmp_path / "mine").card == {"data": "none"}
    assert MetaGPT.from_preset(tmp_path / "mine", source_length=5).source_length == 5


def test_a_learner_comes_back_with_its_rates_and_adapts_alike(learner: MetaLearner, tmp_path: Path) -> None:
    loaded = load_learner(save_learner(learner, tmp_path / "mine"))
    for ours, theirs in zip(learner.algorithm.get_weights(), loaded.algorithm.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    learner.compile()
    draw = np.random.default_rng(1)
    support = (draw.integers(3, 250, (3, 8)).astype("int32"), draw.integers(3, 250, (3, 6)).astype("int32"))
    np.testing.assert_allclose(loaded.adapt(support), learner.adapt(support), rtol=1e-6)
    file = tmp_path / "learner.keras"
    learner.save(file)
    np.testing.assert_allclose(load_learner(file).adapt(support), learner.adapt(support), rtol=1e-6)


def test_half_precision_halves_the_file_and_rounds(learner: MetaLearner, tmp_path: Path) -> None:
    whole = save_preset(tmp_path / "whole", {"model": learner.model})
    half = save_preset(tmp_path / "half", {"model": learner.model}, dtype="float16")
    sizes = [(path / "model.npz").stat().st_size for path in (whole, half)]
    assert sizes[1] < 0.75 * sizes[0]  # the names in the archive stay
    np.testing.assert_allclose(predict(MetaGPT.from_preset(half)), predict(learner.model), atol=0.02)


def test_the_sums_are_those_of_the_usual_tool(learner: MetaLearner, tmp_path: Path) -> None:
    learner.model.save_to_preset(tmp_path / "mine", card={"k": 8})
    write_card(tmp_path / "mine", {"k": 4})
    assert Preset(tmp_path / "mine").card == {"k": 4}
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "mine", check=True, capture_output=True)


@pytest.mark.parametrize("name", ["model.npz", "model.json", "card.json"])
def test_a_tampered_file_is_refused(learner: MetaLearner, tmp_path: Path, name: str) -> None:
    learner.model.save_to_preset(tmp_path / "mine", card={})
    content = bytearray((tmp_path / "mine" / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "mine" / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is not what was saved.*Copy the preset again"):
        MetaGPT.from_preset(tmp_path / "mine")
    (tmp_path / "mine" / name).unlink()
    with pytest.raises(ValueError, match=f"lacks '{name}'"):
        MetaGPT.from_preset(tmp_path / "mine")


def test_sums_may_not_point_elsewhere(learner: MetaLearner, tmp_path: Path) -> None:
    learner.model.save_to_preset(tmp_path / "mine")
    (tmp_path / "outside.json").write_text("{}")
    with (tmp_path / "mine" / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  ../outside.json\n")
    with pytest.raises(ValueError, match="lacks '../outside.json'"):
        Preset(tmp_path / "mine")


def test_bad_input(learner: MetaLearner, tmp_path: Path) -> None:
    learner.model.save_to_preset(tmp_path / "mine")
    with pytest.raises(FileExistsError, match="not written over"):
        learner.model.save_to_preset(tmp_path / "mine")
    with pytest.raises(ValueError, match=r"has shape \(.*\), the preset's \(.*\)"):
        MetaGPT.from_preset(tmp_path / "mine", hidden_dim=48)
    with pytest.raises(ValueError, match="has no 'algorithm'; it has model"):
        load_learner(tmp_path / "mine")
    with pytest.raises(ValueError, match="Did you mean 'nano'"):
        MetaGPT.from_preset("nanoo")
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float16', received 'int8'"):
        save_preset(tmp_path / "other", {"model": learner.model}, dtype="int8")
    with pytest.raises(FileNotFoundError, match="There is no preset at"):
        Preset(tmp_path / "nowhere")
    learner.model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="holds a MetaGPT, not a MetaLearner"):
        load_learner(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="leave dim out"):
        load_learner(tmp_path / "model.keras", dim=4)


def test_pretrained_presets_are_whole_and_small() -> None:
    for name in presets.pretrained_names():
        found = Preset(presets.PRETRAINED / name)
        assert sum(path.stat().st_size for path in found.directory.iterdir()) <= 6e6
        assert found.parts == ["algorithm", "model", "twin"] and json.dumps(found.card)
