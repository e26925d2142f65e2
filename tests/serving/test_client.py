"""Both clients against the development server: answers equal Keras's, errors have a kind."""

import numpy as np
import pytest
import requests

from metagpt_tf.export.client import (
    DeadlineExceeded,
    GrpcClient,
    InvalidRequest,
    NotServed,
    RestClient,
    Unavailable,
)
from metagpt_tf.export.state_mark import read_mark
from metagpt_tf.generation import TopK

from .conftest import SOURCES, TARGETS

NOBODY = "127.0.0.1:9"


def test_status(client):
    assert client.status() == {1: "AVAILABLE"}


def test_answers_are_those_of_keras(client, learner):
    prompts = ["a", "item 2", "été"]
    assert client.answer(prompts) == learner.model.generate(prompts)
    assert client.generate(prompts, temperature=0) == learner.model.generate(prompts)
    found = client.generate(prompts[:2], top_k=[3, 4], seed=[5, 6], max_length=[12, 4])
    expected = [learner.model.generate("a", sampler=TopK(3), seed=5)]
    expected.append(learner.model.generate("item 2", sampler=TopK(4), seed=6, max_length=4))
    assert found == expected


def test_adapting_and_what_it_changes(client, learner):
    state = client.adapt(SOURCES, TARGETS)
    pack = learner.model.tokenizer.pack
    expected = learner.adapt((pack(SOURCES, 12), pack(TARGETS, 12)))
    np.testing.assert_allclose(state, expected, atol=1e-5)
    before, after = client.score(SOURCES, TARGETS), client.score(SOURCES, TARGETS, state)
    assert before.shape == (4,) and after.mean() < before.mean()
    assert client.generate(["item 7"], state, temperature=0) == learner.model.generate(["item 7"], state=expected)
    assert read_mark(np.asarray(state)) is not None


def test_rows(rest, learner):
    assert rest.rows("serving_default", ["a", "b"]) == learner.model.generate(["a", "b"])
    scores = rest.rows("score", [{"source": s, "target": t} for s, t in zip(SOURCES, TARGETS, strict=True)])
    np.testing.assert_allclose(scores, rest.score(SOURCES, TARGETS), atol=1e-6)
    with pytest.raises(InvalidRequest, match="no row for each instance"):
        rest.rows("adapt_text", [{"support_source": "a", "support_target": "b"}])


@pytest.mark.parametrize(
    ("signature", "inputs", "kind", "words"),
    [
        ("adapt_txt", {}, InvalidRequest, "Did you mean 'adapt_text'"),
        ("score", {"source": ["a"]}, InvalidRequest, "takes the inputs"),
        ("serving_default", {"text": [1.5]}, InvalidRequest, "must be string"),
        ("serving_default", {"text": [["a"]]}, InvalidRequest, "received shape"),
        ("generate", {"source": np.ones((1, 3), "int32")}, InvalidRequest, r"received shape \(1, 3\)"),
        ("generate_adapted", {"prompt": ["a"], "state": np.zeros(3, "float32")}, InvalidRequest, "received shape"),
    ],
)
def test_what_is_wrong_is_said(client, signature, inputs, kind, words):
    with pytest.raises(kind, match=words):
        client.call(signature, inputs)


def test_a_state_that_is_not_finite(grpc, learner):
    state = np.array(learner.layout.initial_state())
    state[0] = np.nan
    with pytest.raises(InvalidRequest, match="not finite"):
        grpc.generate(["a"], state)


def test_settings_that_do_not_exist(client):
    with pytest.raises(TypeError, match="Unknown settings"):
        client.generate(["a"], heat=1)


def test_nothing_of_that_name(server):
    for client in (
        RestClient(f"http://127.0.0.1:{server.rest_port}", "other"),
        GrpcClient(f"127.0.0.1:{server.grpc_port}", "other"),
        RestClient(f"http://127.0.0.1:{server.rest_port}", version=7),
        GrpcClient(f"127.0.0.1:{server.grpc_port}", version=7),
    ):
        with pytest.raises(NotServed, match="Servable not found"):
            client.answer(["a"])


def test_nobody_there():
    for client in (
        RestClient(f"http://{NOBODY}", retries=1, backoff=0.01),
        GrpcClient(NOBODY, retries=1, backoff=0.01),
    ):
        with pytest.raises(Unavailable):
            client.answer(["a"])
    with pytest.raises(DeadlineExceeded):
        RestClient(f"http://{NOBODY}", timeout=0.2, retries=50, backoff=0.05).answer(["a"])


def test_too_large(rest, grpc):
    for client in (rest, grpc):
        with pytest.raises(InvalidRequest):
            client.answer(["x" * 2**21])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"inputs": {}, "instances": []}',
        b'{"instances": []}',
        b'{"instances": [{"text": "a"}, {"txt": "b"}]}',
        b'{"inputs": {"text": [{"b64": "!"}]}}',
        b'{"inputs": {"text": [{"c64": ""}]}}',
        b'{"inputs": {"text": ["a", 3]}}',
        b'{"inputs": {"text": [["a"], ["b", "c"]]}}',
        b'{"signature_name": 4, "inputs": []}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_broken_requests(server, body):
    url = f"http://127.0.0.1:{server.rest_port}/v1/models/model:predict"
    answer = requests.post(url, data=body, timeout=30)
    assert answer.status_code == 400 and answer.json()["error"]


def test_paths_that_are_not_there(server):
    base = f"http://127.0.0.1:{server.rest_port}"
    for path in ("/v1/models/model:classify", "/v1/models/a/b/c", "/v2"):
        assert requests.post(base + path, data=b"{}", timeout=30).status_code == 404


def test_bytes_travel_in_base64(server, learner):
    url = f"http://127.0.0.1:{server.rest_port}/v1/models/model:predict"
    answer = requests.post(url, json={"instances": [{"b64": "YQ=="}]}, timeout=30)
    assert answer.json()["predictions"] == learner.model.generate(["a"])
