"""The language verbs: every kind of task becomes episodes, a learner is fitted and judged, texts are continued."""

from collections.abc import Mapping
from typing import Any

import pytest

from metagpt_tf.applications.language import (
    define_meta_gpt_model,
    evaluate_model,
    generate_text,
    load_data,
    preprocess_data,
)
from metagpt_tf.meta import FOMAML, MetaLearner
from metagpt_tf.saving import load_learner
from metagpt_tf.tokenizers import BPETokenizer

SHAPE = {"meta_batch_size": 2, "k_shot": 3, "n_query": 2, "num_batches": {"train": 2, "validation": 1, "test": 1}}
LENGTHS = {"source_length": 24, "target_length": 12}


@pytest.fixture(scope="module")
def learner() -> MetaLearner:
    sizes: dict[str, Any] = {"dim": 16, "num_heads": 2, "num_layers": 1, "hidden_dim": 32}
    return define_meta_gpt_model("nano", FOMAML(1, 0.1, scope="low_rank"), tokenizer="bytes", **LENGTHS, **sizes)


@pytest.mark.parametrize("task", ["generation", "classification", "entities", "translation", "triples"])
def test_bundled_data_of_each_kind_becomes_episodes_over_disjoint_tasks(task: str) -> None:
    data = preprocess_data(load_data(task=task), task=task, **LENGTHS, **SHAPE)
    assert next(iter(data["train"])).support_x.shape == (2, 3, 24)
    names = [set(data["tasks"].split(f"meta_{split}").task_names) for split in ("train", "validation", "test")]
    assert all(names) and not (names[0] & names[1] or names[0] & names[2] or names[1] & names[2])


def test_fit_evaluate_generate(learner: MetaLearner) -> None:
    data = preprocess_data(load_data(task="triples"), task="triples", tokenizer="bytes", **LENGTHS, **SHAPE)
    learner.fit(data["train"], verbose=0)
    figures = evaluate_model(learner, data["test"], task="triples", prompts=2)
    for name in ("bits_per_byte", "perplexity", "token_accuracy", "exact_match"):
        assert figures[name] >= 0.0 and figures[f"pre_{name}"] >= 0.0
    assert figures["perplexity"] == pytest.approx(2.0 ** figures["bits_per_byte"], rel=1e-4)  # bytes: a token is a byte
    support = next(iter(data["test"]))
    state = learner.adapt((support.support_x[0], support.support_y[0]))
    assert isinstance(generate_text(learner, "a | hypernym | ?", state), str)


def test_the_default_is_a_trained_model_that_takes_what_fits_it() -> None:
    learner = define_meta_gpt_model()
    assert learner.algorithm.get_config() == load_learner("text_nano").algorithm.get_config()
    assert define_meta_gpt_model(source_length=96).model.source_length == 96
    with pytest.raises(ValueError, match="'text_nano' was trained with B"):
        define_meta_gpt_model(tokenizer=BPETokenizer([[100, 101]]))
    with pytest.raises(ValueError, match="has shape"):
        define_meta_gpt_model(dim=64)


def test_what_is_not_given_fits_together() -> None:
    tasks = preprocess_data(load_data(which="authors"), **SHAPE)["tasks"]
    episode = tasks.episode(tasks.task_names[0], 3, 2)
    for preset in ("text_nano", "nano"):
        model: Any = define_meta_gpt_model(preset).model
        assert model.tokenizer.get_config() == tasks.tokenizer.get_config()
        lengths = (episode.support_x.shape[1], episode.support_y.shape[1])
        assert lengths == (model.source_length, model.target_length)


def test_a_long_text_is_written_in_windows_and_a_long_prompt_is_refused(learner: MetaLearner) -> None:
    sampled = {"sampler": "temperature", "seed": 3}
    written = generate_text(learner, "once", max_length=30, **sampled)
    assert len(learner.model.tokenizer.encode(written)) <= 60  # bytes that are no text are three bytes as a sign
    with pytest.raises(ValueError, match="longer than the model's source_length=24"):
        generate_text(learner, "x" * 40)
    assert isinstance(generate_text(learner, "x" * 40, truncate=True, **sampled), str)
    with pytest.raises(TypeError, match="continues one text"):
        generate_text(learner, ["a"])  # type: ignore[arg-type]


def test_bad_input() -> None:
    data: Mapping[str, Any] = load_data(task="triples")
    with pytest.raises(ValueError, match="Did you mean 'triples'"):
        load_data(task="tripels")
    with pytest.raises(ValueError, match="use it with 'classification'"):
        preprocess_data(data, task="triples", stop_words="english")
    with pytest.raises(ValueError, match="Unknown bundled texts 'language'"):
        load_data(which="language")


def test_bpe_fills_the_lengths_with_whole_words_and_keeps_blanks() -> None:
    text = " ".join(f"the  cat sat on\ttable {n} and the dog lay under it" for n in range(200))
    names = {"meta_train": "ab", "meta_validation": "c", "meta_test": "d"}
    data = {split: {name: [text + name] for name in tasks} for split, tasks in names.items()}
    sizes = {"source_length": 24, "target_length": 40}
    tasks = preprocess_data(data, tokenizer="bpe", vocabulary_size=300, **sizes)["tasks"]
    for part, size in zip(tasks.episode("a", 8, 8)[:2], sizes.values(), strict=True):
        tokens = (part.numpy() != tasks.tokenizer.pad_id).sum(axis=1)
        assert tokens.min() > size - 10 and tokens.max() <= size
    source, target = (tasks.tokenizer.decode(part.numpy()[0]) for part in tasks.episode("a", 8, 8)[:2])
    assert target.startswith(" ") and "  " not in source + target and "\t" not in source + target


def test_running_text_has_to_be_a_list_of_texts() -> None:
    with pytest.raises(TypeError, match="takes a list of texts"):
        preprocess_data({"meta_train": {"a": "one long text"}, "meta_validation": {}, "meta_test": {}})
    with pytest.raises(TypeError, match="Pairs go to"):
        preprocess_data({"meta_train": {"a": [("x", "y")]}, "meta_validation": {}, "meta_test": {}})


def test_an_answer_that_ends_early_is_not_written_on(learner: MetaLearner, monkeypatch: Any) -> None:
    window = learner.model.target_length
    calls: list[str] = []

    def short(text: str, **options: Any) -> str:
        calls.append(text)
        return "x" * (window - 6)

    monkeypatch.setattr(learner.model, "generate", short)
    assert generate_text(learner, "a") == "x" * (window - 6) and len(calls) == 1
