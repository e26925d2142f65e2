"""The layout that a LiteRT file needs: what is traced, and that it ends with its block."""

import numpy as np
import tensorflow as tf

from metagpt_tf.layers import FeedForward, Projection, shared_weight_layout

from .arrays import noise


def operations(layer, x: np.ndarray) -> list[str]:
    """Types of the operations of a forward and backward pass."""
    layer(x)

    def step(x: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x) ** 2)
        return tape.gradient(loss, [w.value for w in layer.trainable_weights])

    graph = tf.function(step, autograph=False).get_concrete_function(tf.TensorSpec(x.shape)).graph
    return [operation.type for operation in graph.get_operations()]


def test_kernels_are_of_rank_three_inside_the_block_only():
    for x in (noise(4, 6), noise(2, 4, 6)):
        with shared_weight_layout():
            inside = operations(FeedForward(8), x)
        assert "MatMul" not in inside and inside.count("BatchMatMulV2") >= 5  # 2 forward, 3 or 4 backward
        outside = operations(FeedForward(8), x)
        assert "BatchMatMulV2" not in outside and outside.count("MatMul") >= 5


def test_the_layout_ends_with_its_block_even_after_an_error():
    try:
        with shared_weight_layout():
            raise KeyError("stop")
    except KeyError:
        pass
    assert "BatchMatMulV2" not in operations(Projection(3), noise(2, 4))


def test_blocks_nest():
    with shared_weight_layout():
        with shared_weight_layout():
            pass
        assert "MatMul" not in operations(Projection(3), noise(2, 4))
