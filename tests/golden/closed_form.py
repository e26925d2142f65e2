"""Linear regression in NumPy, float64: gradients, inner loops and meta-gradients written out by hand.

A task's loss is the mean of (Xw - y)² over its examples, so its gradient is A w - b with A = 2XᵀX/K and b = 2Xᵀy/K.
Features come with a column of ones in place of a bias.
"""

import numpy as np

from metagpt_tf.tasks import Episode


class Regression:
    """One task's loss as a quadratic."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        x = np.concatenate([x, np.ones((len(x), 1))], axis=1).astype("float64")
        self.hessian = 2 * x.T @ x / len(x)
        self.shift = 2 * x.T @ y[:, 0].astype("float64") / len(x)

    def gradient(self, w: np.ndarray) -> np.ndarray:
        return self.hessian @ w - self.shift


def tasks_of(episode: Episode) -> list[tuple[Regression, Regression]]:
    """(support, query) of each task of a meta-batch."""
    return [(Regression(sx, sy), Regression(qx, qy)) for sx, sy, qx, qy in zip(*episode, strict=True)]


def inner_loop(support: Regression, w: np.ndarray, rate: np.ndarray | float, steps: int) -> list[np.ndarray]:
    """φ_0 … φ_n; `rate` is a number or one per weight."""
    path = [w]
    for _ in range(steps):
        path.append(path[-1] - rate * support.gradient(path[-1]))
    return path


def maml_gradient(episode: Episode, w: np.ndarray, rate: float, steps: int) -> np.ndarray:
    """mean over tasks of (I - αA_s)ⁿ (A_q φ_n - b_q)."""
    total = np.zeros_like(w)
    for support, query in tasks_of(episode):
        end = inner_loop(support, w, rate, steps)[-1]
        through = np.linalg.matrix_power(np.eye(len(w)) - rate * support.hessian, steps)
        total += through.T @ query.gradient(end)
    return total / len(episode.support_x)


def first_order_gradient(episode: Episode, w: np.ndarray, rate: float, steps: int) -> np.ndarray:
    """mean over tasks of A_q φ_n - b_q: the inner steps count as constants."""
    ends = [(inner_loop(support, w, rate, steps)[-1], query) for support, query in tasks_of(episode)]
    return np.mean([query.gradient(end) for end, query in ends], axis=0)


def rates_gradient(episode: Episode, w: np.ndarray, rates: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Gradients in w and in one rate per weight: backwards through φ_{i+1} = φ_i - a ∘ g(φ_i)."""
    in_w, in_rates = np.zeros_like(w), np.zeros_like(w)
    for support, query in tasks_of(episode):
        path = inner_loop(support, w, rates, steps)
        back = query.gradient(path[-1])
        for before in reversed(path[:-1]):
            in_rates -= back * support.gradient(before)
            back = back - support.hessian.T @ (rates * back)
        in_w += back
    count = len(episode.support_x)
    return in_w / count, in_rates / count


def reptile_moves(episode: Episode, w: np.ndarray, rate: float, steps: int) -> np.ndarray:
    """mean over tasks of φ_n - θ."""
    return np.mean([inner_loop(support, w, rate, steps)[-1] - w for support, _ in tasks_of(episode)], axis=0)
