"""The files beside a served model, and the first calls."""

import json
from pathlib import Path

import pytest
import yaml
from google.protobuf import text_format

from metagpt_tf.export.calls import first_calls
from metagpt_tf.export.serving_kit import serving_kit

KIT = Path(__file__).parents[2] / "export" / "serving"


def test_the_kit_of_the_repository_is_the_one_that_is_written():
    files = serving_kit("model")
    assert {path.name for path in KIT.iterdir()} == set(files)
    for name, text in files.items():
        assert (KIT / name).read_text() == text, f"write export/serving/{name} again"


def test_a_name_stands_everywhere():
    for text in serving_kit("my-writer").values():
        assert "@" not in text and "/models/model" not in text
        assert "--path" not in text or "--name my-writer" in text
    compose = yaml.safe_load(serving_kit("my-writer")["compose.yaml"])
    assert list(compose["services"]) == ["my-writer", "my-writer-batched"]
    assert yaml.safe_load(serving_kit("my-writer")["kserve.yaml"])["metadata"]["name"] == "my-writer"


@pytest.mark.parametrize("name", ["", "My", "a/b", "-a", "a-", "a" * 64, "a\nb"])
def test_names_that_cannot_be_served(name):
    with pytest.raises(ValueError, match="lower case letters, digits and hyphens"):
        serving_kit(name)


def test_tf_serving_reads_its_settings():
    config = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    found = text_format.Parse(serving_kit("a1")["models.config"], config.ModelServerConfig())
    assert [(one.name, one.base_path) for one in found.model_config_list.config] == [("a1", "/models/a1")]


def test_what_compose_mounts_is_in_the_kit():
    files = serving_kit("model")
    for service in yaml.safe_load(files["compose.yaml"])["services"].values():
        sources = [volume.split(":")[0].removeprefix("./") for volume in service["volumes"]]
        assert set(sources) - {"models"} <= set(files)
        mounted = {volume.split(":")[1] for volume in service["volumes"]}
        used = [flag.split("=")[1] for flag in service["command"] if "/serving/" in flag]
        assert used and set(used) <= mounted
        # TF Serving warms every signature up, and batching refuses those with a state: the version would not load.
        assert ("--enable_batching=true" in service["command"]) == ("--enable_model_warmup=false" in service["command"])


def test_first_calls_of_a_generator_and_of_a_plain_model(saved_model, plain_learner, tmp_path):
    from metagpt_tf.export import export_saved_model

    calls = first_calls(saved_model, "writer", port=9000)
    assert all("localhost:9000/v1/models/writer:predict" in text for text in calls.values())
    lines = [line for line in calls["call.sh"].splitlines() if line.startswith("curl")]
    bodies = [json.loads(line.split("-d ")[1].strip("'")) for line in lines]
    assert [body["signature_name"] for body in bodies] == ["serving_default", "adapt_text"]
    compile(calls["call.py"], "call.py", "exec")
    assert 'call("generate_adapted", prompt=[' in calls["call.py"]
    plain = first_calls(export_saved_model(plain_learner, tmp_path / "plain"))
    assert 'call("adapt", support_x=[[0] * 2], support_y=[[0]])' in plain["call.py"]
    assert 'call("predict_adapted", state=state, x=[[0] * 2])' in plain["call.py"]
    bare = first_calls(export_saved_model(plain_learner.model, tmp_path / "bare"))
    assert "adapt" not in bare["call.sh"]
