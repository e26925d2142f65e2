"""Learning in context: one linear self-attention layer with hand-set weights takes one step of gradient descent.

For least squares `L(W) = 1/2n Σ ‖W x_i − y_i‖²` and tokens `e_i = (x_i, y_i)`, a query token `(x, −W_0 x)` and linear
attention `e_j + P V K^T q_j` with `W_K = W_Q = [[I, 0], [0, 0]]`, `W_V = [[0, 0], [W_0, −I]]`, `P = α/n · I`, the layer
writes into every token's y part what one step at rate α changes of its prediction:
`ΔW x_j = −α/n Σ_i (W_0 x_i − y_i) x_iᵀ x_j`.

Reference: von Oswald et al., 2023, "Transformers Learn In-Context by Gradient Descent", proposition 1.
"""

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.meta import MAML


def linear_attention(tokens: tf.Tensor, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, projection: tf.Tensor):
    """Self-attention without softmax over the context (all tokens but the last), with a residual: (N, D) to (N, D)."""
    context = tokens[:-1]
    scores = (tokens @ tf.transpose(query)) @ tf.transpose(context @ tf.transpose(key))
    return tokens + scores @ (context @ tf.transpose(value)) @ tf.transpose(projection)


@pytest.mark.parametrize("start", ["zero", "random"])
@pytest.mark.parametrize(("features", "outputs"), [(3, 1), (4, 2)])
def test_attention_equals_one_inner_step_of_maml(start: str, features: int, outputs: int) -> None:
    random, n, rate = np.random.default_rng(features), 7, 0.25
    x, y, x_query = (
        random.normal(size=(n, features)),
        random.normal(size=(n, outputs)),
        random.normal(size=(1, features)),
    )
    w = np.zeros((outputs, features)) if start == "zero" else random.normal(size=(outputs, features))

    def loss(ws: list[tf.Tensor]) -> tf.Tensor:
        return tf.reduce_sum((x @ tf.transpose(ws[0]) - y) ** 2) / (2 * n)

    adapted = MAML(1, rate).adapt([tf.constant(w)], loss).fast[0].numpy()

    size = features + outputs
    tokens = np.concatenate([np.concatenate([x, y], 1), np.concatenate([x_query, -x_query @ w.T], 1)])
    reads = np.zeros((size, size))
    reads[:features, :features] = np.eye(features)
    value = np.zeros((size, size))
    value[features:, :features], value[features:, features:] = w, -np.eye(outputs)
    projection = rate / n * np.eye(size)
    after = linear_attention(*(tf.constant(t) for t in (tokens, reads, reads, value, projection))).numpy()

    # The context's tokens hold what is left to explain, y_i − ΔW x_i; the query's the negative of its prediction.
    np.testing.assert_allclose(after[:-1, features:], y + x @ (w - adapted).T, rtol=1e-10)
    np.testing.assert_allclose(-after[-1:, features:], x_query @ adapted.T, rtol=1e-10)
    np.testing.assert_array_equal(after[:, :features], tokens[:, :features])
