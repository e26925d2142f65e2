"""From rewards to what a policy gradient multiplies: returns, a linear baseline, advantages, and the surrogate loss.

Axes: T steps, N episodes, O observation, F features.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.registry import closest
from metagpt_tf.reinforcement.rollout import Trajectories

SURROGATES = ("likelihood_ratio", "log_likelihood")


def discounted_sums(values: tf.Tensor, discount: float) -> tf.Tensor:
    """`y_t = Σ_{s ≥ t} γ^{s−t} x_s` along the first axis: returns of rewards, or advantages of differences.

    One product with a T × T matrix, and no loop: what runs inside a vectorised task should have few operations.

    Args:
        values: `(T, …) float32`, T static.
        discount: γ in [0, 1].

    Returns:
        As `values`.

    Example:

    >>> discounted_sums(tf.constant([1.0, 0.0, 4.0]), 0.5).numpy().tolist()
    [2.0, 2.0, 4.0]
    """
    ahead = np.arange(values.shape[0])[None] - np.arange(values.shape[0])[:, None]
    matrix = np.where(ahead >= 0, float(discount) ** np.maximum(ahead, 0), 0.0).astype("float32")
    return tf.tensordot(tf.constant(matrix), values, axes=1)


def baseline_features(observations: tf.Tensor) -> tf.Tensor:
    """`[o, o², t, t², t³, 1]` with t in units of 100 steps: `(T, N, O)` to `(T, N, 2 O + 4)`."""
    o = tf.clip_by_value(observations, -10.0, 10.0)
    t = tf.reshape(tf.range(o.shape[0], dtype=tf.float32) / 100.0, [-1, 1, 1]) * tf.ones_like(o[..., :1])
    return tf.concat([o, o**2, t, t**2, t**3, tf.ones_like(t)], axis=-1)


def linear_baseline(observations: tf.Tensor, returns: tf.Tensor, alive: tf.Tensor, ridge: float = 1e-5) -> tf.Tensor:
    """Returns predicted from features of observation and time, by ridge regression on these very episodes.

    Args:
        observations: `(T, N, O)`.
        returns: `(T, N)`.
        alive: `(T, N)`, weights of the steps.
        ridge: weight of the squared coefficients, for steps counted in hundreds.

    Returns:
        Predictions `(T, N)`, 0 where an episode is over.

    Reference: Duan et al., 2016, "Benchmarking Deep Reinforcement Learning for Continuous Control".
    """
    features = baseline_features(observations)
    rows = tf.cast(tf.reshape(features * alive[..., None], [-1, features.shape[-1]]), tf.float64)
    targets = tf.cast(tf.reshape(returns * alive, [-1, 1]), tf.float64)
    # In float64: time and its powers are nearly collinear.
    square = tf.matmul(rows, rows, transpose_a=True) + ridge * tf.eye(rows.shape[-1], dtype=tf.float64)
    weights = tf.linalg.solve(square, tf.matmul(rows, targets, transpose_a=True))
    return tf.reshape(tf.cast(tf.matmul(rows, weights), tf.float32), tf.shape(returns))


def advantages(episodes: Trajectories, values: tf.Tensor, discount: float, gae: float) -> tf.Tensor:
    """Generalised advantages `Σ (γλ)^k δ_{t+k}`, `δ_t = r_t + γ V_{t+1} − V_t`, standardised over living steps.

    Args:
        episodes: what happened.
        values: V, `(T, N)`; 0 where an episode is over, as after the horizon.
        discount: γ.
        gae: λ; 1 for returns minus baseline.

    Returns:
        `(T, N)` of mean 0 and deviation 1, 0 where an episode is over; gradients stopped.
    """
    after = tf.concat([values[1:], tf.zeros_like(values[:1])], axis=0)
    raw = discounted_sums((episodes.rewards + discount * after - values) * episodes.alive, discount * gae)
    count = tf.reduce_sum(episodes.alive)
    mean = tf.reduce_sum(raw * episodes.alive) / count
    centred = (raw - mean) * episodes.alive
    deviation = tf.sqrt(tf.reduce_sum(centred**2) / count)
    return tf.stop_gradient(centred / (deviation + 1e-8))


def surrogate_loss(log_prob: tf.Tensor, advantage: tf.Tensor, alive: tf.Tensor, kind: str) -> tf.Tensor:
    """The scalar `()` whose gradient is the policy gradient, a mean over living steps.

    `"log_likelihood"` is `−mean(log π · A)`. Differentiated a second time, as the outer loop does, it lacks the part of
    the policy gradient's own derivative that comes from the sampling of the trajectories. `"likelihood_ratio"` is
    `−mean(π / stop(π) · A)`: the same gradient, and its derivative keeps that part for each step by itself (the
    low-variance curvature of ProMP; DiCE also multiplies the steps before it, which is unbiased and noisier).

    Args:
        log_prob: `log π(a_t | s_t)`, `(T, N)`.
        advantage: `(T, N)`.
        alive: `(T, N)`.
        kind: `"likelihood_ratio"` or `"log_likelihood"`.

    Reference: Foerster et al., 2018, "DiCE"; Rothfuss et al., 2019, "ProMP: Proximal Meta-Policy Search".
    """
    factor = log_prob if kind == "log_likelihood" else tf.exp(log_prob - tf.stop_gradient(log_prob))
    return -tf.reduce_sum(factor * advantage * alive) / tf.reduce_sum(alive)


def check_surrogate(kind: Any) -> str:
    """Return `kind`, or say which there are.

    Raises:
        ValueError: an unknown one.
    """
    if kind not in SURROGATES:
        raise ValueError(f"Unknown surrogate {kind!r}. {closest(str(kind), SURROGATES)}")
    return kind
