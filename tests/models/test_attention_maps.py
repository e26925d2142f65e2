"""The maps are the weights that the layers used."""

import keras
import numpy as np
import pytest

from metagpt_tf.fast_weights import FastWeights
from metagpt_tf.models import MetaGPT, attention_maps, attention_tokens
from metagpt_tf.models.attention_maps import attention_layers, recorded
from metagpt_tf.tokenizers import BPETokenizer

from .conftest import SIZES, make_writer

SOURCE, TARGET = "ab cde", "hgf"
S, T, C = 7, 4, 4  # with the end marks


def test_names_shapes_and_rows(writer) -> None:
    maps = attention_maps(writer, SOURCE, TARGET)
    shapes = {"encoder/{}/self": (2, S + C, S + C), "decoder/{}/self": (2, T, T), "decoder/{}/cross": (2, T, S + C)}
    expected = {name.format(i): shape for name, shape in shapes.items() for i in range(2)}
    assert {name: weights.shape for name, weights in maps.items()} == expected
    for weights in maps.values():
        assert weights.dtype == np.float32
        np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-5)
    for layer in range(2):
        assert np.triu(maps[f"decoder/{layer}/self"], 1).max() == 0.0  # no step looks ahead


def test_weights_times_values_give_the_layers_output(writer) -> None:
    """Each layer is called again with what it was given: its output must follow from the map and its own values."""
    inputs, layers = {}, attention_layers(writer)
    given = keras.layers.Layer.__call__

    def noting(layer, *args, **kwargs):
        output = given(layer, *args, **kwargs)
        names = [name for name, known in layers.items() if known is layer]
        if names:
            inputs[names[0]] = (*args, None)[:2], output
        return output

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.layers.Layer, "__call__", noting)
        maps = attention_maps(writer, SOURCE, TARGET)
    assert set(inputs) == set(maps) == set(layers)
    for name, ((query, memory), output) in inputs.items():
        layer = layers[name]
        _, values = layer.project_memory(query if memory is None else memory)
        mixed = (maps[name] @ np.asarray(values)[0]).transpose(1, 0, 2).reshape(len(output[0]), -1)
        np.testing.assert_allclose(layer.output_projection(mixed), output[0], rtol=1e-3, atol=1e-3)


def test_it_shows_an_adapted_model(writer) -> None:
    layout = FastWeights(writer, "low_rank")
    before = attention_maps(writer, SOURCE, TARGET)
    with keras.StatelessScope(state_mapping=layout.mapping(np.full(layout.size, 0.3, "float32"))):
        after = attention_maps(writer, SOURCE, TARGET)
    assert np.abs(before["encoder/0/self"] - after["encoder/0/self"]).max() > 0.01
    np.testing.assert_array_equal(attention_maps(writer, SOURCE, TARGET)["encoder/0/self"], before["encoder/0/self"])


def test_layers_are_as_before_even_after_an_error(writer) -> None:
    layers = attention_layers(writer)
    with pytest.raises(RuntimeError, match="stop"), recorded(layers):
        raise RuntimeError("stop")
    assert all("attend" not in vars(layer) for layer in layers.values())
    assert writer.generate("abc", max_length=3, jit_compile=False) is not None


@pytest.mark.parametrize("options", [{"norm": "post"}, {"dtype": "mixed_float16"}, {"context_tokens": 0}])
def test_other_models(options: dict) -> None:
    model = make_writer(num_layers=1, **options)
    maps = attention_maps(model, SOURCE, TARGET)
    np.testing.assert_allclose(maps["decoder/0/cross"].sum(-1), 1.0, atol=3e-3)
    tokens = attention_tokens(model, SOURCE, TARGET)
    assert maps["decoder/0/cross"].shape[1:] == (len(tokens.target), len(tokens.source))


def test_labels_can_be_read() -> None:
    model = MetaGPT(BPETokenizer([[100, 101], [35, 259]]), **{**SIZES, "context_tokens": 1})
    tokens = attention_tokens(model, "ab ab\n", "é")
    assert tokens.source == ["ab", "␣ab", "\\n", "<eos>", "<context 0>"]
    assert tokens.target == ["<bos>", "\\xc3", "\\xa9"]


def test_a_text_that_is_too_long(writer) -> None:
    with pytest.raises(ValueError, match=r"source has 31 tokens with its end mark, .* source_length is 24"):
        attention_maps(writer, "x" * 30, TARGET)
    with pytest.raises(ValueError, match="target has 31 tokens"):
        attention_tokens(writer, SOURCE, "x" * 30)
