"""The SavedModel: signatures, dynamic shapes, versions, no Keras to read it, nothing half-written."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.export import export_saved_model
from metagpt_tf.export.signatures import Exported
from metagpt_tf.export.weight_quantization import rounded
from metagpt_tf.models import MetaGPT

from .conftest import LENGTH, K, small_learner, small_model, support

GENERATOR_SIGNATURES = {
    "serving_default",
    "generate",
    "adapt",
    "adapt_text",
    "generate_adapted",
    "generate_adapted_ids",
    "sample",
    "sample_adapted",
    "score",
    "score_adapted",
}


@pytest.fixture(scope="module")
def loaded(saved_model):
    return tf.saved_model.load(str(saved_model))


def test_signatures(loaded):
    assert set(loaded.signatures) == GENERATOR_SIGNATURES


def test_text_in_text_out_equals_generate(loaded, learner):
    prompts = ["def f(x):", "second prompt"]
    answers = loaded.signatures["serving_default"](text=tf.constant(prompts))["text"].numpy()
    expected = learner.model.generate(prompts)
    assert [a.decode(errors="replace") for a in answers] == expected


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_adapt_has_dynamic_support_size(loaded, learner, rows):
    x, y = (np.repeat(part, 2, axis=0)[:rows] for part in support(learner.model))
    state = loaded.signatures["adapt"](support_x=tf.constant(x), support_y=tf.constant(y))["state"].numpy()
    np.testing.assert_allclose(state, learner.adapt((x, y)), atol=1e-5)
    assert np.abs(state - learner.layout.initial_state()).max() > 1e-4


def test_adapt_text_equals_adapt_on_packed_ids(loaded, learner):
    sources, targets = ["ab", "c"], ["x", "yz"]
    state = loaded.signatures["adapt_text"](support_source=tf.constant(sources), support_target=tf.constant(targets))[
        "state"
    ].numpy()
    pack = learner.model.tokenizer.pack
    np.testing.assert_allclose(state, learner.adapt((pack(sources, LENGTH), pack(targets, LENGTH))), atol=1e-5)


def test_generate_adapted_uses_the_state(loaded, learner):
    state = learner.adapt(support(learner.model), steps=8, rate_multiplier=5.0)
    answer = loaded.signatures["generate_adapted"](prompt=tf.constant(["item 7"]), state=tf.constant(state))
    assert answer["text"].numpy()[0].decode(errors="replace") == learner.model.generate("item 7", state=state)


def test_every_variable_is_stored_once(saved_model, learner):
    stored = sum(p.stat().st_size for p in (saved_model / "variables").glob("variables.data*"))
    assert stored < 1.2 * 4 * learner.model.count_params()


def test_a_process_without_keras_reads_it(saved_model):
    code = (
        "import sys\n"
        "sys.modules['keras'] = sys.modules['metagpt_tf'] = None  # importing either would fail\n"
        "import tensorflow as tf\n"
        f"loaded = tf.saved_model.load({str(saved_model)!r})\n"
        f"ids = tf.ones(({K}, {LENGTH}), tf.int32) * 70\n"
        "state = loaded.signatures['adapt'](support_x=ids, support_y=ids)['state']\n"
        "text = loaded.signatures['generate_adapted'](prompt=tf.constant(['a']), state=state)['text']\n"
        "assert text.shape == (1,)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]


def test_versions_count_up_and_refuse_to_overwrite(learner, tmp_path):
    (tmp_path / "7").mkdir()
    model = small_model()
    assert export_saved_model(model, tmp_path) == tmp_path / "8"
    with pytest.raises(FileExistsError, match="Version 8 exists"):
        export_saved_model(model, tmp_path, version=8)
    with pytest.raises(ValueError, match="version must be"):
        export_saved_model(model, tmp_path, version=0)


def test_a_bare_model_has_no_adapt(tmp_path):
    loaded = tf.saved_model.load(str(export_saved_model(small_model(), tmp_path)))
    assert set(loaded.signatures) == {"serving_default", "generate", "sample", "score"}


def test_a_model_that_generates_nothing(plain_learner, plain_support, tmp_path):
    loaded = tf.saved_model.load(str(export_saved_model(plain_learner, tmp_path)))
    x, y = plain_support
    state = loaded.signatures["adapt"](support_x=tf.constant(x), support_y=tf.constant(y))["state"].numpy()
    np.testing.assert_allclose(state, plain_learner.adapt((x, y)), atol=1e-6)
    prediction = loaded.signatures["predict_adapted"](x=tf.constant(x), state=tf.constant(state))["output"].numpy()
    np.testing.assert_allclose(prediction, plain_learner.adapted(state)(x), atol=1e-6)


def test_a_path_that_cannot_be_written_leaves_nothing(learner, tmp_path):
    (tmp_path / "taken").write_text("a file, not a directory")
    with pytest.raises(OSError, match="Cannot write"):
        export_saved_model(learner, tmp_path / "taken" / "model")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_a_full_disk_leaves_no_version(learner, tmp_path, monkeypatch):
    def full(module, folder, signatures):
        Path(folder).mkdir()
        (Path(folder) / "saved_model.pb").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(OSError, match="No space left"):
        export_saved_model(learner, tmp_path / "model")
    assert list((tmp_path / "model").iterdir()) == []


def test_a_learner_without_loss_is_refused(tmp_path):
    from metagpt_tf.meta import MetaLearner

    with pytest.raises(ValueError, match="not compiled"):
        export_saved_model(MetaLearner(small_model(), "maml"), tmp_path)


def test_scope_all_round_trips(tmp_path):
    learner = small_learner(scope="all")
    loaded = tf.saved_model.load(str(export_saved_model(learner, tmp_path)))
    x, y = support(learner.model)
    state = loaded.signatures["adapt"](support_x=tf.constant(x), support_y=tf.constant(y))["state"].numpy()
    np.testing.assert_allclose(state, learner.adapt((x, y)), atol=1e-5)
    assert len(state) == learner.model.count_params()
    assert isinstance(learner.model, MetaGPT)


class TestStorage:
    @pytest.mark.parametrize("storage, share, tolerance", [("float16", 0.75, 0.01), ("weight_int8", 0.6, 0.05)])
    @pytest.mark.parametrize("scope", ["all", "low_rank"])
    def test_smaller_and_it_adapts(self, tmp_path, storage, share, tolerance, scope):
        learner = small_learner(scope, dim=64, hidden_dim=256)
        paths = [export_saved_model(learner, tmp_path / name, storage=name) for name in ("float32", storage)]
        sizes = [(path / "variables" / "variables.data-00000-of-00001").stat().st_size for path in paths]
        assert sizes[1] < share * sizes[0]
        x, y = support(learner.model)
        states = []
        for path in paths:
            loaded = tf.saved_model.load(str(path))
            adapt = loaded.signatures["adapt"]
            states.append(adapt(support_x=tf.constant(x), support_y=tf.constant(y))["state"].numpy())
            adapted = loaded.signatures["generate_adapted_ids"](source=tf.constant(x), state=tf.constant(states[-1]))
            assert adapted["output"].shape == (K, LENGTH)
        assert np.sqrt(np.mean((states[1] - states[0]) ** 2) / np.mean(states[0] ** 2)) < tolerance

    def test_what_is_stored_is_what_answers(self, tmp_path):
        """With a state, the weights outside of its scope are the stored ones too."""
        learner = small_learner("norm_bias", dim=64, hidden_dim=256)
        path = export_saved_model(learner, tmp_path, storage="weight_int8")
        for variable in learner.model.trainable_variables:
            variable.assign(rounded(variable.numpy()))
        x, y = support(learner.model)
        state = learner.adapt((x, y))
        loaded = tf.saved_model.load(str(path))
        found = loaded.signatures["adapt"](support_x=tf.constant(x), support_y=tf.constant(y))["state"]
        np.testing.assert_allclose(found, state, atol=1e-5)
        ids = loaded.signatures["generate_adapted_ids"](source=tf.constant(x), state=found)["output"]
        expected = Exported(learner).generate(tf.constant(x), tf.constant(state))
        np.testing.assert_array_equal(ids, expected)

    def test_an_unknown_storage(self, learner, tmp_path):
        with pytest.raises(ValueError, match="Did you mean 'weight_int8'"):
            export_saved_model(learner, tmp_path, storage="weight_int4")
