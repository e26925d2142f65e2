import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.generation import Beam, Greedy, MinP, Random, Sampler, TopK, TopP, get, registry

LOGITS = np.random.default_rng(3).normal(scale=2.0, size=(4, 11)).astype("float32")
SEED = tf.constant([1, 2])


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def kept(sampler, logits=LOGITS):
    masked = sampler.filter(tf.constant(logits)).numpy()
    keep = np.isfinite(masked)
    np.testing.assert_array_equal(masked[keep], logits[keep])
    return keep


def frequencies(sampler, row, draws=20_000):
    tokens = sampler(tf.tile(tf.constant([row], tf.float32), (draws, 1)), SEED).numpy()
    return np.bincount(tokens, minlength=len(row)) / draws


@pytest.mark.parametrize("k", [1, 3, 11, 50])
def test_top_k_keeps_the_k_likeliest(k):
    rank = np.argsort(np.argsort(-LOGITS, -1), -1)
    np.testing.assert_array_equal(kept(TopK(k)), rank < k)


@pytest.mark.parametrize("p", [0.01, 0.3, 0.6, 0.9, 0.999])
def test_top_p_keeps_the_smallest_nucleus(p):
    keep = kept(TopP(p))
    for row, mask in zip(softmax(LOGITS.astype("float64")), keep, strict=True):
        order = np.argsort(-row)
        count = int(np.searchsorted(np.cumsum(row[order]), p)) + 1
        assert set(np.flatnonzero(mask)) == set(order[:count])


def test_top_p_of_one_keeps_even_the_faintest_token():
    assert kept(TopP(1.0), np.array([[0.0, -40.0, -200.0]], "float32")).all()


@pytest.mark.parametrize("p", [0.02, 0.3, 1.0])
def test_min_p_is_relative_to_the_likeliest(p):
    probability = softmax(LOGITS.astype("float64"))
    np.testing.assert_array_equal(kept(MinP(p)), probability >= p * probability.max(-1, keepdims=True))


def test_filters_keep_the_likeliest_of_a_flat_row():
    flat = np.zeros((1, 7), "float32")
    for sampler in (TopK(1), TopP(1e-6), MinP(1.0)):
        assert kept(sampler, flat).any()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_match_the_softmax(temperature):
    row = np.array([0.0, 1.0, -1.0, 2.0])
    expected = softmax(row / temperature)
    np.testing.assert_allclose(frequencies(Random(temperature), row), expected, atol=0.015)


@pytest.mark.parametrize("sampler", [TopK(2), TopP(0.7), MinP(0.3)])
def test_filtered_samplers_renormalise_over_what_they_keep(sampler):
    row = np.array([[0.0, 1.5, -1.0, 2.0, 0.3]], "float32")
    keep = kept(sampler, row)[0]
    assert 0 < keep.sum() < 5
    expected = np.where(keep, np.exp(row[0]), 0) / np.exp(row[0])[keep].sum()
    np.testing.assert_allclose(frequencies(sampler, row[0]), expected, atol=0.015)


def test_filter_comes_before_temperature():
    row = np.array([0.0, 1.0, 2.0])
    hot = frequencies(TopP(0.6, temperature=50.0), row)
    assert hot[2] == 1.0  # at temperature 50 the nucleus of 0.6 would hold two tokens


def test_only_top_k_tokens_are_ever_drawn():
    logits = tf.tile(tf.constant([[0.1, 0.4, 0.2, 0.3]]), (2000, 1))
    assert set(TopK(2)(logits, SEED).numpy()) == {1, 3}


def test_same_seed_same_tokens_other_seed_other_tokens():
    logits = tf.zeros((64, 50))
    first, again = Random()(logits, SEED), Random()(logits, tf.constant([1, 2]))
    np.testing.assert_array_equal(first, again)
    assert (first.numpy() != Random()(logits, tf.constant([1, 3])).numpy()).mean() > 0.8


def test_rows_do_not_depend_on_the_batch():
    logits = tf.constant(np.random.default_rng(0).normal(size=(6, 13)).astype("float32"))
    whole = Random()(logits, SEED).numpy()
    np.testing.assert_array_equal(Random()(logits[:2], SEED), whole[:2])
    changed = tf.concat([logits[:3], -logits[3:]], 0)
    np.testing.assert_array_equal(Random()(changed, SEED)[:3], whole[:3])


def test_noise_from_outside_is_gumbel_max():
    noise = np.random.default_rng(1).gumbel(size=LOGITS.shape).astype("float32")
    np.testing.assert_array_equal(Random(0.7)(LOGITS, noise=noise), (LOGITS / np.float32(0.7) + noise).argmax(-1))


@pytest.mark.parametrize(
    "sampler", [Greedy(), Random(0), TopK(3, temperature=0), TopP(0.5, temperature=0.0), MinP(temperature=0)]
)
def test_temperature_zero_is_greedy_and_needs_no_seed(sampler):
    tokens = sampler(tf.constant(LOGITS))
    assert tokens.dtype == tf.int32
    np.testing.assert_array_equal(tokens, LOGITS.argmax(-1))


def test_repetition_penalty_divides_positive_and_multiplies_negative_logits():
    logits, seen = tf.constant([[2.0, -2.0, 3.0, -3.0]]), tf.constant([[True, True, False, False]])
    penalised = Sampler(repetition_penalty=1.25).penalize(logits, seen)
    np.testing.assert_allclose(penalised, [[1.6, -2.5, 3.0, -3.0]])
    assert Greedy(repetition_penalty=2.0)(tf.constant([[3.0, 2.0]]), seen=tf.constant([[True, False]])).numpy() == [1]


def test_half_precision_logits():
    for name in registry.names():
        tokens = get(name)(tf.cast(LOGITS, tf.float16), SEED)
        assert tokens.shape == (4,) and tokens.dtype == tf.int32


@pytest.mark.parametrize("name", registry.names())
def test_config_round_trip(name):
    arguments = {"k": 7} if name == "top_k" else {"p": 0.4} if name in ("top_p", "min_p") else {}
    sampler = get(name, temperature=0.6, repetition_penalty=1.3, **arguments)
    copy = get(keras.saving.serialize_keras_object(sampler))
    assert type(copy) is type(sampler) and copy.get_config() == sampler.get_config()
    assert copy.get_config().items() >= {"temperature": 0.6, "repetition_penalty": 1.3, **arguments}.items()
    assert get(sampler) is sampler


def test_names():
    assert registry.names() == ["beam", "greedy", "min_p", "random", "temperature", "top_k", "top_p"]
    assert type(get("random")) is type(get("temperature")) is Random
    with pytest.raises(ValueError, match=r"Unknown sampler 'topk'\. Did you mean 'top_k'"):
        get("topk")
    with pytest.raises(TypeError, match="Expected sampler"):
        get(3.0)


@pytest.mark.parametrize(
    "build, named",
    [
        (lambda: TopK(0), "k=0"),
        (lambda: TopK(2.5), "k=2.5"),
        (lambda: TopP(0.0), "p=0.0"),
        (lambda: TopP(1.01), "p=1.01"),
        (lambda: MinP(-0.1), "p=-0.1"),
        (lambda: MinP(float("nan")), "p=nan"),
        (lambda: Random(-1.0), "temperature=-1.0"),
        (lambda: Random("hot"), "temperature='hot'"),
        (lambda: Greedy(repetition_penalty=0), "repetition_penalty=0"),
        (lambda: Beam(0), "width=0"),
        (lambda: Beam(length_penalty=-0.5), "length_penalty=-0.5"),
        (lambda: Beam(temperature=0), "temperature=0"),
    ],
)
def test_bad_values_name_the_argument(build, named):
    with pytest.raises(ValueError, match=named):
        build()


def test_random_draw_without_seed_or_noise_and_penalty_without_seen():
    with pytest.raises(ValueError, match="seed"):
        TopK()(tf.constant(LOGITS))
    with pytest.raises(ValueError, match="seen"):
        Greedy(repetition_penalty=1.5)(tf.constant(LOGITS))


def test_a_new_filter_is_a_few_lines():
    class OnlyEven(Sampler):
        def filter(self, logits):
            return tf.where(tf.range(logits.shape[-1]) % 2 == 0, logits, -np.inf)

    assert set(OnlyEven()(tf.zeros((500, 6)), SEED).numpy()) == {0, 2, 4}
