"""Subwords lose nothing, agree in Python, in a graph and with the library that learned them, and travel in files."""

import json
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from metagpt_tf import tokenizers
from metagpt_tf.models import MetaGPT
from metagpt_tf.saving import load_model
from metagpt_tf.tokenizers import BPETokenizer, ByteTokenizer
from metagpt_tf.tokenizers.words import LONGEST_WORD, split_words, split_words_tensor

TEXTS = [
    "the cat sat on the mat, and the other cat sat there too.",
    "def add(first, second):\n    total = first + second\n    return total\n",
    "été, là-bas — 日本語 日本 123 1234 12",
    "the the the  there\n\n\tother   ",
]
# Merges by hand, so that most tests need no library: th, the, ␣the, at, cat, ␣␣, 日 in two steps.
MERGES = [[119, 107], [259, 104], [35, 260], [100, 119], [102, 262], [35, 35], [233, 154], [265, 168]]
HAND = BPETokenizer(MERGES)
BYTE_TEXTS = st.lists(st.binary(max_size=40), min_size=1, max_size=4)
# Few letters, so that merges and runs of blanks are frequent.
DENSE_TEXTS = st.lists(st.text(" \n\ttheca1.日é", max_size=70), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def trained() -> BPETokenizer:
    pytest.importorskip("tokenizers")
    return BPETokenizer.train(TEXTS * 3, vocabulary_size=330)


def check_graph(tokenizer: BPETokenizer, texts: list[bytes], length: int) -> None:
    packed = tokenizer.pack(texts, length)
    encoded = tokenizer.encode_tensor(tf.constant(texts, tf.string), length)
    assert encoded.dtype == tf.int32
    np.testing.assert_array_equal(encoded.numpy(), packed)
    assert tokenizer.decode_tensor(encoded).numpy().tolist() == [tokenizer.decode_bytes(row) for row in packed]


@given(st.binary())
def test_any_bytes_survive(data: bytes) -> None:
    assert HAND.decode_bytes(HAND.encode(data)) == data
    assert b"".join(split_words(data)) == data


@pytest.mark.parametrize("texts", [BYTE_TEXTS, DENSE_TEXTS], ids=["bytes", "dense"])
def test_graph_equals_python(texts: st.SearchStrategy) -> None:
    @settings(deadline=None, max_examples=60)
    @given(texts, st.integers(1, 24))
    def check(drawn: list[str | bytes], length: int) -> None:
        check_graph(HAND, [text.encode() if isinstance(text, str) else text for text in drawn], length)

    check()


@settings(deadline=None, max_examples=60)
@given(DENSE_TEXTS)
def test_words_are_the_same_in_a_graph(texts: list[str]) -> None:
    found = split_words_tensor(tf.constant([text.encode() for text in texts]), 10**6)
    words = [(index, word) for index, text in enumerate(texts) for word in split_words(text.encode())]
    expected = [(value, number, index) for number, (index, word) in enumerate(words) for value in word]
    assert list(zip(*(part.numpy().tolist() for part in found), strict=True)) == expected


def test_earliest_merge_first_then_leftmost() -> None:
    assert HAND.encode("the the") == [260, 261]
    assert HAND.encode("cat that") == [263, 35, 259, 262]
    # aa, then aa + a: four letters are two pairs, five leave one that joins.
    runs = BPETokenizer([[100, 100], [259, 100]])
    assert [runs.encode("a" * n) for n in (2, 3, 4, 5)] == [[259], [260], [259, 259], [259, 260]]


def test_two_merges_may_make_one_piece() -> None:
    tokenizer = BPETokenizer([[100, 101], [101, 102], [259, 102], [100, 260]])  # ab, bc, ab + c, a + bc
    assert tokenizer.vocabulary_size == 262
    assert tokenizer.encode("abc") == [261]
    check_graph(tokenizer, [b"abc", b"bc abc"], 6)


def test_words_are_runs_with_the_space_before() -> None:
    assert split_words(b"a  b\n\n c1!? ") == [b"a", b" ", b" b", b"\n\n", b" c", b"1", b"!?", b" "]
    assert split_words(b"\n\tx") == [b"\n", b"\t", b"x"]
    long = split_words(b"=" * (2 * LONGEST_WORD + 1))
    assert [len(word) for word in long] == [LONGEST_WORD, LONGEST_WORD, 1]


def test_a_long_text_is_cut_as_pack_cuts_it() -> None:
    texts = [b"the cat " * 400, b"=" * 500, b"", "日本".encode() * 200]
    for length in (1, 2, 37):
        check_graph(HAND, texts, length)


def test_it_agrees_with_the_library_that_learned_it(trained: BPETokenizer) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    from metagpt_tf.tokenizers.bpe_training import _shifted

    name = lambda piece: "".join(chr(0x100 + value) for value in piece)  # noqa: E731
    names = [f"<{i}>" for i in range(3)] + [name(piece) for piece in trained.pieces[3:]]
    pairs = [(names[left], names[right]) for left, right in trained.merges]
    theirs = Tokenizer(models.BPE(vocab={n: i for i, n in enumerate(names)}, merges=pairs))
    theirs.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    texts = [*TEXTS, "another cat returned to that mat: 日本 12345", "aaaa  tttt\n    firsts"]
    assert [trained.encode(text) for text in texts] == [theirs.encode(s).ids for s in _shifted(texts)]
    check_graph(trained, [text.encode() for text in texts], 40)


def test_training_is_exact_and_repeatable(trained: BPETokenizer) -> None:
    assert trained.vocabulary_size == 330
    assert BPETokenizer.train(iter(TEXTS * 3), vocabulary_size=330).merges == trained.merges
    assert b" the" in trained.pieces and len(set(trained.pieces)) == 328  # the three specials are one empty piece
    text = TEXTS[0]
    assert len(trained.encode(text)) < 0.5 * len(ByteTokenizer().encode(text))


def test_a_file_carries_the_tokenizer(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"source_length": 12, "target_length": 8, "dim": 8, "num_heads": 2, "num_layers": 1}
    model = MetaGPT(HAND, **sizes)
    model.save(tmp_path / "m.keras")
    monkeypatch.setitem(sys.modules, "tokenizers", None)  # loading and encoding need no library
    twin = load_model(tmp_path / "m.keras")
    assert twin.tokenizer.get_config() == HAND.get_config()
    assert twin.embedding.vocabulary_size == HAND.vocabulary_size == 267
    ids = twin.tokenizer.pack(["the cat"], 8)
    inputs = model.training_inputs(ids, ids)
    np.testing.assert_array_equal(twin(inputs), model(inputs))
    assert twin.generate("the cat", max_length=3, jit_compile=False) == model.generate(
        "the cat", max_length=3, jit_compile=False
    )
    with pytest.raises(ImportError, match=r"metagpt_tf\[bpe\]"):
        BPETokenizer.train(TEXTS, vocabulary_size=300)


def test_config_is_plain_json() -> None:
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(HAND)))
    assert tokenizers.get(config).pieces == HAND.pieces
    assert tokenizers.get("bpe", merges=MERGES).encode("the") == [260]


def test_round_trip_inside_a_saved_model(tmp_path) -> None:
    class Echo(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
            ids = HAND.encode_tensor(text, 80)
            return {"ids": ids, "text": HAND.decode_tensor(ids)}

    module = Echo()
    tf.saved_model.save(module, str(tmp_path), signatures=module.__call__)
    signature = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    texts = [text.encode() for text in TEXTS] + [b"", b"\x00\xff"]
    result = signature(tf.constant(texts))
    assert result["text"].numpy().tolist() == texts
    np.testing.assert_array_equal(result["ids"].numpy(), HAND.pack(texts, 80))
    assert signature(tf.constant([], tf.string))["ids"].shape == (0, 80)


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        ([], "no merges.*BPETokenizer.train"),
        ([[100, 300]], r"Merge 0 joins the ids \[100, 300\], expected ids from 3 to 258"),
        ([[2, 100]], "expected ids from 3"),
        ([[100, 101], [100, 101]], r"\[100, 101\] comes twice"),
        ([[100]], r"Merge 0 must be a pair of ids .* received \[100\]"),
        (["ab"], "received 'ab'"),
        ([[1.5, 2.0]], "Merge 0 must be a pair"),
    ],
)
def test_bad_merges(merges: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BPETokenizer(merges)


def test_bad_training_input(trained: BPETokenizer) -> None:
    with pytest.raises(ValueError, match=r"must be above 259; received 259"):
        BPETokenizer.train(TEXTS, vocabulary_size=259)
    with pytest.raises(TypeError, match="Wrap it"):
        BPETokenizer.train("text", vocabulary_size=300)
    with pytest.raises(ValueError, match=r"give 2 pieces .* lower vocabulary_size by 39"):
        BPETokenizer.train(["the", "the"], vocabulary_size=300)
    with pytest.raises(ValueError, match="give 0 pieces"):
        BPETokenizer.train([], vocabulary_size=300)
    with pytest.raises(ValueError, match=r"\(B,\), received \(\)"):
        HAND.encode_tensor(tf.constant("text"), 4)
