"""Many clients at once, a new version in the middle, broken requests between: none lost, none wrong, memory flat."""

import os
import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from metagpt_tf.export import export_saved_model
from metagpt_tf.export.client import GrpcClient, InvalidRequest, RestClient
from metagpt_tf.serving.server import DevelopmentServer

from .conftest import small_learner

CLIENTS, REQUESTS = 16, 1000
# Answers after which memory is read: from 200 to 500 the first version answers, from 700 to 1000 the second one.
# Between them a whole model is loaded.
READINGS = (200, 500, 700, 1000)
MOST_GROWTH = 60 * 2**20


def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def two_versions(exported, tmp_path):
    """A directory with one version, and another that is not there yet."""
    shutil.copytree(exported, tmp_path / "root")
    second = small_learner(seed=1)
    later = export_saved_model(second, tmp_path / "later")
    return tmp_path / "root", later, second


def rudely(port, index):
    """What no client should do: a request that is no JSON, one that is too large, one that breaks off."""
    url = f"http://127.0.0.1:{port}/v1/models/model:predict"
    if index % 3 == 0:
        assert requests.post(url, data=b"{", timeout=30).status_code == 400
    elif index % 3 == 1:
        with pytest.raises(InvalidRequest, match="413"):
            RestClient(f"http://127.0.0.1:{port}").answer(["x" * 2**21])
    else:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"POST /v1/models/model:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n\r\n{")


def test_a_thousand_requests_of_sixteen_clients(two_versions, learner):
    root, later, second = two_versions
    prompts = [f"p{i}" for i in range(8)]
    right = [set(pair) for pair in zip(learner.model.generate(prompts), second.model.generate(prompts), strict=True)]
    answers, wrong, sizes = [], [], []
    lock = threading.Lock()
    with DevelopmentServer(root, rest_port=0, grpc_port=0, poll_seconds=0.1, largest_bytes=2**20) as server:
        address = f"127.0.0.1:{server.grpc_port}"

        def one_client(number):
            client = GrpcClient(address) if number % 2 else RestClient(f"http://127.0.0.1:{server.rest_port}")
            for index in range(number, REQUESTS, CLIENTS):
                if index % 50 == 7:
                    rudely(server.rest_port, index)
                text = client.answer([prompts[index % 8]])[0]
                with lock:
                    answers.append(text)
                    if text not in right[index % 8]:
                        wrong.append((index, text))
                    if len(answers) in READINGS:
                        sizes.append(resident())
                    if len(answers) == REQUESTS // 2:
                        os.rename(shutil.copytree(later, root / "half"), root / "2")

        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(one_client, range(CLIENTS)))
        client = RestClient(f"http://127.0.0.1:{server.rest_port}")
        for _ in range(100):
            if client.status() == {2: "AVAILABLE"}:
                break
            threading.Event().wait(0.1)
        assert client.status() == {2: "AVAILABLE"} and client.answer(prompts) == second.model.generate(prompts)
    assert len(answers) == REQUESTS and not wrong
    assert (sizes[1] - sizes[0]) + (sizes[3] - sizes[2]) < MOST_GROWTH


def test_a_version_that_cannot_be_read_is_passed_over(exported, learner, tmp_path, caplog):
    root = tmp_path / "root"
    shutil.copytree(exported, root)
    (root / "2").mkdir()
    (root / "2" / "saved_model.pb").write_bytes(b"half a file")
    with DevelopmentServer(root, rest_port=0, grpc_port=0, poll_seconds=0.05) as server:
        (root / "3").mkdir()
        shutil.copy(root / "1" / "saved_model.pb", root / "3")  # a copy that has only begun
        (root / "\u00b2").mkdir()
        (root / "\u00b2" / "saved_model.pb").touch()  # no number, though a digit
        client = RestClient(f"http://127.0.0.1:{server.rest_port}")
        for _ in range(300):
            if "Version 3" in caplog.text:
                break
            threading.Event().wait(0.1)
        threading.Event().wait(0.3)  # some more looks, at which nothing is said again
        assert client.status() == {1: "AVAILABLE"} and client.answer(["a"]) == [learner.model.generate("a")]
        assert caplog.text.count("Version 2") == caplog.text.count("Version 3") == 1
        shutil.copytree(root / "1" / "variables", root / "3" / "variables")
        for _ in range(200):
            if client.status() == {3: "AVAILABLE"}:
                break
            threading.Event().wait(0.1)
        assert client.status() == {3: "AVAILABLE"} and client.answer(["a"]) == [learner.model.generate("a")]


def test_no_version_that_can_be_read(tmp_path):
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "saved_model.pb").write_bytes(b"half a file")
    with pytest.raises(ValueError, match=r"None of the versions \[2\]"):
        DevelopmentServer(tmp_path, rest_port=0, grpc_port=0)


def test_no_version(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no numbered version"):
        DevelopmentServer(tmp_path, rest_port=0, grpc_port=0)
