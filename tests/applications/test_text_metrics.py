"""Figures against values worked out by hand."""

import math
import sys

import numpy as np
import pytest

from metagpt_tf.applications.text_metrics import (
    accuracy,
    bits_per_byte,
    bytes_per_token,
    distinct_n,
    entity_f1,
    exact_match,
    perplexity,
)
from metagpt_tf.applications.translation_metrics import chrf, corpus_bleu
from metagpt_tf.tokenizers import BPETokenizer, ByteTokenizer

AB = BPETokenizer([[100, 101]])  # a + b
CAT = "the cat sat on the mat"


def test_with_bytes_it_is_bits_per_token() -> None:
    assert bits_per_byte(2.5, ByteTokenizer(), ["abc", "é"], length=8) == 2.5
    assert bits_per_byte(2.5, ByteTokenizer(), ["abcdefgh"], length=4) == 2.5  # what was cut off does not count


def test_subwords_are_counted_in_bytes() -> None:
    # ab ab c EOS and ab EOS: six tokens, seven bytes, two end marks.
    texts = ["ababc", "ab"]
    assert bits_per_byte(3.0, AB, texts, length=8) == pytest.approx(3.0 * 6 / 9)
    assert bits_per_byte(3.0, AB, texts, length=8, count_end=False) == pytest.approx(3.0 * 6 / 7)
    assert bits_per_byte(3.0, AB, texts, length=3) == pytest.approx(3.0 * 5 / 8)  # ab ab EOS, ab EOS


def test_a_uniform_model_costs_the_same_with_any_tokenizer() -> None:
    """Total bits are what is compared: sixteen bits in all, however they are cut into tokens."""
    text = "abababab"
    for tokenizer, tokens in ((ByteTokenizer(), 9), (AB, 5)):
        assert bits_per_byte(16 / tokens, tokenizer, [text], 16) == pytest.approx(16 / 9)


def test_bad_ids() -> None:
    with pytest.raises(ValueError, match=r"shape \(N, T\), received \(3,\)"):
        bytes_per_token(AB, [3, 4, 2])
    with pytest.raises(ValueError, match=r"shape \(1, 2\) hold no token"):
        bytes_per_token(AB, [[0, 0]])


def test_perplexity_is_the_number_of_equal_choices() -> None:
    assert perplexity(math.log2(10)) == pytest.approx(10)


@pytest.mark.parametrize(
    ("texts", "n", "expected"),
    [
        (["a b a b"], 1, 2 / 4),
        (["a b a b"], 2, 2 / 3),
        (["a b", "a b"], 2, 1 / 2),
        (["a b", "c a"], 2, 1.0),
        (["a", ""], 2, 0.0),
    ],
)
def test_distinct_n(texts: list[str], n: int, expected: float) -> None:
    assert distinct_n(texts, n) == pytest.approx(expected)


def test_bleu_by_hand() -> None:
    pytest.importorskip("sacrebleu")
    assert corpus_bleu([CAT], [CAT]) == pytest.approx(100)
    # Precisions 4/5, 3/4, 2/3, 1/2; one word short of six: brevity exp(1 − 6/5).
    score = 100 * math.exp(1 - 6 / 5) * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert corpus_bleu(["the cat sat on mats"], ["the cat sat on the mat"]) == pytest.approx(score)
    assert corpus_bleu([CAT, CAT], [["no", CAT], [CAT]]) == pytest.approx(100)


def test_chrf_by_hand() -> None:
    pytest.importorskip("sacrebleu")
    assert chrf([CAT], [CAT]) == pytest.approx(100)
    # One-grams: precision 1, recall 1/2; F with beta 2 is 5 · 1 · ½ / (4 · 1 + ½).
    assert chrf(["ab"], ["abcd"], char_order=1) == pytest.approx(100 * 5 * 0.5 / 4.5)
    assert chrf(["ab"], [["xy", "ab"]]) == pytest.approx(100)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    for metric in (corpus_bleu, chrf):
        with pytest.raises(ImportError, match=r"metagpt_tf\[eval\]"):
            metric(["a"], ["a"])


PERSON, PLACE = ("person", (0, 2)), ("place", (5, 6))


@pytest.mark.parametrize(
    ("predicted", "expected", "scores"),
    [
        ([{PERSON, PLACE}], [{PERSON, PLACE}], (1, 1, 1)),
        ([{PERSON}], [{PERSON, PLACE}], (1, 1 / 2, 2 / 3)),
        ([{PERSON, PLACE}], [{PERSON}], (1 / 2, 1, 2 / 3)),
        ([[PERSON, PERSON]], [[PERSON]], (1, 1, 1)),  # a set
        ([{("place", (0, 2))}], [{PERSON}], (0, 0, 0)),  # right span, wrong type
        ([{("person", (0, 3))}], [{PERSON}], (0, 0, 0)),  # right type, wrong span
        ([{PERSON}, set()], [set(), {PERSON}], (0, 0, 0)),  # right entity, wrong text
        ([{PERSON, PLACE}, {PERSON}], [{PERSON}, {PERSON, PLACE}], (2 / 3, 2 / 3, 2 / 3)),  # micro: 2 of 3, 2 of 3
        ([set()], [set()], (1, 1, 1)),
        ([set()], [{PERSON}], (0, 0, 0)),
        ([{PERSON}], [set()], (0, 0, 0)),
    ],
)
def test_entity_f1(predicted: list, expected: list, scores: tuple[float, float, float]) -> None:
    found = entity_f1(predicted, expected)
    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx(scores)


def test_exact_match_and_accuracy() -> None:
    assert exact_match(["a b", " a b\n", "a  b", "A b"], ["a b"] * 4) == 0.5
    assert accuracy(np.array([1, 2, 3, 4]), [1, 2, 3, 5]) == 0.75


def test_bad_pairs() -> None:
    for metric in (exact_match, accuracy, entity_f1):
        with pytest.raises(ValueError, match="received 2 and 1"):
            metric([["a"], ["b"]], [["a"]])
        with pytest.raises(ValueError, match="at least one"):
            metric([], [])
    with pytest.raises(TypeError, match="expected must be several texts"):
        exact_match(["a"], "a")
    with pytest.raises(TypeError, match="texts must be several texts"):
        distinct_n("a b", 1)
    with pytest.raises(ValueError, match="n must be at least 1"):
        distinct_n(["a b"], 0)


def test_a_text_without_a_reference() -> None:
    pytest.importorskip("sacrebleu")
    with pytest.raises(ValueError, match="Text 1 has no reference"):
        chrf(["a", "b"], ["a", []])
