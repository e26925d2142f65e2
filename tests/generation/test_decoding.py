import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.generation import Greedy, Random, decode, get, stream

from .toy import BOS, EOS, IDS, PAD, Language, Markov

LANGUAGE, BATCH, LENGTH = Language(9, seed=6), 5, 12
BIAS = LANGUAGE.bias(BATCH)


def run(sampler="greedy", language=LANGUAGE, bias=BIAS, length=LENGTH, **keywords):
    call = tf.function(
        lambda: decode(
            language.step, language.cache(bias), len(bias), max_length=length, sampler=sampler, **IDS, **keywords
        )
    )
    return call().numpy()


def test_greedy_equals_full_recomputation():
    tokens = run()
    assert tokens.shape == (BATCH, LENGTH) and tokens.dtype == np.int32
    assert tokens.tolist() == [LANGUAGE.greedy(b, LENGTH) for b in BIAS]
    ends = (tokens == EOS).argmax(-1)
    assert len(set(ends[(tokens == EOS).any(-1)])) > 1  # rows end at different times, so padding is really tested


def test_eager_equals_graph():
    eager = decode(LANGUAGE.step, LANGUAGE.cache(BIAS), BATCH, max_length=LENGTH, sampler="top_k", seed=(3, 1), **IDS)
    np.testing.assert_array_equal(eager, run("top_k", seed=(3, 1)))


def test_deterministic_by_seed():
    first = run("temperature", seed=(0, 1))
    np.testing.assert_array_equal(first, run("temperature", seed=(0, 1)))
    assert (first != run("temperature", seed=(0, 2))).any()


@pytest.mark.parametrize("other", [(0, 2), (1, 1), (1, 2)])
def test_neighbouring_seeds_are_not_shifted_copies(other):
    flat = Markov([-1e9, -1e9, -1e9] + [0.0] * 50)
    keywords = {"max_length": 40, "sampler": "random", **IDS}
    first, second = (decode(flat.step, tf.zeros((1,)), 1, seed=s, **keywords).numpy()[0] for s in ((0, 1), other))
    assert (first == second).mean() < 0.3
    assert (first[1:] == second[:-1]).mean() < 0.3
    assert len(set(first)) > 15  # and positions draw different noise


def test_sampled_frequencies_over_whole_rows():
    language = Markov([-1e9, -1e9, -1e9, 0.0, 1.0, 2.0])
    tokens = decode(language.step, tf.zeros((500,)), 500, max_length=20, sampler="random", **IDS).numpy()
    expected = np.exp([0.0, 1.0, 2.0]) / np.exp([0.0, 1.0, 2.0]).sum()
    np.testing.assert_allclose([(tokens == t).mean() for t in (3, 4, 5)], expected, atol=0.02)


def test_stops_early_when_every_row_is_done():
    calls = tf.Variable(0)

    def step(tokens, position, cache):
        calls.assign_add(1)
        return tf.one_hot(tokens + 1, 40), cache

    tokens = decode(step, (), 2, bos_id=1, eos_id=4, pad_id=0, max_length=30, sampler="greedy").numpy()
    assert tokens[0].tolist() == [2, 3, 4] + [0] * 27
    assert calls.numpy() == 3


def test_positions_and_first_token():
    seen = []

    def step(tokens, position, cache):
        seen.append((int(position), tokens.numpy().tolist()))
        return tf.one_hot(tf.fill(tf.shape(tokens), position + 3), 20), cache

    decode(step, (), 1, max_length=4, sampler="greedy", **IDS)
    assert seen == [(0, [BOS]), (1, [3]), (2, [4]), (3, [5])]


@pytest.mark.parametrize("stop", [((3,),), ((3, 5), (8,)), ((7, 7, 7),), ((4, 6), (6, 3, 8), (5,))])
def test_stop_sequences(stop):
    language = Language(9, seed=11, scale=1.0)
    language.drift[EOS] = -30.0  # EOS is never the answer, so only the stop sequences end a row
    rules = (*stop, (EOS,))
    expected = [language.greedy(b, 20, rules) for b in BIAS]
    assert run(language=language, length=20, stop_sequences=[list(s) for s in stop]).tolist() == expected


def test_some_stop_sequence_really_stops():
    language = Language(9, seed=11, scale=1.0)
    plain = run(language=language, length=20)
    pair = plain[0, 2:4].tolist()
    stopped = run(language=language, length=20, stop_sequences=[pair])
    assert stopped[0, :4].tolist() == plain[0, :4].tolist() and (stopped[0, 4:] == PAD).all()


def test_repetition_penalty_against_numpy():
    penalty, expected = 1.8, []
    for bias in BIAS:
        row: list[int] = []
        while len(row) < LENGTH and EOS not in row:
            z = LANGUAGE.logits(row, bias)
            for t in set(row):
                z[t] = z[t] / penalty if z[t] > 0 else z[t] * penalty
            row.append(int(z.argmax()))
        expected.append(row + [PAD] * (LENGTH - len(row)))
    tokens = run(Greedy(repetition_penalty=penalty))
    assert tokens.tolist() == expected
    assert (tokens != run()).any()


def test_huge_penalty_never_repeats():
    language = Markov([-99.0, -99.0, -99.0, 1.0, 2.0, 3.0, 4.0])
    sampler = Greedy(repetition_penalty=1e6)
    tokens = decode(language.step, tf.zeros((1,)), 1, max_length=4, sampler=sampler, **IDS)
    assert tokens.numpy().tolist() == [[6, 5, 4, 3]]


@pytest.mark.parametrize("sampler", ["greedy", "top_p", Greedy(repetition_penalty=1.4), "beam"])
def test_dynamic_batch(sampler):
    @tf.function(input_signature=[tf.TensorSpec((None, 9), tf.float32)])
    def call(bias):
        keywords = {"max_length": LENGTH, "sampler": sampler, "stop_sequences": [[4, 4]], **IDS}
        return decode(LANGUAGE.step, LANGUAGE.cache(bias), tf.shape(bias)[0], **keywords)

    assert call.get_concrete_function().structured_outputs.shape.as_list() == [None, LENGTH]
    for batch in (1, 3, 5):
        np.testing.assert_array_equal(call(BIAS[:batch]), run(sampler, bias=BIAS[:batch], stop_sequences=[[4, 4]]))


def test_noise_from_outside():
    noise = np.random.default_rng(0).gumbel(size=(BATCH, LENGTH, 9)).astype("float32")
    expected = []
    for bias, g in zip(BIAS, noise, strict=True):
        row: list[int] = []
        while len(row) < LENGTH and EOS not in row:
            row.append(int((LANGUAGE.logits(row, bias) + g[len(row)]).argmax()))
        expected.append(row + [PAD] * (LENGTH - len(row)))
    assert run("random", noise=noise).tolist() == expected


@pytest.mark.parametrize(
    "sampler", ["greedy", "random", "top_k", "top_p", "min_p", Random(0.7, repetition_penalty=1.5)]
)
def test_streaming_equals_decoding(sampler):
    keywords = dict(max_length=LENGTH, sampler=sampler, seed=(5, 6), stop_sequences=[[3, 3], [8]], **IDS)
    whole = run(sampler, seed=(5, 6), stop_sequences=[[3, 3], [8]])
    for step in (LANGUAGE.step, tf.function(LANGUAGE.step)):
        columns = list(stream(step, LANGUAGE.cache(BIAS), BATCH, **keywords))
        assert all(c.shape == (BATCH,) and c.dtype == np.int32 for c in columns)
        np.testing.assert_array_equal(np.stack(columns, 1), whole[:, : len(columns)])
        assert (whole[:, len(columns) :] == PAD).all()


def test_streaming_compiles_the_step_once():
    traces = []

    def step(tokens, position, cache):
        traces.append(1)
        return LANGUAGE.step(tokens, position, cache)

    tokens = stream(step, LANGUAGE.cache(BIAS), BATCH, max_length=LENGTH, sampler="greedy", **IDS)
    assert not traces and next(tokens).shape == (BATCH,)
    assert len(list(tokens)) > 1 and len(traces) == 1


def test_step_may_return_lists_for_tuples_and_close_over_tensors():
    @tf.function
    def call(memory):
        def step(tokens, position, cache):
            return tf.one_hot(tokens + memory, 12), [cache[0] + 1.0]

        return decode(step, (tf.zeros((2, 1)),), 2, bos_id=1, eos_id=9, pad_id=0, max_length=5, sampler="greedy")

    assert call(tf.constant(2)).numpy().tolist() == [[3, 5, 7, 9, 0]] * 2


@pytest.mark.parametrize(
    "change, message",
    [
        ({"sampler": "greddy"}, "Did you mean 'greedy'"),
        ({"max_length": 0}, "max_length"),
        ({"eos_id": -1}, "eos_id"),
        ({"pad_id": 1.5}, "pad_id"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": "two"}, "batch_size"),
        ({"seed": (1, 2, 3)}, "seed"),
        ({"stop_sequences": "abc"}, "encode text"),
        ({"stop_sequences": [3, 4]}, "list of non-empty lists"),
        ({"stop_sequences": [[]]}, "non-empty"),
        ({"sampler": "random", "noise": np.zeros((BATCH, 3, 9), "float32")}, r"max_length=12.*\(5, 3, 9\)"),
    ],
)
def test_bad_arguments(change, message):
    keywords = dict(batch_size=BATCH, max_length=LENGTH, sampler="greedy", **IDS) | change
    with pytest.raises(ValueError, match=message):
        decode(LANGUAGE.step, LANGUAGE.cache(BIAS), **keywords)


@pytest.mark.parametrize(
    "step, message",
    [
        (lambda t, i, c: (tf.one_hot(t, 4), tf.concat([c, c], 1)), "never append"),
        (lambda t, i, c: (tf.one_hot(t, 4), ()), "return them all"),
        (lambda t, i, c: (tf.one_hot(t, 4), tf.cast(c, tf.int32)), "int32"),
        (lambda t, i, c: (tf.one_hot(t, 4)[:, None], c), "vocabulary"),
    ],
)
def test_bad_steps(step, message):
    with pytest.raises(ValueError, match=message):
        decode(step, tf.zeros((1, 2)), 1, max_length=3, sampler="greedy", **IDS)


def test_stream_refuses_beams_and_graphs():
    keywords = dict(max_length=3, **IDS)
    with pytest.raises(ValueError, match="cannot stream"):
        stream(LANGUAGE.step, LANGUAGE.cache(BIAS), BATCH, sampler="beam", **keywords)
    with pytest.raises(RuntimeError, match=r"outside tf\.function"):
        tf.function(lambda: stream(LANGUAGE.step, LANGUAGE.cache(BIAS), BATCH, sampler="greedy", **keywords))()


def test_greedy_loop_does_only_what_it_must():
    """The loop around a step costs time at every token: a growing count of operations should be a decision."""

    def ops(sampler, **keywords):
        call = tf.function(
            lambda c: decode(lambda t, i, c: (c, c), c, 2, max_length=8, sampler=sampler, **keywords, **IDS)
        )
        graph = call.get_concrete_function(tf.TensorSpec((2, 9))).graph
        body = next(op for op in graph.get_operations() if "While" in op.type).get_attr("body").name
        function = next(f for f in graph.as_graph_def().library.function if f.signature.name == body)
        return [n.op for n in function.node_def if n.op not in ("Const", "Identity")]

    greedy = ops("greedy")
    assert len(greedy) <= 12, greedy
    assert not {"Softmax", "TopKV2", "StatelessRandomUniformV2", "OneHot"} & set(greedy)
    assert len(ops(get("random"))) > len(greedy)
