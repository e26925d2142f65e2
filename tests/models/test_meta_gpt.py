"""The model's shape: sizes, configuration, and what a forward pass may and may not see."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.models import SIZES as PRESETS
from metagpt_tf.models import MetaGPT

from .conftest import SIZES, make_writer, randomise


def parameters(
    dim: int, num_layers: int, hidden_dim: int, rank: int = 4, context: int = 4, vocabulary: int = 259, **_: object
) -> int:
    """The number of parameters from the architecture alone."""
    attention = 4 * (dim * dim + dim) + 2 * 2 * dim * rank
    feed_forward = 2 * dim * hidden_dim + hidden_dim + dim
    norm = 2 * dim
    encoder = num_layers * (attention + feed_forward + 2 * norm) + norm
    decoder = num_layers * (2 * attention + feed_forward + 3 * norm)
    return vocabulary * dim + context * dim + encoder + decoder + norm + vocabulary


@pytest.mark.parametrize(
    ("preset", "least", "most"),
    [("nano", 0.5e6, 1e6), ("tiny", 4e6, 6e6), ("small", 55e6, 65e6), ("base", 205e6, 235e6)],
)
def test_presets_have_their_size(preset: str, least: float, most: float):
    assert least <= parameters(**PRESETS[preset]) <= most


@pytest.mark.parametrize("preset", ["nano", "tiny", pytest.param("base", marks=pytest.mark.slow)])
def test_parameters_are_counted_right(preset: str):
    assert MetaGPT.from_preset(preset).count_params() == parameters(**PRESETS[preset])


def test_preset_with_overrides():
    model = MetaGPT.from_preset("nano", num_layers=1, dropout=0.2, source_length=7)
    assert (model.dim, model.num_layers, model.dropout, model.source_length) == (128, 1, 0.2, 7)
    assert PRESETS["nano"]["num_layers"] == 2  # the preset itself stays


def test_logits_are_float32_of_the_vocabulary(writer, ids):
    logits = writer(writer.training_inputs(*ids))
    assert logits.shape == (8, 20, 259) and logits.dtype == tf.float32


def test_training_inputs_shift_the_target(writer, ids):
    source, decoder_input = writer.training_inputs(*ids)
    assert source is ids[0]
    np.testing.assert_array_equal(decoder_input[:, 1:], ids[1][:, :-1])
    assert set(np.asarray(decoder_input)[:, 0]) == {writer.tokenizer.bos_id}


def test_a_token_does_not_see_the_tokens_after_it(writer, ids):
    source, target = writer.training_inputs(*ids)
    other = np.array(target)
    other[:, 7:] = 50
    first, second = (np.asarray(writer((source, t))) for t in (target, other))
    np.testing.assert_allclose(first[:, :7], second[:, :7], atol=1e-4)
    assert np.abs(first[:, 7] - second[:, 7]).max() > 1e-2


def test_padding_of_the_source_changes_nothing(writer, ids):
    source, target = ids
    used = 12
    short = source[:4]  # the four short texts
    assert (short[:, used:] == 0).all()
    wide, narrow = (np.asarray(writer((s, target[:4]))) for s in (short, short[:, :used]))
    np.testing.assert_allclose(wide, narrow, atol=1e-4)
    assert np.abs(np.asarray(writer((short[:, :2], target[:4]))) - wide).max() > 1e-2


def test_dynamic_shapes_give_the_same_logits(writer, ids):
    inputs = writer.training_inputs(*ids)
    spec = tf.TensorSpec((None, None), tf.int32)
    run = tf.function(lambda s, t: writer((s, t)), input_signature=[spec, spec], autograph=False)
    np.testing.assert_allclose(run(*inputs), writer(inputs), atol=1e-3)  # of about 60


@pytest.mark.parametrize(
    "arguments",
    [
        {"tie_embeddings": False, "positions": "learned"},
        {"norm": "post", "activation": "gelu", "low_rank": 0},
        {"context_tokens": 0, "dropout": 0.3},
    ],
    ids=str,
)
def test_every_form_is_rebuilt_from_its_config(arguments: dict, ids):
    model = randomise(MetaGPT(**SIZES, **arguments, name="some"))
    twin = MetaGPT.from_config(model.get_config())
    assert twin.get_config() == model.get_config()
    twin.set_weights(model.get_weights())
    np.testing.assert_array_equal(twin(twin.training_inputs(*ids)), model(model.training_inputs(*ids)))


def test_summary_lists_the_parts():
    lines: list[str] = []
    MetaGPT(**SIZES).summary(print_fn=lines.append)
    for part in ("embedding", "context", "encoder", "decoder", "head"):
        assert part in "\n".join(lines)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy: str, ids, writer):
    model = make_writer(dtype=policy)
    logits = model(model.training_inputs(*ids))
    assert model.compute_dtype == policy.removeprefix("mixed_") and logits.dtype == tf.float32
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    exact = np.asarray(writer(writer.training_inputs(*ids)))
    # By values: the greatest of untrained logits lie so close together that rounding decides between them.
    error = np.linalg.norm(np.asarray(logits) - exact) / np.linalg.norm(exact)
    assert error < 0.03
    assert MetaGPT.from_config(model.get_config()).dtype_policy.name == policy
    assert isinstance(model.generate("abc", max_length=3), str)


def test_weights_are_determined_by_the_seed():
    def weights(seed: int) -> np.ndarray:
        keras.utils.set_random_seed(seed)
        return np.concatenate([w.ravel() for w in MetaGPT(**SIZES).get_weights()])

    first = weights(1)
    np.testing.assert_array_equal(first, weights(1))
    assert (first != weights(2)).mean() > 0.5


def test_building_twice_is_harmless():
    model = MetaGPT(**SIZES)
    before = model.get_weights()
    model.build((None, 24))
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
