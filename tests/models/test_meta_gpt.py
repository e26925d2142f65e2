"""MetaGPT as a Keras model: sizes, fit, saving, masks, precision, bad input."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.models import SIZES, MetaGPT

from .conftest import make


def pack(model, texts):
    return model.tokenizer.pack(texts, model.source_length), model.tokenizer.pack(texts, model.target_length)


class TestSizes:
    @pytest.mark.parametrize(("name", "least", "most"), [("nano", 0.8e6, 1e6), ("tiny", 4e6, 6e6)])
    def test_built(self, name, least, most):
        assert least <= MetaGPT.from_preset(name).count_params() <= most

    @pytest.mark.parametrize(("name", "least", "most"), [("small", 55e6, 65e6), ("base", 205e6, 235e6)])
    def test_counted(self, name, least, most):
        """Without building hundreds of megabytes: 28 D² a pair of layers with F = 4 D, in general 12 D² + 4 D F."""
        size = SIZES[name]
        width, hidden, layers = size["dim"], size["hidden_dim"], size["num_layers"]
        assert least <= layers * (12 * width**2 + 4 * width * hidden) + 259 * width <= most

    def test_the_formula_is_right(self):
        size = SIZES["nano"]
        counted = size["num_layers"] * (12 * 128**2 + 4 * 128 * size["hidden_dim"]) + 259 * 128
        assert MetaGPT.from_preset("nano").count_params() == pytest.approx(counted, rel=0.04)

    def test_unknown_name(self):
        with pytest.raises(ValueError, match="Did you mean 'tiny'"):
            MetaGPT.from_preset("tinny")

    def test_overrides(self):
        assert MetaGPT.from_preset("nano", dim=64, num_heads=2).dim == 64


class TestFit:
    def test_arrays_and_datasets_train_alike(self):
        source, target = pack(make(), ["ab", "cde", "f", "gh"])
        weights = []
        for data in ((source, target), (tf.data.Dataset.from_tensors((source, target)),)):
            model = make()
            model.compile(keras.optimizers.SGD(0.1))
            history = model.fit(
                *data, epochs=2, verbose=0, **({"batch_size": 4, "shuffle": False} if len(data) > 1 else {})
            )
            weights.append(model.get_weights())
            assert {"loss", "token_accuracy", "bits_per_token"} == set(history.history)
            assert history.history["loss"][1] < history.history["loss"][0]
        for a, b in zip(*weights, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)

    def test_teacher_forcing_shifts_right(self):
        model = make()
        source, shifted = model.training_inputs(tf.constant([[5, 2]]), tf.constant([[7, 8, 2, 0]]))
        assert shifted.numpy().tolist() == [[1, 7, 8, 2]] and source.numpy().tolist() == [[5, 2]]

    def test_evaluate_equals_the_loss_by_hand(self, model):
        source, target = pack(model, ["ab", "cde"])
        model.compile("adam")
        logits = model(model.training_inputs(tf.constant(source), tf.constant(target)))
        by_hand = float(model.default_loss()(target, logits))
        assert model.evaluate(source, target, verbose=0, return_dict=True)["loss"] == pytest.approx(by_hand, rel=1e-4)

    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
    def test_mixed_precision(self, policy):
        keras.config.set_dtype_policy(policy)
        model = make()
        model.compile("adam")
        source, target = pack(model, ["ab", "cde"])
        history = model.fit(source, target, epochs=2, verbose=0)
        assert np.isfinite(history.history["loss"]).all()
        logits = model(model.training_inputs(source, target))
        assert logits.dtype == tf.float32
        assert isinstance(model.generate("ab", max_length=3), str)

    def test_dropout_is_seeded_and_only_in_training(self):
        source, target = pack(make(), ["ab", "cde"])
        outputs = []
        for _ in range(2):
            model = make(dropout=0.5)
            inputs = model.training_inputs(source, target)
            outputs.append(keras.ops.convert_to_numpy(model(inputs, training=True)))
            still = [keras.ops.convert_to_numpy(model(inputs)) for _ in range(2)]
            np.testing.assert_array_equal(*still)
        np.testing.assert_array_equal(*outputs)
        assert np.abs(outputs[0] - still[0]).max() > 1e-3

    def test_summary(self, model):
        lines = []
        model.summary(print_fn=lines.append)
        assert "encoder" in "\n".join(lines)


def test_padding_and_the_future_are_not_seen(model):
    source, target = pack(model, ["abc", "de"])
    inputs = model.training_inputs(source, target)
    logits = keras.ops.convert_to_numpy(model(inputs))
    short = keras.ops.convert_to_numpy(model((inputs[0][:, :8], inputs[1])))
    np.testing.assert_allclose(short, logits, atol=1e-5)  # only padding was cut off
    later = np.array(inputs[1])
    later[:, 5:] = 77
    changed = keras.ops.convert_to_numpy(model((inputs[0], later)))
    np.testing.assert_allclose(changed[:, :5], logits[:, :5], atol=1e-5)
    assert np.abs(changed[:, 6:] - logits[:, 6:]).max() > 1e-3


@pytest.mark.parametrize(
    "overrides", [{}, {"norm": "post", "activation": "gelu", "positions": "learned"}, {"tie_embeddings": False}]
)
def test_a_keras_file_opens_in_another_process(overrides, tmp_path):
    model = make(**overrides)
    path, expected = tmp_path / "model.keras", tmp_path / "expected.npy"
    model.save(path)
    source, target = pack(model, ["abc"])
    np.save(expected, keras.ops.convert_to_numpy(model(model.training_inputs(source, target))))
    code = (
        "import keras, numpy as np, metagpt_tf.models\n"
        f"model = keras.models.load_model({str(path)!r})\n"
        "pack = model.tokenizer.pack\n"
        "inputs = model.training_inputs(pack(['abc'], model.source_length), pack(['abc'], model.target_length))\n"
        f"np.testing.assert_allclose(keras.ops.convert_to_numpy(model(inputs)), np.load({str(expected)!r}), atol=1e-6)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]


class TestBadInput:
    def test_call_needs_a_pair(self, model):
        with pytest.raises(ValueError, match="called with"):
            model(tf.ones((1, 4), tf.int32))

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            (np.full((1, 4), 300, "int32"), "received values from 300 to 300"),
            (np.full((1, 4), -1, "int32"), "received values from -1"),
            (np.ones((1, 99), "int32"), r"received shape \(1, 99\).*source_length=99"),
            (np.ones((4,), "int32"), r"received shape \(4,\)"),
            (np.ones((1, 4), "float32"), "dtype float32"),
        ],
    )
    def test_fit_names_what_is_wrong(self, model, source, message):
        model.compile("adam")
        with pytest.raises(ValueError, match=message):
            model.fit(source, np.ones((1, 4), "int32"), verbose=0)

    def test_heads_must_divide_the_width(self):
        with pytest.raises(ValueError, match="divi"):
            make(dim=30, num_heads=4)

    def test_unknown_tokenizer(self):
        with pytest.raises(ValueError, match="Did you mean 'bytes'"):
            make(tokenizer="byte")
