"""The main job, end to end, with a few steps of each training."""

import json

import pytest

from metagpt_tf.cli.main import EXIT_OK, main


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    arguments = ["quickstart", "--fast", "--output", str(folder / "out"), "--json", str(folder / "figures.json")]
    assert main(arguments) == EXIT_OK
    return folder, json.loads((folder / "figures.json").read_text())


def test_the_keys(figures):
    _, values = figures
    assert isinstance(values["before_bits_per_byte"], float)
    for key in ("after_bits_per_byte", "twin_after_bits_per_byte"):
        assert set(values[key]) == {"1", "3", "5"} and all(0 < v < 20 for v in values[key].values())
    assert values["parity"]["max_difference"] <= 1e-4
    assert values["seconds"] > 0


def test_the_files(figures):
    folder, _ = figures
    out = folder / "out"
    assert (out / "adaptation.png").read_bytes()[:4] == b"\x89PNG"
    assert (out / "saved_model" / "1" / "saved_model.pb").exists()
    assert (out / "model.tflite").stat().st_size <= 1.1 * 4 * 972_419
    assert (out / "learner.keras").exists()
