"""Known tokens are written where they are known, and what is between them is the model's own choice."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.generation import Beam, Random, decode, forced
from metagpt_tf.models import MetaGPT


def successor(tokens, position, cache):
    """The token after the one that was read is the likeliest."""
    return 20.0 * tf.one_hot((tokens + 1) % 8, 8), cache


@pytest.mark.parametrize("sampler", ["greedy", Beam(2), Random(0.1)], ids=["greedy", "beam", "random"])
def test_what_is_open_goes_on_from_what_is_known(sampler) -> None:
    known = tf.constant([[-1, 6, -1, 3, -1], [5, -1, -1, -1, -1]])
    ids = decode(
        forced(successor), ((), known), 2, bos_id=1, eos_id=0, pad_id=0, max_length=5, sampler=sampler, seed=(0, 1)
    )
    np.testing.assert_array_equal(ids, [[2, 6, 7, 3, 4], [5, 6, 7, 0, 0]])


def test_a_model_fills_in() -> None:
    keras.utils.set_random_seed(0)
    model = MetaGPT(source_length=16, target_length=12, dim=16, num_heads=2, num_layers=1)
    free = model.text_generator.ids(["abc", "de"])
    known = np.full((2, 4), -1)
    known[:, 1] = 77
    filled = model.text_generator.ids(["abc", "de"], known=known)
    assert (filled[:, 1] == 77).all() and (filled[:, 0] == free[:, 0]).all() and (free[:, 1] != 77).any()
    np.testing.assert_array_equal(model.text_generator.ids(["abc", "de"], known=np.full((2, 12), -1)), free)


@pytest.mark.parametrize("shape", [(1, 4), (2, 13), (2,)])
def test_known_tokens_of_another_shape(shape) -> None:
    model = MetaGPT(source_length=16, target_length=12, dim=8, num_heads=2, num_layers=1)
    with pytest.raises(ValueError, match=r"known must be whole numbers \(2, at most 12\)"):
        model.text_generator.ids(["abc", "de"], known=np.zeros(shape, int))
