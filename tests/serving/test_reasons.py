"""What a client is told when a graph refuses: the check's own words, and everything where there are no such words."""

import pytest
import tensorflow as tf

from metagpt_tf.serving.predicting import _reason


def message(function):
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        tf.function(function, autograph=False)(tf.constant([1.0, 2.0]))
    return caught.value.message


def test_the_words_of_a_check_with_one_text():
    check = lambda x: tf.debugging.Assert(tf.reduce_all(x > 5), ["These are too small. Send larger ones."])  # noqa: E731
    said = message(lambda x: [check(x), x][1])
    assert "assertion failed" in said and _reason(said) == "These are too small. Send larger ones."


@pytest.mark.parametrize(
    "function",
    [
        tf.debugging.assert_negative,
        lambda x: tf.debugging.assert_equal(x, x + 1),
        lambda x: tf.debugging.Assert(tf.reduce_all(x > 5), [x, "are too small"]),
    ],
)
def test_other_errors_are_told_whole(function):
    said = message(lambda x: [function(x), x][1])
    assert _reason(said) == said and len(said) > 20
