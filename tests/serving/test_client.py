"""Both clients against the development server: answers equal Keras's, errors have a kind."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow.core.framework import types_pb2

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
from metagpt_tf.serving.server import DevelopmentServer

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


def test_a_state_that_is_not_finite(client, learner):
    state = np.array(learner.layout.initial_state())
    state[0] = np.nan
    with pytest.raises(InvalidRequest, match="not finite"):
        client.generate(["a"], state)


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
        b'{"inputs": {"text": ' + b"[" * 700 + b"]" * 700 + b"}}",
        b'{"signature_name": "generate", "inputs": [[true]]}',
        b'{"signature_name": "generate", "inputs": [[99999999999]]}',
    ],
)
def test_broken_requests(server, body):
    url = f"http://127.0.0.1:{server.rest_port}/v1/models/model:predict"
    answer = requests.post(url, data=body, timeout=30)
    assert answer.status_code == 400 and answer.json()["error"]


def test_paths_that_are_not_there(server):
    base = f"http://127.0.0.1:{server.rest_port}"
    for path in ("/v1/models/model:classify", "/v1/models/a/b/c", "/v2", "/v1/models/model/versions/" + "9" * 5000):
        assert requests.post(base + path, data=b"{}", timeout=30).status_code == 404
    assert requests.get(base + "/v1/models/model:predict", timeout=30).status_code == 404


def test_metadata_is_the_same_over_both(server, rest, grpc):
    from tensorflow_serving.apis import get_model_metadata_pb2, prediction_service_pb2_grpc

    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "model"
    stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc._channel)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    stub.GetModelMetadata(request).metadata["signature_def"].Unpack(signatures)
    url = f"http://127.0.0.1:{server.rest_port}/v1/models/model/metadata"
    plain = requests.get(url, timeout=30).json()["metadata"]["signature_def"]["signature_def"]
    assert set(plain) == set(signatures.signature_def) > {"sample_adapted", "adapt"}
    for name, definition in signatures.signature_def.items():
        for key, info in definition.inputs.items():
            assert plain[name]["inputs"][key]["dtype"] == types_pb2.DataType.Name(info.dtype)
            sizes = [int(dim["size"]) for dim in plain[name]["inputs"][key]["tensor_shape"]["dim"]]
            assert sizes == [dim.size for dim in info.tensor_shape.dim]
    assert plain["sample"]["inputs"]["top_p"]["dtype"] == "DT_FLOAT"


def test_grpc_takes_exactly_the_types_of_a_signature(grpc):
    with pytest.raises(InvalidRequest, match="source must be int32, received int64"):
        grpc.call("generate", {"source": np.ones((1, 12), "int64")})


def test_outputs_that_are_asked_for(server, grpc):
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest(output_filter=["nothing"])
    request.model_spec.name = "model"
    request.inputs["text"].CopyFrom(tf.make_tensor_proto(["a"]))
    with pytest.raises(InvalidRequest, match="Outputs are"):
        grpc._sent(grpc._predict, request, 30)
    request.output_filter[:] = ["text"]
    assert list(grpc._sent(grpc._predict, request, 30).outputs) == ["text"]


def test_too_late(exported):
    with DevelopmentServer(exported, rest_port=0, grpc_port=0, max_batch=1) as server:
        server.predictor.timeout = 1e-6
        for client in (
            RestClient(f"http://127.0.0.1:{server.rest_port}"),
            GrpcClient(f"127.0.0.1:{server.grpc_port}"),
        ):
            with pytest.raises(DeadlineExceeded, match="No answer within"):
                client.answer(["a"])
        server.predictor.timeout = 30.0


def test_ports_that_are_taken(server, exported):
    with pytest.raises(OSError, match="gRPC cannot listen"):
        DevelopmentServer(exported, rest_port=0, grpc_port=server.grpc_port)
    with pytest.raises(OSError, match="REST cannot listen"):
        DevelopmentServer(exported, rest_port=server.rest_port, grpc_port=0).start()


def test_a_server_that_comes_back(exported, learner):
    """Clients try again until it is there."""
    with DevelopmentServer(exported, rest_port=0, grpc_port=0) as first:
        ports = {"rest_port": first.rest_port, "grpc_port": first.grpc_port}
    clients = [RestClient(f"http://127.0.0.1:{ports['rest_port']}", retries=12, timeout=120)]
    clients.append(GrpcClient(f"127.0.0.1:{ports['grpc_port']}", retries=12, timeout=120))
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(client.answer, ["a"]) for client in clients]
        time.sleep(1.0)
        with DevelopmentServer(exported, **ports):
            assert [answer.result() for answer in answers] == [[learner.model.generate("a")]] * 2


def test_bytes_travel_in_base64(server, learner):
    url = f"http://127.0.0.1:{server.rest_port}/v1/models/model:predict"
    answer = requests.post(url, json={"instances": [{"b64": "YQ=="}]}, timeout=30)
    assert answer.json()["predictions"] == learner.model.generate(["a"])
