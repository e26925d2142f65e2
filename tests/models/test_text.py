"""From tokens to pieces of text: whole characters only, nothing shown that may still become a stop string."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metagpt_tf.models.text_generation import cut, pieces, scope_sizes
from metagpt_tf.tokenizers import ByteTokenizer

TOKENIZER = ByteTokenizer()
EOS = TOKENIZER.eos_id


def streamed(ids: list[int], stop: tuple[str, ...] = ()) -> list[str]:
    return list(pieces(TOKENIZER, iter(ids), stop))


def test_a_piece_is_a_whole_character():
    assert streamed(TOKENIZER.encode("aé𝄞z")) == ["a", "é", "𝄞", "z"]


@pytest.mark.parametrize("end", [[], [EOS], [EOS, 0, 0], [0, EOS, 99]])
def test_a_broken_character_at_the_end_shows_as_in_a_decoded_text(end: list[int]):
    ids = [*TOKENIZER.encode("aé")[:-1], *end]
    assert "".join(streamed(ids)) == TOKENIZER.decode(ids) == "a\ufffd"


def test_what_may_become_a_stop_string_is_held_back():
    shown = streamed(TOKENIZER.encode("ab--cd---ef"), ("---",))
    assert "".join(shown) == "ab--cd"
    assert not any("---".startswith(piece) and piece for piece in shown[-1:])


def test_nothing_is_left_out_when_no_stop_string_comes():
    assert "".join(streamed(TOKENIZER.encode("ab--"), ("---",))) == "ab--"
    assert streamed([], ("---",)) == [] and streamed([EOS]) == []


@given(st.lists(st.integers(0, 258), max_size=30))
def test_pieces_of_any_tokens_join_to_the_decoded_text(ids: list[int]):
    assert "".join(streamed(ids)) == TOKENIZER.decode(ids)


@given(st.text("ab", max_size=20), st.text("ab", min_size=1, max_size=4))
def test_pieces_end_where_the_text_is_cut(text: str, stop: str):
    assert "".join(streamed(TOKENIZER.encode(text), (stop,))) == cut(text, (stop,))


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("abc", (), "abc"),
        ("abcb", ("b",), "a"),
        ("abc", ("c", "b"), "a"),
        ("abc", ("x",), "abc"),
        ("abc", ("abc",), ""),
    ],
)
def test_cut(text: str, stop: tuple[str, ...], expected: str):
    assert cut(text, stop) == expected


def test_scope_sizes_name_what_the_model_has(writer):
    sizes = scope_sizes(writer)
    assert set(sizes) == {"all", "head", "norm_bias", "low_rank", "context"}
    assert sizes["all"] == writer.count_params() and sizes["context"] == 4 * writer.dim
