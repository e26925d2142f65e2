"""MetaGPT.generate: strings in, strings out; the cache changes nothing."""

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.fast_weights import FastWeights, State
from metagpt_tf.generation import TopK


def without_cache(model, prompts, length):
    """Greedy ids by running the whole model again for every token."""
    source = tf.constant(model.tokenizer.pack(prompts, model.source_length))
    ids = np.full((len(prompts), model.target_length + 1), 0, "int32")
    ids[:, 0] = model.tokenizer.bos_id
    done = np.zeros(len(prompts), bool)
    for t in range(length):
        logits = model((source, tf.constant(ids[:, : model.target_length]))).numpy()[:, t]
        token = np.where(done, 0, logits.argmax(-1))
        ids[:, t + 1] = token
        done |= token == model.tokenizer.eos_id
    return ids[:, 1 : length + 1]


def test_the_cache_changes_nothing(model):
    prompts = ["abc", "def f(x):", "z"]
    source = tf.constant(model.tokenizer.pack(prompts, model.source_length))
    cached = model.generate_ids(source, 20).numpy()
    np.testing.assert_array_equal(cached, without_cache(model, prompts, 20))
    assert len(np.unique(cached)) > 3


def test_string_for_string_and_list_for_list(model):
    one = model.generate("abc", max_length=8)
    assert isinstance(one, str)
    assert model.generate(["abc", "other"], max_length=8)[0] == one


def test_a_prompt_does_not_depend_on_its_neighbours(model):
    alone = model.generate("abc")
    assert model.generate(["abc", "a much longer prompt!"])[0] == alone


@pytest.mark.parametrize("sampler", ["temperature", "top_k", "top_p", "min_p"])
def test_sampling_is_repeatable_by_seed(model, sampler):
    texts = [model.generate("abc", sampler=sampler, seed=seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_no_seed_is_a_new_draw(model):
    assert len({model.generate("abc", sampler=TopK(50, temperature=3.0)) for _ in range(3)}) > 1


def test_beam_runs_and_width_one_is_greedy(model):
    from metagpt_tf.generation import Beam

    assert model.generate("abc", sampler=Beam(width=1), max_length=10) == model.generate("abc", max_length=10)
    assert isinstance(model.generate(["abc", "d"], sampler="beam", max_length=6)[1], str)


@pytest.mark.parametrize("sampler", ["greedy", "top_k"])
def test_streaming_gives_the_same_text(model, sampler):
    whole = model.generate("abc", sampler=sampler, seed=4)
    pieces = list(model.generate("abc", sampler=sampler, seed=4, stream=True))
    assert "".join(pieces) == whole and len(pieces) > 1


def test_stop_strings(model):
    whole = model.generate("abc")
    stop = whole[3:5]
    expected = whole[: whole.find(stop)]
    assert model.generate("abc", stop=[stop]) == expected
    assert "".join(model.generate("abc", stop=[stop], stream=True)) == expected


def test_state_changes_the_text_and_not_the_model(model):
    layout = FastWeights(model, "norm_bias")
    neutral = layout.initial_state()
    before = model.generate("abc")
    assert model.generate("abc", state=neutral) == before
    moved = State.of(neutral + np.random.default_rng(0).normal(size=layout.size), "norm_bias")
    assert model.generate("abc", state=moved) != before
    assert "".join(model.generate("abc", state=moved, stream=True)) == model.generate("abc", state=moved)
    assert model.generate("abc") == before


class TestBadInput:
    def test_too_long(self, model):
        with pytest.raises(ValueError, match="truncate|limit|longest|length"):
            model.generate("x" * 99)
        assert isinstance(model.generate("x" * 99, truncate=True, max_length=2), str)

    @pytest.mark.parametrize("prompt", [[], 7, ["a", 3], None])
    def test_no_text(self, model, prompt):
        with pytest.raises((ValueError, TypeError)):
            model.generate(prompt)

    @pytest.mark.parametrize("length", [0, 21])
    def test_impossible_length(self, model, length):
        with pytest.raises(ValueError, match="max_length must be an integer between 1 and"):
            model.generate("a", max_length=length)

    def test_unknown_sampler(self, model):
        with pytest.raises(ValueError, match="Did you mean 'greedy'"):
            model.generate("a", sampler="gready")

    def test_state_of_another_model(self, model):
        with pytest.raises(ValueError, match=r"has shape \(\d+,\); received \(5,\)"):
            model.generate("a", state=State.of(np.zeros(5), "head"))

    def test_state_that_lost_its_scope(self, model):
        plain = np.asarray(FastWeights(model, "head").initial_state())
        with pytest.raises(ValueError, match=r"Pass scope=.*head: \d+"):
            model.generate("a", state=plain)
        assert model.generate("a", state=plain, scope="head") == model.generate("a")

    def test_state_that_is_not_finite(self, model):
        with pytest.raises(ValueError, match="not finite"):
            model.generate("a", state=State.of(np.full(FastWeights(model, "head").size, np.nan), "head"))

    def test_stop_must_say_something(self, model):
        with pytest.raises(ValueError, match="non-empty string"):
            model.generate("a", stop=[""])

    def test_streaming_takes_one_prompt(self, model):
        with pytest.raises(ValueError, match="one prompt at a time"):
            model.generate(["a", "b"], stream=True)
