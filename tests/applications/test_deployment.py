"""deploy_model writes what a server is started on, and nothing that does not answer as the learner does."""

import keras
import numpy as np
import pytest

from metagpt_tf.applications import deployment
from metagpt_tf.applications.optimization import deploy_model
from metagpt_tf.export import ParityReport, ParityRow
from metagpt_tf.export.readers import TensorFlowReader
from metagpt_tf.meta import MAML, MetaLearner


@pytest.fixture(scope="module")
def learner():
    keras.utils.set_random_seed(0)
    learner = MetaLearner(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), MAML(1, 0.1))
    learner.compile("adam", "mse")
    return learner


@pytest.fixture(scope="module")
def support():
    draw = np.random.default_rng(0)
    return draw.normal(size=(4, 2)).astype("float32"), draw.normal(size=(4, 1)).astype("float32")


def test_a_server_can_be_started_on_it(learner, support, tmp_path):
    first = deploy_model(learner, "serving", tmp_path / "here", name="slope", support=support)
    assert first.parity.passed and first.saved_model == tmp_path / "here" / "models" / "slope" / "1"
    names = {path.name for path in first.path.iterdir()}
    kit = {"models.config", "monitoring.config", "batching.config", "compose.yaml", "kserve.yaml", "README.md"}
    assert names == kit | {"models", "call.sh", "call.py"}
    assert "slope" in (first.path / "models.config").read_text()
    answer = TensorFlowReader(first.saved_model).call("serving_default", {"x": support[0]})
    np.testing.assert_allclose(answer.outputs["output"], learner.model(support[0]), atol=1e-6)
    (first.path / "compose.yaml").write_text("mine\n")
    second = deploy_model(learner, path=first.path, name="slope")
    assert second.saved_model.name == "2" and second.parity is None
    assert (first.path / "compose.yaml").read_text() == "mine\n"


def test_what_answers_otherwise_is_not_deployed(learner, support, tmp_path, monkeypatch):
    wrong = ParityReport([ParityRow("saved_model", "adapt", 1.0, 1.0, 1)])
    monkeypatch.setattr(deployment, "parity_report", lambda *args, **options: wrong)
    with pytest.raises(ValueError, match="not deployed"):
        deploy_model(learner, path=tmp_path / "here", support=support)
    assert not list((tmp_path / "here" / "models" / "model").iterdir())


def test_what_is_refused(learner, support, tmp_path):
    with pytest.raises(ValueError, match="Unknown target 'server'.*serving"):
        deploy_model(learner, "server", tmp_path)
    with pytest.raises(ValueError, match="lower case letters"):
        deploy_model(learner, path=tmp_path, name="My model")
    with pytest.raises(ValueError, match="Leave support out"):
        deploy_model(learner, path=tmp_path, support=support, storage="float16")
    deploy_model(learner, path=tmp_path, version=3)
    with pytest.raises(ValueError, match="does not name 'other'"):
        deploy_model(learner, path=tmp_path, name="other")
    with pytest.raises(FileExistsError, match="Version 3 exists"):
        deploy_model(learner, path=tmp_path, version=3)
