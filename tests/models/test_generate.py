"""MetaGPT.generate: strings in, strings out; the cache, streaming and batching change nothing."""

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.fast_weights import FastWeights, State
from metagpt_tf.generation import Beam, Greedy, TopK

from .conftest import LETTERS, make_writer

PROMPTS = ["abc", "h", "a long prompt, no end"]


def packed(model, prompts: list[str]) -> np.ndarray:
    return model.tokenizer.pack(prompts, model.source_length)


def full_logits(model, source: np.ndarray, tokens: list[int]) -> np.ndarray:
    """(V,) logits of the next token by running the whole model on `source (1, S)` and all tokens so far."""
    decoder_input = np.array([[model.tokenizer.bos_id, *tokens]], "int32")
    return model((source, decoder_input)).numpy()[0, -1]


def full_greedy(model, source: np.ndarray, length: int) -> np.ndarray:
    """(B, T) ids by running the whole model again for every token, on `source (B, S)` and the tokens so far."""
    run = tf.function(model, autograph=False)
    decoder_input = np.full((len(source), length + 1), model.tokenizer.pad_id, "int32")
    decoder_input[:, 0] = model.tokenizer.bos_id
    done = np.zeros(len(source), bool)
    for t in range(length):
        token = run((source, decoder_input[:, :length])).numpy()[:, t].argmax(-1)
        decoder_input[:, t + 1] = np.where(done, model.tokenizer.pad_id, token)
        done |= token == model.tokenizer.eos_id
    return decoder_input[:, 1:]


@pytest.mark.parametrize(
    "arguments",
    [{}, {"norm": "post", "activation": "gelu", "positions": "learned"}, {"tie_embeddings": False, "low_rank": 0}],
    ids=str,
)
def test_cached_steps_give_the_logits_of_the_full_pass(arguments: dict):
    model, tokens = make_writer(**arguments, context_tokens=1), [100, 3, 255, 40, 40, 7]
    source = packed(model, PROMPTS[:1])
    cache = model.start_cache(tf.constant(source), 1, 9)
    for position in range(len(tokens)):
        token = [model.tokenizer.bos_id, *tokens][position]
        logits, cache = model.decode_step(tf.constant([token]), tf.constant(position), cache)
        expected = full_logits(model, source, tokens[:position])
        np.testing.assert_allclose(logits[0], expected, atol=1e-3 * np.abs(expected).max())


def test_cached_greedy_equals_the_full_pass_token_for_token(writer):
    source = packed(writer, PROMPTS)
    ids = writer.generate_ids(tf.constant(source), 20).numpy()
    np.testing.assert_array_equal(ids, full_greedy(writer, source, 20))
    assert len(np.unique(ids)) > 4 and len({tuple(row) for row in ids}) == len(PROMPTS)
    assert len(set((ids == writer.tokenizer.pad_id).sum(-1))) > 1  # rows end at different times


def test_a_string_for_a_string_and_a_list_for_a_list(writer):
    texts = writer.generate(PROMPTS)
    assert isinstance(texts, list) and len(texts) == len(PROMPTS)
    assert writer.generate(PROMPTS[0]) == texts[0]
    assert writer.generate(tuple(PROMPTS[:1])) == texts[:1]
    assert all(set(text) <= set(LETTERS) for text in texts)


def test_a_prompt_does_not_depend_on_its_neighbours(writer):
    alone = [writer.generate(prompt) for prompt in PROMPTS]
    assert writer.generate(PROMPTS) == alone
    assert writer.generate(PROMPTS[::-1]) == alone[::-1]


def test_text_is_the_decoded_ids(writer):
    ids = writer.generate_ids(tf.constant(packed(writer, PROMPTS)), 20).numpy()
    assert writer.generate(PROMPTS) == [writer.tokenizer.decode(row) for row in ids]


@pytest.mark.parametrize("length", [1, 7])
def test_max_length(writer, length: int):
    whole = writer.generate(PROMPTS)
    assert max(map(len, whole)) == 20
    assert writer.generate(PROMPTS, max_length=length) == [text[:length] for text in whole]


def test_max_length_may_be_a_numpy_integer(writer):
    assert writer.generate("abc", max_length=np.int64(3)) == writer.generate("abc", max_length=3)


@pytest.mark.parametrize("sampler", ["temperature", "top_k", "top_p", "min_p", TopK(3, temperature=2.0)])
def test_sampling_is_repeatable_by_seed(writer, sampler):
    texts = [writer.generate(PROMPTS, sampler=sampler, seed=seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_no_seed_is_a_new_draw(writer):
    assert len({writer.generate("abc", sampler="random") for _ in range(3)}) > 1


def test_a_sampler_with_other_arguments_is_another_sampler(writer):
    """Compiled loops are kept by sampler; settings must not be mixed up."""
    plain = writer.generate("abc", sampler="greedy")
    assert writer.generate("abc", sampler=Greedy(repetition_penalty=50.0)) != plain
    assert writer.generate("abc", sampler=Greedy()) == plain


def test_beam(writer):
    assert writer.generate(PROMPTS, sampler=Beam(width=1), max_length=10) == writer.generate(PROMPTS, max_length=10)
    texts = writer.generate(PROMPTS, sampler="beam", max_length=10)
    assert all(set(text) <= set(LETTERS) for text in texts)


@pytest.mark.parametrize("sampler", ["greedy", "top_k", Greedy(repetition_penalty=2.0)])
def test_streaming_gives_the_same_text(writer, sampler):
    for prompt in PROMPTS[:2]:
        pieces = list(writer.generate(prompt, sampler=sampler, seed=4, stream=True))
        assert "".join(pieces) == writer.generate(prompt, sampler=sampler, seed=4)
        assert len(pieces) > 1


def test_streaming_is_compiled_once(writer):
    list(writer.generate("abc", stream=True))
    steps = writer.text_generator._compiled["stream", None, 0][1]
    traces = steps.experimental_get_tracing_count()
    list(writer.generate("hgf", stream=True))
    assert steps.experimental_get_tracing_count() == traces


def stop_of(text: str) -> str:
    """Two letters from the middle."""
    return text[3:5]


@pytest.mark.parametrize("stream", [False, True])
def test_stop_strings(writer, stream: bool):
    def answer(stop) -> str:
        result = writer.generate("abc", stop=stop, stream=stream)
        return "".join(result) if stream else result

    whole = writer.generate("abc")
    stop = stop_of(whole)
    expected = whole[: whole.find(stop)]
    assert answer(stop) == answer([stop]) == answer(("zz", stop)) == expected
    assert answer(["zz"]) == whole


def test_one_stop_string_is_not_its_letters(writer):
    whole = writer.generate("abc")
    assert writer.generate("abc", stop=whole[4] + "z" + whole[2]) == whole


def test_stop_strings_of_a_batch(writer):
    texts = writer.generate(PROMPTS)
    stop = stop_of(texts[0])
    assert writer.generate(PROMPTS, stop=[stop]) == [text.split(stop)[0] for text in texts]


@pytest.mark.parametrize("scope", ["context", "low_rank", "norm_bias", "head", "all", "decoder/.*kernel"])
def test_a_state_changes_the_text_and_not_the_model(writer, scope: str):
    layout, before = FastWeights(writer, scope), writer.generate(PROMPTS)
    weights = writer.get_weights()
    assert writer.generate(PROMPTS, state=layout.initial_state()) == before
    moved = State.of(layout.initial_state() + np.random.default_rng(0).normal(size=layout.size), scope)
    assert writer.generate(PROMPTS, state=moved) != before
    assert writer.generate(PROMPTS) == before
    assert all((a == b).all() for a, b in zip(weights, writer.get_weights(), strict=True))


def test_a_state_acts_as_if_its_values_were_the_weights(writer):
    layout = FastWeights(writer, "head")
    moved = State.of(layout.initial_state() + np.random.default_rng(1).normal(size=layout.size), "head")
    twin = make_writer()
    for variable, value in zip(FastWeights(twin, "head").variables, layout.unpack(np.asarray(moved)), strict=True):
        variable.assign(value)
    assert writer.generate(PROMPTS, state=moved) == twin.generate(PROMPTS)
    assert "".join(writer.generate("abc", state=moved, stream=True)) == twin.generate("abc")


def test_states_of_one_scope_share_a_graph(writer):
    layout = FastWeights(writer, "context")
    states = [State.of(v * np.random.default_rng(0).normal(size=layout.size), "context") for v in (0.0, 5.0)]
    texts = [writer.generate("abc", state=state, max_length=11) for state in states]
    streamed = ["".join(writer.generate("abc", state=state, stream=True, max_length=11)) for state in states]
    assert texts == streamed and texts[0] != texts[1]


def test_a_state_that_lost_its_scope_needs_it_named(writer, tmp_path):
    state = FastWeights(writer, "low_rank").initial_state() + 0.5
    np.save(tmp_path / "state.npy", state)
    loaded = np.load(tmp_path / "state.npy")
    with pytest.raises(ValueError, match=r"does not say which scope .*Pass scope=.*head: \d+.*low_rank: \d+"):
        writer.generate("abc", state=loaded)
    assert writer.generate("abc", state=loaded, scope="low_rank") == writer.generate("abc", state=state)


def test_long_prompts_are_cut_only_on_request(writer):
    long = "abcdefgh" * 9
    assert writer.generate(long, truncate=True) == writer.generate(long[:23])
    with pytest.raises(ValueError, match=r"source_length=24.*72 tokens and needs 73 with EOS.*truncate=True"):
        writer.generate(["a", long])


def test_an_empty_prompt_is_a_prompt(writer):
    assert isinstance(writer.generate(""), str)


def test_training_after_generating_is_seen(ids):
    """The compiled loop reads the variables; it does not keep their values."""
    model = make_writer()
    before = model.generate("abc")
    model.head.bias.assign(np.where(np.arange(259) == 100, 500.0, 0.0))
    assert model.generate("abc") == "a" * 20 != before
