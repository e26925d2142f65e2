"""A file for a device: every signature as Keras answers, what the file says, states, the kit beside it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf import generation
from metagpt_tf.applications.optimization import deploy_model
from metagpt_tf.export import LiteRTRunner, export_litert, parity_report
from metagpt_tf.export.about import hash_of
from metagpt_tf.export.ballast import operators
from metagpt_tf.export.device_kit import KITS, kit_files, runtime_files
from metagpt_tf.export.seal import read_about
from metagpt_tf.export.state_mark import mark_of
from metagpt_tf.fast_weights import State

from .conftest import LENGTH, K, small_learner, support

ROOT = Path(__file__).parents[2]
EVERY = {"adapt", "generate", "sample", "score", "start", "step", "draw", "encode"}


@pytest.fixture(scope="module")
def runner(drawn):
    return LiteRTRunner(drawn)


@pytest.fixture(scope="module")
def shown(drawer, codes):
    """Four examples: prompts and what the model is to write for random images."""
    images = np.random.default_rng(3).random((4, 8, 8, 1)).astype("float32")
    ids = codes.encode(images).reshape(4, -1) + 260
    sources = drawer.model.tokenizer.pack([f"letter {c}:" for c in "abcd"], 16)
    return sources, np.concatenate([ids, np.full((4, 1), 2)], axis=1).astype("int32"), images


def test_every_signature_equals_keras_with_and_without_delegates(drawer, codes, drawn, shown):
    report = parity_report(drawer, litert=drawn, support=shown[:2], autoencoder=codes)
    assert report.passed, str(report)
    for way in ("litert", "litert_no_delegate"):
        assert {row.signature for row in report.rows if row.format == way} == EVERY


def test_sampling_is_that_of_the_samplers(runner, drawer, shown):
    model = drawer.model
    state = np.asarray(drawer.adapt(shown[:2]))
    noise = np.random.default_rng(1).gumbel(size=(1, 5, model.tokenizer.vocabulary_size)).astype("float32")
    for sampler, settings in (
        (generation.TopK(3, temperature=0.7), {"temperature": 0.7, "top_k": 3}),
        (generation.TopP(0.8), {"top_p": 0.8}),
        (generation.Random(1.5), {"temperature": 1.5}),
        (generation.Greedy(), {"temperature": 0.0}),
    ):
        layout = drawer.layout
        with tf.device("cpu"):
            import keras

            with keras.StatelessScope(state_mapping=layout.mapping(tf.constant(state))):
                expected = model.generate_ids(tf.constant(shown[0][:1]), 5, sampler, noise=noise)
        np.testing.assert_array_equal(runner.sample(shown[0][:1], state, noise, **settings), expected)
    drawn = [runner.sample(shown[0][:1], state, temperature=3.0, seed=seed).tolist() for seed in range(8)]
    assert len({str(ids) for ids in drawn}) > 1
    assert runner.sample(shown[0][:1], state, temperature=3.0, seed=0).tolist() == drawn[0]


def test_a_stream_is_what_is_generated(runner, drawer, shown):
    state = runner.adapt(*shown[:2])
    whole = runner.generate(shown[0][:1], state)[0]
    streamed = np.array([token[0] for token in runner.stream(shown[0][:1], state)])
    np.testing.assert_array_equal(whole[: len(streamed)], streamed)
    assert (whole[len(streamed) :] == 0).all() and len(streamed) > 1


def test_an_image_becomes_codes_and_an_image_again(runner, codes, shown):
    ids = runner.encode(shown[2])
    np.testing.assert_array_equal(ids, shown[1])
    image, whole = runner.draw(ids[:1])
    np.testing.assert_allclose(image, codes.decode(codes.encode(shown[2][:1])), atol=1e-5)
    assert whole.tolist() == [True]
    assert runner.draw(np.full((1, 5), 100))[1].tolist() == [False]


def test_scores_are_the_loss_of_each_example(runner, drawer, shown):
    state = runner.adapt(*shown[:2])
    scores = runner.score(*shown[:2], state)
    one = [drawer.adapted(state).loss(drawer.task_loss, x[None], y[None]) for x, y in zip(*shown[:2], strict=True)]
    np.testing.assert_allclose(scores, one, atol=1e-4)


def test_builtin_operations_only(drawn):
    names = operators(drawn.read_bytes())
    assert "WHILE" in names and "CONV_2D" in names
    assert not [name for name in names if name.startswith(("CUSTOM", "FLEX"))]


def test_what_a_file_says_of_itself(drawn, drawer):
    about = read_about(drawn)
    assert (about["name"], about["licence"], about["limits"]) == ("letters", "ours", "tiny")
    assert about["model"] == hash_of(drawer) and about["mark"] == mark_of(drawer)
    assert about["tokenizer"]["merges"] == [list(pair) for pair in drawer.model.tokenizer.merges]
    assert about["image"] == {"shape": [8, 8, 1], "codes": [2, 2], "num_codes": 16, "first_id": 260}
    assert about["signatures"]["adapt"]["support_x"] == ["int32", [4, 16]]
    assert about["state_size"] == drawer.layout.size
    assert json.loads((drawn.parent / "model.json").read_text()) == about
    # Without this package: the JSON stands in the file as it is.
    assert b'{"metagpt_tf": 1, "sha256": "' in drawn.read_bytes()


def test_shorter_lengths_and_larger_batches(learner, tmp_path):
    path = export_litert(learner, tmp_path / "m.tflite", k_shot=K, batch_size=2, source_length=10, target_length=8)
    runner, (x, y) = LiteRTRunner(path), support(learner.model)
    state = runner.adapt(x[:, :10], y[:, :8])
    np.testing.assert_allclose(state, learner.adapt((x[:, :10], y[:, :8])), atol=1e-5)
    ids = runner.generate(x[:2, :10], state)
    expected = learner.model.generate(["item 0", "item 1"], state=learner.adapt((x[:, :10], y[:, :8])), max_length=8)
    assert [learner.model.tokenizer.decode(row) for row in ids] == expected
    assert parity_report(learner, litert=path, support=(x[:, :10], y[:, :8]), inputs=x[:2, :10]).passed
    with pytest.raises(ValueError, match="from 1 to the model's own"):
        export_litert(learner, tmp_path / "n.tflite", source_length=LENGTH + 1)


class TestStates:
    def test_a_state_comes_back_and_Keras_reads_it(self, runner, shown, tmp_path):
        state = runner.adapt(*shown[:2])
        path = runner.save_state(state, tmp_path / "state.npz")
        np.testing.assert_array_equal(runner.load_state(path), state)
        assert State.load(path).scope == "low_rank" and State.load(path).model == runner.about["model"]
        State.of(state, "low_rank").save(tmp_path / "keras.npz")
        np.testing.assert_array_equal(runner.load_state(tmp_path / "keras.npz"), state)

    def test_another_model_is_refused(self, runner, tmp_path):
        size = runner.about["state_size"]
        for name, values, model in (("size", np.zeros(size - 1), None), ("model", np.zeros(size), "0" * 64)):
            State.of(values, "low_rank").save(tmp_path / name, model)
            with pytest.raises(ValueError, match="another model"):
                runner.load_state(tmp_path / name)
        State.of(np.full(size, np.nan), "low_rank").save(tmp_path / "nan")
        with pytest.raises(ValueError, match="not finite"):
            runner.load_state(tmp_path / "nan")
        State.of(np.zeros(size + 10**5), "low_rank").save(tmp_path / "large")
        with pytest.raises(ValueError, match="larger than a state"):
            runner.load_state(tmp_path / "large")
        with pytest.raises(ValueError, match="not finite"):
            runner.generate(np.zeros((1, 16), "int32"), np.full(size, np.inf))


class TestKits:
    @pytest.mark.parametrize("name", ["litert", "web"])
    def test_the_copies_are_the_ones_that_are_written(self, name):
        copies = {path.name: path.read_bytes() for path in (ROOT / "export" / name).iterdir() if path.is_file()}
        assert copies == kit_files(name), f"cp metagpt_tf/export/kits/{name}/* export/{name}/"

    def test_the_runtime_is_whole_and_names_its_licence(self, tmp_path):
        files = runtime_files()
        assert files["litert_wasm_compat_internal.wasm"][:4] == b"\0asm"
        assert b"Apache License" in files["LICENSE"] and b"Google" in files["NOTICE"]
        assert sum(path.stat().st_size for path in (KITS / "runtime").iterdir()) < 2.2e6
        with pytest.raises(FileNotFoundError, match=r"lacks .*litert\.js"):
            runtime_files(tmp_path)

    def test_the_runner_needs_no_tensorflow_and_answers_alike(self, tmp_path):
        learner = small_learner("low_rank")
        x, y = support(learner.model)
        deployed = deploy_model(learner, "litert", tmp_path, support=(x, y), k_shot=K)
        assert deployed.parity.passed and deployed.litert == tmp_path / "model.tflite"
        names = {"model.tflite", "model.json", "initial.npz", "texts.py", *kit_files("litert")}
        assert {path.name for path in tmp_path.iterdir()} == names
        lines = [json.dumps([f"item {i}", f"ITEM {i}"]) for i in range(K)]
        (tmp_path / "examples.jsonl").write_text("\n".join(lines))
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "runner.py", "examples.jsonl", "item 9"],
            cwd=tmp_path,
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        assert b"tensorflow.python" not in done.stderr and b" keras" not in done.stderr
        state = learner.adapt((x, y))
        assert done.stdout.decode("utf-8", "replace") == learner.model.generate("item 9", state=state)
        np.testing.assert_allclose(State.load(tmp_path / "state.npz"), state, atol=1e-5)
        np.testing.assert_array_equal(State.load(tmp_path / "initial.npz"), learner.layout.initial_state())

    def test_a_rounded_file_begins_with_rounded_weights(self, tmp_path):
        learner = small_learner("all", dim=16)
        deployed = deploy_model(learner, "litert", tmp_path, k_shot=K, quantization="weight_int8")
        runner, first = LiteRTRunner(deployed.litert), learner.layout.initial_state()
        state = runner.load_state(tmp_path / "initial.npz")
        assert 0 < np.abs(state - first).max() < 0.02 and runner.about["quantization"] == "weight_int8"
        report = parity_report(learner, litert={"small": deployed.litert}, support=support(learner.model))
        assert all(row.rounded and row.format.endswith(":small") for row in report.rows) and not report.passed
        assert report.rows[0].difference < 0.2 and "rounded" in str(report)

    def test_its_texts_are_those_of_the_tokenizers(self):
        sys.path.insert(0, str(KITS / "litert"))
        try:
            from texts import Texts
        finally:
            sys.path.pop(0)
        from metagpt_tf.models import MetaGPT

        tokenizer = MetaGPT.from_preset("text_nano").tokenizer
        texts = ["We, the People  of the\nUnited States: 1789!", "naïve Straße ✓ " + "x" * 60, "", "\t\n  a"]
        own = Texts(tokenizer.merges)
        np.testing.assert_array_equal(own.pack(texts, 48), tokenizer.pack(texts, 48))
        assert [own.text(row) for row in tokenizer.pack(texts, 200)] == texts


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"extras": ["smaple"]}, "Unknown extra 'smaple'.*sample"),
            ({"extras": ["draw"]}, "needs autoencoder"),
            ({"target_length": 0}, "from 1 to the model's own"),
        ],
    )
    def test_options(self, learner, tmp_path, options, message):
        with pytest.raises(ValueError, match=message):
            export_litert(learner, tmp_path / "m.tflite", **options)

    def test_a_model_without_texts(self, plain_learner, tmp_path):
        with pytest.raises(ValueError, match="'stream' is of models that generate text"):
            export_litert(plain_learner, tmp_path / "m.tflite", extras=["stream"])
        with pytest.raises(ValueError, match="The page is for models that write"):
            deploy_model(plain_learner, "web", tmp_path / "page")

    def test_what_cannot_be_deployed(self, learner, page, tmp_path):
        with pytest.raises(TypeError, match="give a MetaLearner"):
            deploy_model(learner.model, "litert", tmp_path)
        with pytest.raises(ValueError, match="Leave support out"):
            deploy_model(learner, "litert", tmp_path, support=support(learner.model), quantization="weight_int8")
        with pytest.raises(ValueError, match="has 'code' in that tab"):
            deploy_model(learner, "web", page, "other")
        with pytest.raises(ValueError, match="lower case letters"):
            deploy_model(learner, "web", page, "../up")
        with pytest.raises(ValueError, match="writes 'image'; a model without autoencoder"):
            deploy_model(learner, "web", tmp_path, about={"kind": "image"})

    def test_what_is_asked(self, runner):
        with pytest.raises(ValueError, match="no signature 'predict'"):
            runner.predict(np.zeros((1, 2)), np.zeros(3))
        with pytest.raises(ValueError, match="adapt takes support_x, support_y; received support_x"):
            runner.run("adapt", support_x=np.zeros((4, 16)))
