"""The LiteRT file: both signatures, every scope, builtin operations, weights once, clear errors."""

import subprocess
import sys

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from metagpt_tf.export import LiteRTRunner, export_litert
from metagpt_tf.export.ballast import without_ballast
from metagpt_tf.meta import CAVIA, MetaLearner, MetaSGD

from .conftest import LENGTH, K, small_learner, small_model, support


@pytest.fixture(scope="module")
def runner(litert):
    return LiteRTRunner(litert)


def test_adapt_and_generate_equal_keras(runner, learner):
    x, y = support(learner.model)
    state = runner.adapt(x, y)
    np.testing.assert_allclose(state, learner.adapt((x, y)), atol=1e-5)
    assert np.abs(state - learner.layout.initial_state()).max() > 1e-4
    ids = runner.generate(learner.model.tokenizer.pack(["item 9"], LENGTH), state)
    assert learner.model.tokenizer.decode(ids[0]) == learner.model.generate("item 9", state=learner.adapt((x, y)))


def test_without_delegates_too(litert, learner):
    x, y = support(learner.model)
    np.testing.assert_allclose(LiteRTRunner(litert, delegates=False).adapt(x, y), learner.adapt((x, y)), atol=1e-5)


@pytest.mark.parametrize("scope", ["all", "head", "norm_bias", "context"])
def test_every_scope_converts_and_agrees(scope, tmp_path):
    learner = small_learner(scope)
    runner = LiteRTRunner(export_litert(learner, tmp_path / "m.tflite", k_shot=K))
    x, y = support(learner.model)
    state = runner.adapt(x, y)
    np.testing.assert_allclose(state, learner.adapt((x, y)), atol=1e-5)
    ids = runner.generate(learner.model.tokenizer.pack(["q"], LENGTH), state)
    assert learner.model.tokenizer.decode(ids[0]) == learner.model.generate("q", state=learner.adapt((x, y)))


@pytest.mark.parametrize("algorithm", [MetaSGD(2, 0.1, scope="low_rank"), CAVIA(2, 1.0)])
def test_algorithms_with_their_own_start_or_rates_convert(algorithm, tmp_path):
    learner = MetaLearner(small_model(), algorithm)
    learner.compile("adam")
    x, y = support(learner.model)
    state = LiteRTRunner(export_litert(learner, tmp_path / "m.tflite", k_shot=K)).adapt(x, y)
    np.testing.assert_allclose(state, learner.adapt((x, y)), atol=1e-5)


@pytest.mark.parametrize(
    "overrides", [{"norm": "post"}, {"activation": "gelu"}, {"positions": "learned"}, {"tie_embeddings": False}]
)
def test_every_form_of_the_model_converts(overrides, tmp_path):
    learner = small_learner("norm_bias", **overrides)
    x, y = support(learner.model)
    state = LiteRTRunner(export_litert(learner, tmp_path / "m.tflite", k_shot=K)).adapt(x, y)
    np.testing.assert_allclose(state, learner.adapt((x, y)), atol=1e-5)


def test_only_builtin_operations(litert):
    interpreter = Interpreter(str(litert))
    names = {details["op_name"] for details in interpreter._get_ops_details()}
    assert names and not [name for name in names if "Flex" in name or "Custom" in name]


def test_weights_are_stored_once(tmp_path):
    learner = small_learner("low_rank", dim=128, num_layers=2, hidden_dim=512)
    path = export_litert(learner, tmp_path / "m.tflite", k_shot=K)
    assert path.stat().st_size <= 1.1 * 4 * learner.model.count_params()


def test_dropping_ballast_twice_changes_nothing(litert):
    content = litert.read_bytes()
    assert without_ballast(content) == content or len(without_ballast(content)) <= len(content)
    assert set(LiteRTRunner(litert)._runners) == {"adapt", "generate"}


def test_no_tensorflow_is_needed_to_run_it(litert):
    code = (
        "import sys, numpy as np\n"
        "from ai_edge_litert.interpreter import Interpreter\n"
        f"interpreter = Interpreter({str(litert)!r})\n"
        f"ids = np.full(({K}, {LENGTH}), 70, 'int32')\n"
        "state = interpreter.get_signature_runner('adapt')(support_x=ids, support_y=ids)['state']\n"
        "ids = interpreter.get_signature_runner('generate')(source=ids[:1], state=state)['output']\n"
        "assert ids.shape == (1, 16) and np.isfinite(state).all()\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]


def test_a_model_that_generates_nothing(plain_learner, plain_support, tmp_path):
    runner = LiteRTRunner(export_litert(plain_learner, tmp_path / "m.tflite", k_shot=4))
    state = runner.adapt(*plain_support)
    np.testing.assert_allclose(state, plain_learner.adapt(plain_support), atol=1e-6)
    x = plain_support[0][:1]
    np.testing.assert_allclose(runner.predict(x, state), plain_learner.adapted(state)(x), atol=1e-6)


class TestBadInput:
    def test_not_a_learner(self, tmp_path):
        with pytest.raises(TypeError, match="takes a MetaLearner"):
            export_litert(small_model(), tmp_path / "m.tflite")

    def test_sizes(self, learner, tmp_path):
        with pytest.raises(ValueError, match="k_shot and batch_size"):
            export_litert(learner, tmp_path / "m.tflite", k_shot=0)

    def test_unwritable_path(self, litert, learner, tmp_path, monkeypatch):
        monkeypatch.setattr("metagpt_tf.export.litert.convert", lambda *args: litert.read_bytes())
        (tmp_path / "file").write_text("")
        with pytest.raises(OSError, match="Cannot write"):
            export_litert(learner, tmp_path / "file" / "m.tflite")

    def test_wrong_shapes_are_named(self, runner):
        with pytest.raises(ValueError, match=r"support_x must have shape \(3, 16\).*\(4, 16\)"):
            runner.adapt(np.zeros((4, 16), "int32"), np.zeros((3, 16), "int32"))

    def test_missing_and_damaged_files(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no LiteRT file"):
            LiteRTRunner(tmp_path / "none.tflite")
        (tmp_path / "bad.tflite").write_bytes(b"not a flatbuffer at all")
        with pytest.raises(ValueError, match="not a readable LiteRT file"):
            LiteRTRunner(tmp_path / "bad.tflite")

    def test_unknown_signature(self, runner):
        with pytest.raises(ValueError, match="no signature 'predict'"):
            runner.predict(np.zeros((1, 2)), np.zeros(3))
