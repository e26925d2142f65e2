"""`metagpt-tf demo`: writes a page once, serves it on this machine, ends when it is told to."""

import json
import os
import re
import signal
import subprocess
import sys

import keras
import pytest
import requests

from metagpt_tf.applications.page import default_presets, deploy_page, said_of
from metagpt_tf.cli.main import main
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.models import MetaGPT


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A page that the verb wrote of a tiny learner's file, and the file."""
    folder = tmp_path_factory.mktemp("demo")
    keras.utils.set_random_seed(0)
    model = MetaGPT(source_length=8, target_length=8, dim=8, num_heads=2, num_layers=1, hidden_dim=8, low_rank=1)
    learner = MetaLearner(model, MAML(1, 0.1, scope="low_rank"))
    learner.compile()
    learner.save(folder / "Tiny_one.keras")
    file, page = str(folder / "Tiny_one.keras"), str(folder / "page")
    assert main(["demo", "--path", page, "--model", file, "--write-only"]) == 0
    return folder / "page", file


def test_it_writes_a_whole_page(written):
    page, _ = written
    (entry,) = json.loads((page / "models.json").read_text())["models"]
    assert (entry["name"], entry["kind"]) == ("tiny-one", "code")
    for place in (entry["file"], entry["initial"], entry["data"], "index.html", "worker.js", "runtime/litert.js"):
        assert (page / place).is_file()
    listed = json.loads((page / "files.json").read_text())
    assert entry["file"] in listed and all((page / name).is_file() for name in listed)


def test_a_page_that_is_there_is_not_written_again(written, capsys):
    page, file = written
    assert main(["demo", "--path", str(page), "--model", file]) == 1
    assert "holds a page already" in capsys.readouterr().err


def test_it_serves_until_it_is_stopped(written):
    page, _ = written
    command = [sys.executable, "-m", "metagpt_tf", "demo", "--path", str(page), "--port", "0"]
    environment = {**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    try:
        said = ""
        while not (found := re.search(r"http://127\.0\.0\.1:\d+/", said)):
            line = process.stdout.readline()
            assert line, said
            said += line
        url = found[0]
        assert requests.get(url, timeout=10).headers["Content-Type"].startswith("text/html")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_presets_and_their_cards():
    assert default_presets() == ["image_nano", "code_nano"]
    assert said_of("image_nano")["kind"] == "image" and "Open Font License" in said_of("image_nano")["licence"]
    assert said_of("code_nano")["kind"] == "code" and "PSF" in said_of("code_nano")["licence"]
    assert said_of("text_nano")["kind"] == "text" and said_of("none") == {"kind": "code"}


def test_what_cannot_be_shown(tmp_path):
    with pytest.raises(ValueError, match="A page needs a learner"):
        deploy_page([], tmp_path)
    with pytest.raises(FileNotFoundError, match="no model file"):
        deploy_page(["none.keras"], tmp_path)
