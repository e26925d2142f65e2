"""Running text becomes chunks that lie side by side and make episodes."""

import numpy as np
import pytest

from metagpt_tf.datasets import load_authors, load_languages
from metagpt_tf.tasks import TextTasks, check_episode, text_chunks, token_chunks
from metagpt_tf.tasks.continuation import TOKENS_BACK
from metagpt_tf.tokenizers import BPETokenizer


def one(texts: list[str], **arguments: object) -> list[tuple[str, str]]:
    """The chunks of a single task."""
    return text_chunks({"meta_train": {"task": texts}}, **arguments)["meta_train"]["task"]


def test_chunks_follow_one_another_and_leave_nothing_between() -> None:
    text = "".join(chr(97 + n % 26) for n in range(1000))
    chunks = one([text], source_bytes=10, target_bytes=7)
    assert len(chunks) == 1000 // 17
    assert "".join(prefix + continuation for prefix, continuation in chunks) == text[: 17 * (1000 // 17)]
    assert {(len(prefix), len(continuation)) for prefix, continuation in chunks} == {(10, 7)}


def test_cuts_are_between_characters() -> None:
    text = "aé漢😀" * 50
    chunks = one([text], source_bytes=9, target_bytes=6)
    whole = "".join(prefix + continuation for prefix, continuation in chunks)
    assert text.startswith(whole) and len(text) - len(whole) < 15
    for prefix, continuation in chunks:
        assert 6 <= len(prefix.encode()) <= 9 and 3 <= len(continuation.encode()) <= 6


def test_texts_are_joined_or_cut_by_themselves() -> None:
    assert one(["abcdef", "ghijkl"], source_bytes=4, target_bytes=4) == [("abcd", "ef\ng")]
    assert one(["abcdefgh", "ijklmnopq"], source_bytes=4, target_bytes=4, join=None) == [
        ("abcd", "efgh"),
        ("ijkl", "mnop"),
    ]
    assert one(["abcd", "efgh"], source_bytes=4, target_bytes=4, join="") == [("abcd", "efgh")]


def test_a_text_that_fills_its_last_chunk_exactly() -> None:
    assert one(["abcdefgh" * 2], source_bytes=4, target_bytes=4) == [("abcd", "efgh")] * 2
    assert one(["éééé"], source_bytes=4, target_bytes=4) == [("éé", "éé")]


def test_small_tasks() -> None:
    texts = {"meta_train": {"small": ["abc"], "large": ["abcdefgh"]}, "meta_test": {"none": ["a"]}}
    with pytest.raises(
        ValueError, match=r"Task 'small' of 'meta_train' has texts of \[3\] bytes.*4 \+ 4.*on_small='drop'"
    ):
        text_chunks(texts, 4, 4)
    assert text_chunks(texts, 4, 4, on_small="drop") == {
        "meta_train": {"large": [("abcd", "efgh")]},
        "meta_test": {},
    }


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="target_bytes must be at least 4, room for one character, received 3"):
        one(["abc"], target_bytes=3)
    with pytest.raises(ValueError, match="on_small must be 'error' or 'drop', received 'skip'"):
        one(["abc"], on_small="skip")
    with pytest.raises(TypeError, match=r"text_chunks\(\) takes a list of texts.*'task' is \[\('a', 'b'\)\]"):
        text_chunks({"meta_train": {"task": [("a", "b")]}})
    with pytest.raises(TypeError, match="of str"):
        text_chunks({"meta_train": {"task": "one text"}})


def test_episodes_of_authors_draw_different_places() -> None:
    texts = {
        "meta_test": {name: load_authors()["meta_test"][name][:1] for name in ("Abraham Lincoln", "Ronald Reagan")}
    }
    chunks = text_chunks(texts, source_bytes=32, target_bytes=48)
    tasks = TextTasks.from_pairs(chunks, "bytes", source_length=33, target_length=49)
    episode = next(iter(tasks.as_dataset(meta_batch_size=2, k_shot=8, n_query=8, seed=3)))
    check_episode(episode)
    assert episode.support_x.shape == (2, 8, 33) and episode.query_y.shape == (2, 8, 49)
    decode = tasks.tokenizer.decode
    for task in range(2):
        rows = [*zip(episode.support_x[task], episode.support_y[task], strict=True)]
        rows += zip(episode.query_x[task], episode.query_y[task], strict=True)
        pairs = [(decode(x), decode(y)) for x, y in rows]
        assert len(set(pairs)) == 16
        assert any(set(pairs) <= set(found) for found in chunks["meta_test"].values())
    assert np.all(episode.support_x[..., -1] == tasks.tokenizer.eos_id)  # a prefix fills its row, nothing is cut off


def test_every_language_gives_chunks_enough() -> None:
    chunks = text_chunks(load_languages(), source_bytes=64, target_bytes=64)
    sizes = [len(pairs) for tasks in chunks.values() for pairs in tasks.values()]
    assert len(sizes) == 437 and min(sizes) >= 32


class TestTokenChunks:
    tokenizer = BPETokenizer.train(["the cat sat on the mat and the dog lay under the table " * 20], 280)

    def cut(self, text: str, source: int = 16, target: int = 24, **options: object) -> list[tuple[str, str]]:
        return token_chunks({"meta_train": {"task": [text]}}, self.tokenizer, source, target, **options)["meta_train"][
            "task"
        ]

    def test_parts_follow_one_another_fill_the_lengths_and_end_with_words(self) -> None:
        text = " ".join(f"the cat sat on table {n} under the dog" for n in range(60))
        chunks = self.cut(text)
        assert text.startswith("".join(map("".join, chunks)))
        for prefix, continuation in chunks:
            for part, size in ((prefix, 16), (continuation, 24)):
                assert size - TOKENS_BACK <= len(self.tokenizer.encode(part)) <= size
        assert all(part.startswith(" ") for chunk in chunks[1:] for part in chunk)

    def test_text_without_blanks_is_cut_between_characters(self) -> None:
        text = "漢字仮名交じり文" * 60 + "é😀" * 100
        chunks = self.cut(text)
        assert text.startswith("".join(map("".join, chunks)))
        assert min(len(part.encode()) for chunk in chunks for part in chunk) >= 16 - TOKENS_BACK
        for size in (63, 79):  # words of 48 bytes begin elsewhere when a part is read by itself
            assert all(len(self.tokenizer.encode(part)) <= size for pair in self.cut(text, size, size) for part in pair)

    def test_tokens_that_join_parts_of_characters(self) -> None:
        joins = BPETokenizer([[0x82 + 3, 0xE3 + 3]])  # the tail of one character and the head of the next
        texts = {"meta_train": {"task": ["あ" * 200]}}
        with pytest.raises(ValueError, match="No character ends within 12 tokens"):
            token_chunks(texts, joins, 12, 12)

    def test_small_tasks_and_sizes(self) -> None:
        with pytest.raises(ValueError, match=r"needs 16 \+ 24 tokens"):
            self.cut("the cat")
        with pytest.raises(ValueError, match="source_tokens must be at least 4"):
            self.cut("the cat", source=3)
        assert all(part for chunk in self.cut("the cat sat on the mat " * 9, source=4, target=5) for part in chunk)
        assert token_chunks({"meta_train": {"task": ["a"]}}, self.tokenizer, on_small="drop") == {"meta_train": {}}
