"""An episode whose shapes do not fit is refused with the shapes in the message."""

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.tasks import Episode, check_episode


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def good() -> Episode:
    return Episode(zeros(2, 3, 4), zeros(2, 3, 1), zeros(2, 5, 4), zeros(2, 5, 1))


def test_fields_and_their_order() -> None:
    assert Episode._fields == ("support_x", "support_y", "query_x", "query_y")


def test_good_episodes_pass() -> None:
    check_episode(good())
    check_episode(tuple(good()))
    check_episode(tf.nest.map_structure(tf.constant, good()))
    check_episode(good()._replace(support_x={"a": zeros(2, 3, 4), "b": (zeros(2, 3),)}))
    check_episode(Episode(zeros(3, 4), zeros(3), zeros(5, 4), zeros(5)), batched=False)


def test_axes_that_a_graph_does_not_know_pass() -> None:
    spec = tf.TensorSpec([None, None, 4])
    check_episode(Episode(spec, spec, tf.TensorSpec(None), spec))
    with pytest.raises(ValueError, match="Axis K"):
        check_episode(Episode(tf.TensorSpec([None, 3]), tf.TensorSpec([None, 2]), spec, spec))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"support_x": zeros(2, 0, 4), "support_y": zeros(2, 0, 1)},
            r"support_x has shape \(2, 0, 4\): axis K is empty",
        ),
        ({"query_y": zeros(2, 0, 1)}, r"query_y has shape \(2, 0, 1\): axis Q is empty"),
        ({"support_y": zeros(2, 4, 1)}, r"Axis K \(axis 1\).*support_x \(2, 3, 4\), support_y \(2, 4, 1\)"),
        ({"query_x": zeros(2, 6, 4)}, r"Axis Q \(axis 1\).*query_x \(2, 6, 4\), query_y \(2, 5, 1\)"),
        ({"query_x": zeros(1, 5, 4)}, r"Axis M \(axis 0\).*query_x \(1, 5, 4\)"),
        ({"support_x": zeros(3)}, r"support_x has shape \(3,\); expected leading axes \(M, K, …\).*batched=False"),
        ({"support_x": {}}, "support_x holds no tensor"),
        ({"query_y": None}, "query_y holds no tensor"),
    ],
)
def test_bad_shapes(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_episode(good()._replace(**change))


def test_bad_single_episodes() -> None:
    with pytest.raises(ValueError, match=r"support_y has shape \(\); expected leading axes \(K, …\)"):
        check_episode(Episode(zeros(3, 1), zeros(), zeros(2), zeros(2)), batched=False)


@pytest.mark.parametrize("given", [(1, 2, 3), {"support_x": 1}, None])
def test_not_an_episode(given: object) -> None:
    with pytest.raises(ValueError, match="four fields support_x, support_y, query_x, query_y"):
        check_episode(given)
