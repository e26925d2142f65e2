"""Guidance: 1 is the model itself, 0 leaves the description out, and every sampler takes it."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.generation import guided
from metagpt_tf.models import MetaGPT


@pytest.fixture(scope="module")
def model() -> MetaGPT:
    keras.utils.set_random_seed(3)
    model = MetaGPT(source_length=16, target_length=12, dim=16, num_heads=2, num_layers=1)
    for variable in model.trainable_variables:
        variable.assign(4.0 * variable)  # so that an untrained model has something to say, and does not end at once
    return model


def test_logits_are_extrapolated() -> None:
    told, free = tf.constant([[1.0, 4.0]]), tf.constant([[2.0, 1.0]])
    step: Any = lambda tokens, position, cache: (cache, cache)  # noqa: E731
    for guidance, expected in ((0.0, [2.0, 1.0]), (1.0, [1.0, 4.0]), (3.0, [-1.0, 10.0])):
        logits, caches = guided(step, guidance)(tf.constant([0]), tf.constant(0), (told, free))
        np.testing.assert_allclose(logits[0], expected)
        assert caches[0] is told and caches[1] is free


def test_a_model_with_and_without_its_description(model: MetaGPT) -> None:
    generator = model.text_generator
    prompts, without = ["letter g:", "digit 7:"], [":", ":"]
    plain, free = generator.ids(prompts), generator.ids(without)
    np.testing.assert_array_equal(generator.ids(prompts, without=without, guidance=0.0), free)
    np.testing.assert_array_equal(generator.ids(prompts, without=without, guidance=1.0), plain)
    assert (plain != free).any()
    assert (generator.ids(prompts, without=without, guidance=8.0) != plain).any()
    for sampler in ("beam", "top_k"):
        assert generator.ids(prompts, None, sampler, 1, without, 2.0).shape == (2, 12)


@pytest.mark.parametrize("guidance", [-1.0, float("nan"), float("inf")])
def test_what_is_refused(guidance: float) -> None:
    with pytest.raises(ValueError, match="finite number of at least 0"):
        guided(lambda *_: None, guidance)  # type: ignore[arg-type, return-value]
