"""Converters: exact pairs, histories cut between turns, answers read back, and episodes in the end."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metagpt_tf.datasets import load_classification, load_entities, load_triples
from metagpt_tf.tasks import (
    TextTasks,
    check_episode,
    classification_pairs,
    dialogue_pairs,
    entities_from_text,
    entity_pairs,
    to_pairs,
    translation_pairs,
    triple_pairs,
)
from metagpt_tf.tasks.text_to_text import CONVERTERS, entities_to_text

TEXTS = [{"text": f"text {n}", "label": "abc"[n % 3]} for n in range(6)]
FACT = {"head": "oak tree", "relation": "kind of", "tail": "tree", "text": "oak tree: a tall tree"}


def test_permuted_labels_trade_places_consistently() -> None:
    plain = dict(classification_pairs(TEXTS))
    meanings = set()
    for seed in range(30):
        permuted = dict(classification_pairs(TEXTS, permutation=seed))
        trades = {(plain[text], label) for text, label in permuted.items()}
        assert len(trades) == 3 and {label for _, label in trades} == {"a", "b", "c"}
        assert permuted == dict(classification_pairs(reversed(TEXTS), permutation=seed))
        meanings.add(tuple(sorted(trades)))
    assert len(meanings) == 6  # all orders of three labels


def test_entities_in_and_out() -> None:
    sentence = {
        "tokens": ["Ada", "Lovelace", "Byron", "left", "Rome", ":", "gone"],
        "tags": ["B-PER", "I-PER", "B-PER", "O", "B-LOC", "O", "O"],
    }
    ((source, target),) = entity_pairs([sentence])
    assert (source, target) == ("Ada Lovelace Byron left Rome : gone", "PER: Ada Lovelace; PER: Byron; LOC: Rome")
    assert entities_from_text(target) == [("PER", "Ada Lovelace"), ("PER", "Byron"), ("LOC", "Rome")]
    assert entity_pairs([{"tokens": ["a"], "tags": ["O"]}]) == [("a", "none")]


NAMES = st.lists(st.sampled_from(["Rome", "St. Paul; the city", "a:b", "x; y", "New York: 2"]), min_size=1).map(
    " ".join
)


@given(st.lists(st.tuples(st.sampled_from(["PER", "LOC", "body_of-water"]), NAMES), max_size=5))
def test_entities_survive_the_text(entities: list[tuple[str, str]]) -> None:
    assert entities_from_text(entities_to_text(entities)) == entities


@pytest.mark.parametrize("answer", ["", "none", "nonsense", "PER:", "PER: ", ";;; : ;", "; "])
def test_any_answer_can_be_read(answer: str) -> None:
    assert entities_from_text(answer) == []


@pytest.mark.parametrize(
    ("tokens", "tags", "message"),
    [
        (["a"], ["O", "O"], "Sentence 1 has 1 tokens and 2 tags"),
        (["a"], ["I-PER"], "Sentence 1: expected O, B-TYPE or, inside a name, I-TYPE; received 'I-PER'"),
        (["a", "b"], ["B-PER", "I-LOC"], "received 'I-LOC'"),
        (["a"], ["S-PER"], "received 'S-PER'"),
    ],
)
def test_bad_tags(tokens: list[str], tags: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        entity_pairs([{"tokens": ["fine"], "tags": ["O"]}, {"tokens": tokens, "tags": tags}])


def test_histories_end_on_borders_of_turns() -> None:
    turns = ["äöü", "two\nlines", "three", "four"]
    assert dialogue_pairs([{"turns": turns}], max_history_bytes=1000) == [
        ("äöü", "two lines"),
        ("äöü\ntwo lines", "three"),
        ("äöü\ntwo lines\nthree", "four"),
    ]
    exactly = len("äöü\ntwo lines".encode())
    assert dialogue_pairs([{"turns": turns}], exactly)[1][0] == "äöü\ntwo lines"
    assert dialogue_pairs([{"turns": turns}], exactly - 1)[1][0] == "two lines"
    assert [source for source, _ in dialogue_pairs([{"turns": turns}], 1)] == ["äöü", "two lines", "three"]
    with pytest.raises(ValueError, match="max_history_bytes must be at least 1, received 0"):
        dialogue_pairs([], 0)


def test_facts_to_complete_and_to_read() -> None:
    assert triple_pairs([FACT]) == [("oak tree | kind of | ?", "tree")]
    assert triple_pairs([FACT], name_relation=False) == [("oak tree | ?", "tree")]
    assert triple_pairs([FACT], "from_text") == [("oak tree: a tall tree", "oak tree | kind of | tree")]


@pytest.mark.parametrize("text", ["", "oak tree: a plant", "oak tree: treetops", "a tall tree"])
def test_texts_that_do_not_say_the_fact_are_left_out(text: str) -> None:
    assert triple_pairs([{**FACT, "text": text}], "from_text") == []


def test_bad_facts() -> None:
    with pytest.raises(ValueError, match=r"Fact 1: expected a tail without '\|'"):
        triple_pairs([FACT, {**FACT, "tail": "a|b"}])
    with pytest.raises(ValueError, match='Expected mode="completion" or "from_text", received "?\'read\''):
        triple_pairs([FACT], "read")


def test_translations_both_ways() -> None:
    rows = [("a", "b"), {"source": "c", "target": "d", "more": "e"}]
    assert translation_pairs(rows) == [("a", "b"), ("c", "d")]
    assert translation_pairs(rows, reverse=True) == [("b", "a"), ("d", "c")]


def test_whole_sets_are_converted() -> None:
    loaded = {"meta_train": {"small": [FACT], "large": [FACT] * 3}, "meta_test": {"other": [FACT]}}
    assert {split: list(tasks) for split, tasks in to_pairs(loaded, "triples", least=2).items()} == {
        "meta_train": ["large"]
    }
    with pytest.raises(ValueError, match="Unknown converter 'triple'. Did you mean 'triples'"):
        to_pairs(loaded, "triple")
    with pytest.raises(ValueError, match="No task gives at least 4 pairs: {'small': 1, 'large': 3, 'other': 1}"):
        to_pairs(loaded, "triples", least=4)
    assert sorted(CONVERTERS) == ["classification", "dialogue", "entities", "translation", "triples"]


@pytest.mark.parametrize(
    ("load", "converter", "options"),
    [
        (load_classification, "classification", {"permutation": 0}),
        (load_entities, "entities", {}),
        (load_triples, "triples", {}),
        (load_triples, "triples", {"mode": "from_text", "least": 14}),
    ],
)
def test_bundled_records_become_episodes(load, converter: str, options: dict) -> None:
    pairs = to_pairs(load(), converter, **options)
    tasks = TextTasks.from_pairs(pairs, "bytes", source_length=64, target_length=32)
    for split in pairs:
        (episode,) = tasks.split(split).as_dataset(2, k_shot=4, n_query=4, num_batches=1)
        check_episode(episode)
        assert episode.support_x.shape == (2, 4, 64) and episode.query_y.shape == (2, 4, 32)
        assert np.all(np.any(episode.query_y.numpy() > 2, axis=-1))
