"""The same questions to any server that speaks TF Serving's protocol: ours always, the official image if it is there.

mkdir served && docker run -p 8501:8501 -v "$PWD/served:/models/model" tensorflow/serving
METAGPT_TF_SERVING_URL=http://localhost:8501 METAGPT_TF_SERVING_DIRECTORY=served python -m pytest tests/serving
"""

import contextlib
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from metagpt_tf.export import export_saved_model
from metagpt_tf.export.calls import first_calls
from metagpt_tf.export.client import InvalidRequest, NotServed, RestClient, Unavailable
from metagpt_tf.export.saved_model import new_version

from .conftest import LENGTH, SOURCES, TARGETS, small_learner

URL = os.environ.get("METAGPT_TF_SERVING_URL", "").rstrip("/") or None
DIRECTORY = os.environ.get("METAGPT_TF_SERVING_DIRECTORY")
LONGEST_WAIT = 120


@pytest.fixture(scope="module", params=["development", "official"])
def served(request, learner, exported):
    """A server's address, and the directory of the version that it serves."""
    if request.param == "development":
        server = request.getfixturevalue("server")
        return f"http://127.0.0.1:{server.rest_port}", exported / "1"
    if URL is None or DIRECTORY is None:
        pytest.skip("set METAGPT_TF_SERVING_URL and METAGPT_TF_SERVING_DIRECTORY to ask TF Serving's official image")
    version = export_saved_model(learner, DIRECTORY)
    client = RestClient(URL)
    end = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < end:
        with contextlib.suppress(Unavailable, NotServed):  # it opens its ports when it has a version
            if client.status().get(int(version.name)) == "AVAILABLE":
                return URL, version
        time.sleep(1)
    pytest.fail(f"{URL} did not serve version {version.name} of {DIRECTORY} within {LONGEST_WAIT} s")


def test_every_verb(served, learner):
    client = RestClient(served[0])
    assert client.status()[int(served[1].name)] == "AVAILABLE"
    assert client.answer(["a", "été"]) == learner.model.generate(["a", "été"])
    state = client.adapt(SOURCES, TARGETS)
    pack = learner.model.tokenizer.pack
    expected = learner.adapt((pack(SOURCES, LENGTH), pack(TARGETS, LENGTH)))
    np.testing.assert_allclose(state, expected, atol=1e-5)
    prompts = ["item 7", "item 8"]
    assert client.generate(prompts, state, temperature=0) == learner.model.generate(prompts, state=expected)
    assert client.generate(prompts, seed=[1, 1]) == client.generate(prompts, seed=[1, 1])
    assert client.score(SOURCES, TARGETS, state).mean() < client.score(SOURCES, TARGETS).mean()


def test_what_is_refused(served):
    client = RestClient(served[0])
    other = small_learner(seed=9)
    pack = other.model.tokenizer.pack
    from metagpt_tf.export.state_mark import mark_of, marked

    state = marked(other.adapt((pack(SOURCES, LENGTH), pack(TARGETS, LENGTH))), mark_of(other)).numpy()
    with pytest.raises(InvalidRequest, match="another model"):
        client.generate(["a"], state)
    with pytest.raises(InvalidRequest):
        client.call("adapt_text", {"support_source": ["a"]})
    with pytest.raises(NotServed):
        RestClient(served[0], version=10**6, retries=0).answer(["a"])


def test_the_calls_that_the_exporter_prints(served, tmp_path):
    url, directory = served
    calls = {name: text.replace("http://localhost:8501", url) for name, text in first_calls(directory).items()}
    for name, program in (("call.sh", "sh"), ("call.py", sys.executable)):
        (tmp_path / name).write_text(calls[name])
        done = subprocess.run([program, tmp_path / name], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert '"error"' not in done.stdout and done.stdout.strip()


def test_versions_are_counted(exported):
    assert new_version(exported) == 2
    with pytest.raises(FileExistsError, match="Version 1 exists"):
        new_version(exported, 1)
