"""Cleaning changes what it says and nothing else, and a second time nothing at all."""

import sys
import types
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metagpt_tf.tokenizers import ByteTokenizer, clean_text, frequent_words, remove_stop_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Cafe\u0301", "Café"),
        ("e\x00\u0301", "é"),
        ("\ufeffa\x07b\x7f", "ab"),
        ("a \t\u00a0 b  ", "a b"),
        (" a \r\n\r\n\n\n b\x0cc", "a\n\nb\nc"),
        ("a\ud800b", "ab"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_clean_text(text: str, expected: str) -> None:
    assert clean_text(text) == expected


def test_lines_case_and_tags_are_options() -> None:
    assert clean_text("A\nB", keep_lines=False) == "A B"
    assert clean_text("İA", lower=True) == unicodedata.normalize("NFC", "İa".lower())
    html = "<h1>Tea &amp; milk</h1><p>a<br>b<script>x = '<p>'</script><!-- no --> <b>c</b></p><style>p {}</style>"
    assert clean_text(html, strip_html=True) == "Tea & milk\n\na\nb c"
    assert clean_text("1 < 2 & <b>3</b>") == "1 < 2 & <b>3</b>"
    assert clean_text("1 < 2 & 3 > 2", strip_html=True) == "1 < 2 & 3 > 2"


@given(st.text(), st.booleans(), st.booleans())
def test_cleaning_twice_is_cleaning_once(text: str, lower: bool, keep_lines: bool) -> None:
    once = clean_text(text, lower=lower, keep_lines=keep_lines)
    assert clean_text(once, lower=lower, keep_lines=keep_lines) == once
    assert unicodedata.is_normalized("NFC", once) and "  " not in once


@given(st.text(st.characters(codec=None, categories=("L", "N", "P", "Zs", "Cs", "Cc"))))
def test_clean_text_can_be_encoded(text: str) -> None:
    tokenizer = ByteTokenizer()
    assert tokenizer.decode(tokenizer.encode(clean_text(text))) == clean_text(text)


def test_stop_words_go_whatever_their_case() -> None:
    words = ["the", "on", "don't"]
    assert remove_stop_words("The cat sat on the other mat.", stop_words=words) == "cat sat other mat."
    assert remove_stop_words("I don't\nthe end, the", stop_words=words) == "I\nend,"
    assert remove_stop_words("Straße STRASSE", stop_words=["straße"], extra=()) == ""
    assert remove_stop_words("  as it stood", stop_words=[]) == "  as it stood"
    assert remove_stop_words("a b c", stop_words=["a"], extra=["c"]) == "b"


def test_a_language_is_looked_up_in_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    package = types.ModuleType("stop_words")
    package.AVAILABLE_LANGUAGES, package.LANGUAGE_MAPPING = ["english", "german"], {"en": "english"}
    package.get_stop_words = lambda language: {"german": ["und"], "en": ["and"]}[language]
    monkeypatch.setitem(sys.modules, "stop_words", package)
    assert remove_stop_words("Hund und Katze", "german") == "Hund Katze"
    assert remove_stop_words("dog and cat", "en") == "dog cat"
    with pytest.raises(ValueError, match="Did you mean 'german'"):
        remove_stop_words("x", "germany")


def test_the_real_package_has_english() -> None:
    pytest.importorskip("stop_words")
    assert remove_stop_words("This is the house of our friends") == "house friends"


def test_without_a_list_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stop_words", None)
    with pytest.raises(ImportError, match=r"metagpt_tf\[text\]"):
        remove_stop_words("the cat")


def test_frequent_words_of_ones_own_texts() -> None:
    texts = ["the cat and the dog", "The bird", "a bird and THE fish"]
    assert frequent_words(texts, 0.6) == ["the", "and", "bird"]
    assert remove_stop_words(texts[0], stop_words=frequent_words(texts, 1.0)) == "cat and dog"


def test_bad_input() -> None:
    with pytest.raises(TypeError, match="received bytes"):
        clean_text(b"a")
    with pytest.raises(TypeError, match=r"Use \['the'\]"):
        remove_stop_words("the cat", stop_words="the")
    with pytest.raises(TypeError, match="Wrap it"):
        frequent_words("the cat")
    with pytest.raises(ValueError, match="no texts"):
        frequent_words([])
    with pytest.raises(ValueError, match="received 1.5"):
        frequent_words(["a"], 1.5)
