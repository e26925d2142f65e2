"""The byte tokenizer loses nothing, and its graph does what its Python does."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from metagpt_tf import tokenizers
from metagpt_tf.tokenizers import ByteTokenizer

TOKENIZER = ByteTokenizer()
SOME_TEXTS = ["", "a", "héllo", "日本語", "def f():\n\treturn 1\n", b"\x00\xff\x00", bytes(range(256))]


@given(st.binary())
def test_any_bytes_survive(data: bytes) -> None:
    assert TOKENIZER.decode_bytes(TOKENIZER.encode(data)) == data


@given(st.text())
def test_any_text_survives(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


@settings(deadline=None, max_examples=50)
@given(st.lists(st.binary(max_size=12), min_size=1, max_size=4), st.integers(1, 9))
def test_graph_equals_python(texts: list[bytes], length: int) -> None:
    packed = TOKENIZER.pack(texts, length)
    encoded = TOKENIZER.encode_tensor(tf.constant(texts), length)
    assert encoded.dtype == tf.int32
    np.testing.assert_array_equal(encoded.numpy(), packed)
    assert TOKENIZER.decode_tensor(encoded).numpy().tolist() == [TOKENIZER.decode_bytes(row) for row in packed]


def test_ids_are_bytes_after_three_specials() -> None:
    assert (TOKENIZER.pad_id, TOKENIZER.bos_id, TOKENIZER.eos_id) == (0, 1, 2)
    assert TOKENIZER.vocabulary_size == 259
    assert TOKENIZER.encode(b"\x00\xff") == [3, 258]


def test_pack_ends_pads_and_cuts() -> None:
    packed = TOKENIZER.pack(["ab", "", "abcdef"], length=4)
    assert packed.dtype == np.int32
    assert packed.tolist() == [[100, 101, 2, 0], [2, 0, 0, 0], [100, 101, 102, 2]]
    assert TOKENIZER.pack([], length=4).shape == (0, 4)


def test_pack_refuses_a_long_text_when_told() -> None:
    assert TOKENIZER.pack(["abc"], length=4, truncate=False).tolist() == [[100, 101, 102, 2]]
    with pytest.raises(ValueError, match=r"Text 1 has 4 tokens and needs 5 .* length=4.*truncate=True"):
        TOKENIZER.pack(["abc", "abcd"], length=4, truncate=False)


def test_decoding_stops_at_eos_and_drops_specials() -> None:
    ids = [1, 100, 0, 101, 2, 102]
    assert TOKENIZER.decode(ids) == "ab"
    assert TOKENIZER.decode(np.array(ids)) == TOKENIZER.decode(tf.constant(ids)) == "ab"
    assert TOKENIZER.decode([]) == ""
    assert TOKENIZER.decode_tensor(tf.constant([ids])).numpy().tolist() == [b"ab"]


def test_broken_utf8_is_replaced_not_raised() -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(b"a\xffb")) == "a\ufffdb"


@pytest.mark.parametrize("ids", [[259], [-1], [5, 1000]])
def test_ids_out_of_range(ids: list[int]) -> None:
    with pytest.raises(ValueError, match=rf"id {ids[-1]} is outside \[0, 259\)"):
        TOKENIZER.decode(ids)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"must be in \[0, 259\)"):
        TOKENIZER.decode_tensor(tf.constant([ids]))


def test_wrong_shapes_and_types() -> None:
    with pytest.raises(ValueError, match=r"one axis of integer ids, received shape \(1, 2\)"):
        TOKENIZER.decode([[3, 4]])
    with pytest.raises(ValueError, match="float64"):
        TOKENIZER.decode([3.0])
    with pytest.raises(ValueError, match=r"\(B, T\), received \(2,\)"):
        TOKENIZER.decode_tensor(tf.constant([3, 4]))
    with pytest.raises(ValueError, match=r"\(B,\), received \(\)"):
        TOKENIZER.encode_tensor(tf.constant("text"), 4)
    with pytest.raises(ValueError, match="at least 1"):
        TOKENIZER.pack(["a"], length=0)
    with pytest.raises(ValueError, match="at least 1"):
        TOKENIZER.encode_tensor(tf.constant(["a"]), 0)
    with pytest.raises(TypeError, match="Wrap it"):
        TOKENIZER.pack("text", length=8)
    with pytest.raises(TypeError, match="str or bytes"):
        TOKENIZER.encode(3)


def test_round_trip_inside_a_saved_model(tmp_path) -> None:
    class Echo(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
            ids = TOKENIZER.encode_tensor(text, 300)
            return {"ids": ids, "text": TOKENIZER.decode_tensor(ids)}

    module = Echo()
    tf.saved_model.save(module, str(tmp_path), signatures=module.__call__)
    texts = [text.encode() if isinstance(text, str) else text for text in SOME_TEXTS]
    result = tf.saved_model.load(str(tmp_path)).signatures["serving_default"](tf.constant(texts))
    assert result["text"].numpy().tolist() == texts
    np.testing.assert_array_equal(result["ids"].numpy(), TOKENIZER.pack(texts, 300))


def test_config_round_trip() -> None:
    assert isinstance(ByteTokenizer.from_config(TOKENIZER.get_config()), ByteTokenizer)
    config = keras.saving.serialize_keras_object(TOKENIZER)
    assert isinstance(tokenizers.get(config), ByteTokenizer)
    assert isinstance(tokenizers.get("bytes"), ByteTokenizer)
    assert tokenizers.get(TOKENIZER) is TOKENIZER
    assert tokenizers.registry.names() == ["bpe", "bytes"]


def test_unknown_name_suggests_the_closest() -> None:
    with pytest.raises(ValueError, match="Did you mean 'bytes'"):
        tokenizers.get("byte")
