"""The notebooks run from top to bottom."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(notebook):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbmake",
        "--nbmake-timeout=600",
        "-q",
        "-p",
        "no:xdist",
        str(notebook),
    ]
    environment = {**os.environ, "FAST": "1"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=notebook.parents[1])
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == [
        "00_quickstart",
        "01_meta_learning",
        "02_text",
        "03_code",
        "04_image",
        "05_compression",
        "06_serving",
        "07_on_device",
        "08_tuning",
    ]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_kept_and_name_no_machine(notebook):
    text = notebook.read_text()
    assert '"output_type"' in text
    for path in ("/root/", "/home/", "/tmp/"):
        assert path not in text
