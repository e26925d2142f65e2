"""The support set in front of a source, as tokens: whole, in order, never a row's own answer, cut at the far end."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.models import MetaGPT
from metagpt_tf.tasks import Grammars, InContextTokens, Sinusoid

SEED = tf.constant([3, 1])
GRAMMARS = Grammars(primitives=2, source_length=32)


def text(row: tf.Tensor) -> str:
    """Ids to text, EOS as a bar."""
    return "".join("|" if token == 2 else chr(token - 3) for token in row.numpy() if token)


def test_a_query_reads_the_pairs_in_order_and_then_its_source() -> None:
    plain = GRAMMARS.sample(SEED, 5, 2)
    found = InContextTokens(GRAMMARS, length=200).sample(SEED, 5, 2)
    pairs = "".join(text(x) + text(y) for x, y in zip(plain.support_x, plain.support_y, strict=True))
    for row in range(2):
        assert text(found.query_x[row]) == pairs + text(plain.query_x[row])
        ids = found.query_x[row].numpy()
        assert not ids[np.argmin(ids > 0) :].any()  # padding at the end only
    np.testing.assert_array_equal(found.query_y, plain.query_y)


def test_a_support_row_never_reads_its_own_answer() -> None:
    plain = GRAMMARS.sample(SEED, 5, 2)
    found = InContextTokens(GRAMMARS, length=200).sample(SEED, 5, 2)
    for row in range(5):
        context = text(found.support_x[row])[: -len(text(plain.support_x[row]))]
        others = [text(plain.support_x[i]) + text(plain.support_y[i]) for i in range(5) if i != row]
        assert all(pair in context for pair in others)
        assert f"|{text(plain.support_x[row])}{text(plain.support_y[row])}" not in f"|{context}"


def test_what_is_too_long_loses_its_oldest_tokens() -> None:
    whole = InContextTokens(GRAMMARS, length=200).sample(SEED, 5, 2).query_x
    short = InContextTokens(GRAMMARS, length=40).sample(SEED, 5, 2).query_x
    for row in range(2):
        assert text(short[row]) == text(whole[row])[-40:]


def test_context_and_gradient_can_be_combined_in_a_generator() -> None:
    keras.utils.set_random_seed(0)
    model = MetaGPT(source_length=120, target_length=13, dim=16, num_heads=2, num_layers=1)
    learner = MetaLearner(model, MAML(1, 0.05))
    learner.compile(keras.optimizers.Adam(1e-3))
    episodes = InContextTokens(GRAMMARS, length=120).as_dataset(2, 5, 4, num_batches=1)
    logs = learner.evaluate(episodes, verbose=0, return_dict=True)
    assert logs["loss"] < logs["pre_loss"]


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"expected x \(N, S\) and y \(N, T\) of integers, received .*float32"):
        InContextTokens(Sinusoid(), 20).sample(SEED, 3, 2)
    with pytest.raises(ValueError, match="length=31 has no room for sources of 32 tokens"):
        InContextTokens(GRAMMARS, 31).sample(SEED, 5, 2)
    with pytest.raises(TypeError, match="wraps a TaskDistribution, received str"):
        InContextTokens("grammars", 31)  # type: ignore[arg-type]
