"""A small learner, served."""

import keras
import pytest

from metagpt_tf.export import export_saved_model
from metagpt_tf.export.client import GrpcClient, RestClient
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.serving.server import DevelopmentServer

LENGTH = 12
SOURCES, TARGETS = [f"item {i}" for i in range(4)], [f"ITEM {i}" for i in range(4)]


def small_learner(seed=0):
    keras.utils.set_random_seed(seed)
    sizes = {"dim": 16, "num_heads": 2, "num_layers": 1, "hidden_dim": 32, "low_rank": 2}
    learner = MetaLearner(MetaGPT(source_length=LENGTH, target_length=LENGTH, **sizes), MAML(2, 0.5, scope="low_rank"))
    learner.compile("adam")
    return learner


@pytest.fixture(scope="session")
def learner():
    return small_learner()


@pytest.fixture(scope="session")
def exported(learner, tmp_path_factory):
    root = tmp_path_factory.mktemp("served")
    export_saved_model(learner, root)
    return root


@pytest.fixture(scope="session")
def server(exported):
    with DevelopmentServer(exported, rest_port=0, grpc_port=0, poll_seconds=0.1, largest_bytes=2**20) as running:
        yield running


@pytest.fixture(scope="session")
def rest(server):
    return RestClient(f"http://127.0.0.1:{server.rest_port}")


@pytest.fixture(scope="session")
def grpc(server):
    client = GrpcClient(f"127.0.0.1:{server.grpc_port}")
    yield client
    client.close()


@pytest.fixture(params=["rest", "grpc"])
def client(request):
    return request.getfixturevalue(request.param)
