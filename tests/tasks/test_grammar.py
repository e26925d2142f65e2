"""Invented languages: what sentences mean, that the support explains them, and that queries are new."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.datasets import SPLITS
from metagpt_tf.tasks import Episode, check_episode
from metagpt_tf.tasks.grammar import COLOURS, WORDS, Grammars, exact_match, language

SEEDS = [tf.constant([seed, 5]) for seed in range(12)]


def decoded(texts: Any) -> list[list[str]]:
    """Sentences and answers as Python text."""
    return [[text.decode() for text in side.numpy().tolist()] for side in texts]


def read(sentence: str, grammar: dict[str, str]) -> str:
    """An interpreter written another way: find the binary function, then read both sides."""
    words = sentence.split()
    for place, word in enumerate(words):
        if grammar[word] in ("surround", "alternate"):
            u, v = read(" ".join(words[:place]), grammar), read(" ".join(words[place + 1 :]), grammar)
            return u + v + u + (v if grammar[word] == "alternate" else "")
    meanings = [grammar[word] for word in words]
    return meanings[0] * 3 if meanings[1:] == ["thrice"] else meanings[0]


@pytest.mark.parametrize("primitives", [2, 4, 8])
def test_answers_are_what_the_grammar_says(primitives: int) -> None:
    tasks, size = Grammars(primitives), primitives + 3
    for seed in SEEDS:
        grammar = tasks.grammar(seed)
        assert len(grammar) == size and set(grammar) <= set(WORDS)
        assert len(set(grammar.values())) == size and len(set(grammar.values()) & set(COLOURS)) == primitives
        for texts in tasks.texts(seed, size + 2, 8):
            sentences, answers = decoded(texts)
            assert answers == [read(sentence, grammar) for sentence in sentences]


def test_the_support_explains_every_word_and_queries_are_new() -> None:
    tasks = Grammars()
    for seed in SEEDS:
        grammar = tasks.grammar(seed)
        (support, _), (query, _) = (decoded(texts) for texts in tasks.texts(seed, 7, 60))
        colours = {word for word, meaning in grammar.items() if meaning in COLOURS}
        assert {sentence for sentence in support if " " not in sentence} == colours
        used = [[grammar[word] for word in sentence.split()] for sentence in support if " " in sentence]
        assert sorted(next(m for m in words if m not in COLOURS) for words in used) == [
            "alternate",
            "surround",
            "thrice",
        ]
        assert all(len(words) - sum(m in COLOURS for m in words) == 1 for words in used)
        assert len({*support, *query}) == 67 and all(" " in sentence for sentence in query)


def test_the_language_has_each_sentence_once() -> None:
    found = language(4)
    assert len(found.kinds) == 4 + 4 + 2 * 8 * 6
    assert len({tuple(row) for row in found.sources}) == len(found.kinds)
    assert np.bincount(found.kinds).tolist() == [4, 4, 12, 12, 72]


def test_episodes_are_packed_token_ids() -> None:
    tasks = Grammars()
    dataset = tasks.as_dataset(3, k_shot=9, n_query=6, num_batches=1)
    assert [tuple(spec.shape) for spec in dataset.element_spec] == [(3, 9, 40), (3, 9, 13), (3, 6, 40), (3, 6, 13)]
    (episode,) = dataset
    check_episode(episode)
    assert {field.dtype for field in episode} == {tf.int32}
    episode = Episode(*tasks.sample(SEEDS[0], 9, 6))
    (sources, answers), (query, _) = (decoded(texts) for texts in tasks.texts(SEEDS[0], 9, 6))
    assert [tasks.tokenizer.decode(row) for row in episode.support_x.numpy()] == sources
    assert [tasks.tokenizer.decode(row) for row in episode.support_y.numpy()] == answers
    assert [tasks.tokenizer.decode(row) for row in episode.query_x.numpy()] == query


def test_no_sentence_and_no_answer_is_cut() -> None:
    longest = sorted(WORDS, key=len)[-5:]
    assert len(" ".join(longest)) + 1 <= Grammars().source_length
    assert language(8).targets.shape[1] + 1 <= Grammars().target_length


def test_tasks_differ_between_episodes_and_splits_and_repeat_with_the_seed() -> None:
    grammars = [str(Grammars().split(split).grammar(seed)) for split in SPLITS for seed in SEEDS]
    assert len(set(grammars)) == len(grammars)
    first, second = (Grammars().sample(SEEDS[3], 8, 4).query_x.numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_exact_match_counts_whole_answers() -> None:
    assert exact_match(["RG", "R", "RGB"], np.array([b"RG", b"RG", b"RGB"])) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="as many answers as targets, at least one; received 1 and 2"):
        exact_match(["R"], ["R", "G"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"primitives": 1}, "primitives must be a whole number from 2 to 8, received 1"),
        ({"primitives": 9}, "from 2 to 8, received 9"),
        ({"tokenizer": "bites"}, "Unknown tokenizer 'bites'. Did you mean 'bytes'"),
        ({"source_length": 0}, "length"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Grammars(**arguments)


def test_sizes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="needs 7 examples to explain 4 primitives and 3 functions; received k_shot=6"):
        Grammars().as_dataset(2, k_shot=6, n_query=2)
    with pytest.raises(ValueError, match=r"of 2 primitives has 20 sentences; received k_shot \+ n_query = 21"):
        Grammars(2).as_dataset(2, k_shot=6, n_query=15)
