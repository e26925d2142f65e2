"""Regression over several families of functions at once: tasks that share no single shape.

Axes: K support, Q query, F families.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from metagpt_tf.datasets.splits import SPLITS
from metagpt_tf.registry import closest
from metagpt_tf.tasks.distribution import TaskDistribution, checked_range, stateless_seed
from metagpt_tf.tasks.episode import Episode

Coefficients = list[tf.Tensor]
Formula = Callable[[tf.Tensor, tf.Tensor, Coefficients], tf.Tensor]


class Family(NamedTuple):
    """One shape of function: its formula, the ranges of its coefficients, and whether it reads both inputs."""

    formula: Formula
    ranges: tuple[tuple[float, float], ...]
    surface: bool = False


# Ranges, formulas and the noise are those of `generate_2D_batch` in the authors' published code.
FAMILIES: dict[str, Family] = {
    "sinusoid": Family(
        lambda x1, x2, c: c[0] * tf.sin(c[1] * x1 + c[2]), ((0.1, 5.0), (0.8, 1.2), (0.0, 2.0 * math.pi))
    ),
    "line": Family(lambda x1, x2, c: c[0] * x1 + c[1], ((-3.0, 3.0), (-3.0, 3.0))),
    "quadratic": Family(lambda x1, x2, c: (c[0] * x1 + c[1]) * x1 + c[2], ((-0.2, 0.2), (-2.0, 2.0), (-3.0, 3.0))),
    "cubic": Family(
        lambda x1, x2, c: ((c[0] * x1 + c[1]) * x1 + c[2]) * x1 + c[3],
        ((-0.1, 0.1), (-0.2, 0.2), (-2.0, 2.0), (-3.0, 3.0)),
    ),
    "quadratic_surface": Family(
        lambda x1, x2, c: c[0] * x1**2 + c[1] * x2**2, ((-1.0, 1.0), (-1.0, 1.0)), surface=True
    ),
    "ripple": Family(
        lambda x1, x2, c: tf.sin(-c[0] * (x1**2 + x2**2)) + c[1], ((-0.2, 0.2), (-3.0, 3.0)), surface=True
    ),
}
COEFFICIENTS = max(len(family.ranges) for family in FAMILIES.values())


class MixedRegression(TaskDistribution):
    """Few-shot regression in two inputs; each task is drawn from one of six families of functions.

    Use it where one initialisation for all tasks should fall short: algorithms that cluster or condition on the task
    are judged here, family by family. A task draws its family uniformly, then its coefficients:

        sinusoid           a sin(w x₁ + b)             a ~ U[0.1, 5], w ~ U[0.8, 1.2], b ~ U[0, 2π]
        line               a x₁ + b                    a, b ~ U[-3, 3]
        quadratic          a x₁² + b x₁ + c            a ~ U[-0.2, 0.2], b ~ U[-2, 2], c ~ U[-3, 3]
        cubic              a x₁³ + b x₁² + c x₁ + d    a ~ U[-0.1, 0.1], b ~ U[-0.2, 0.2], c ~ U[-2, 2], d ~ U[-3, 3]
        quadratic_surface  a x₁² + b x₂²               a, b ~ U[-1, 1]
        ripple             sin(-a (x₁² + x₂²)) + b     a ~ U[-0.2, 0.2], b ~ U[-3, 3]

    and y = f(x) + ε, ε ~ N(0, 0.3²), in support and query alike; x ~ U[0, 5]², where x₂ = 1 in the families that do
    not read it. Formulas, ranges, noise and the constant 1 are those of the authors' published code, which draws x
    from [-5, 5]: `inputs=(-5, 5)` repeats it. The default [0, 5] is the range given for the paper; we have not checked
    it against the text. The random numbers are ours: tasks follow the same rule and are not the paper's very tasks.

    The three splits draw from disjoint streams of random numbers.

    Args:
        families: names from the table above, at least one; default all six, in that order.
        noise: standard deviation of ε, 0 for none.
        inputs: range of x₁ and x₂.
        with_family: give inputs as `(x (K, 2) float32, family (K,) int32)`, the family being a place in `families`:
            for an oracle that is told, or for a metric of each family.

    Raises:
        ValueError: an unknown family (the message suggests the closest), none or one given twice, negative noise, or a
            range that is not two increasing numbers.

    Example:

    >>> import tensorflow as tf
    >>> tasks = MixedRegression(families=("line", "ripple"))
    >>> episode = tasks.sample(tf.constant([0, 0]), k_shot=10, n_query=20)
    >>> episode.support_x.shape, episode.query_y.shape
    (TensorShape([10, 2]), TensorShape([20, 1]))
    >>> tasks.family_indices(8, seed=0).shape
    TensorShape([8])

    Reference: Yao et al. 2020, "Automated Relational Meta-learning", https://arxiv.org/abs/2001.00745 (code:
        https://github.com/huaxiuyao/ARML); Yao et al. 2019, "Hierarchically Structured Meta-learning" (four families).
    """

    def __init__(
        self,
        families: Sequence[str] = tuple(FAMILIES),
        noise: float = 0.3,
        inputs: Sequence[float] = (0.0, 5.0),
        with_family: bool = False,
    ) -> None:
        self.families = _checked_families(families)
        if not 0.0 <= noise < math.inf:
            raise ValueError(f"noise must be a standard deviation >= 0, received {noise!r}.")
        self.noise, self.inputs, self.with_family = float(noise), checked_range("inputs", inputs), with_family

    def family(self, seed: tf.Tensor) -> tf.Tensor:
        """The family of the task that `sample(seed, …)` draws.

        Args:
            seed: `(2,) int32` stateless seed.

        Returns:
            `() int32`, a place in `families`.
        """
        return tf.random.stateless_uniform([], self._seeds(seed)[0], 0, len(self.families), tf.int32)

    def family_indices(self, count: int, seed: int = 0) -> tf.Tensor:
        """The families of the first `count` episodes of `as_dataset(seed=seed)`, for metrics of each family.

        Args:
            count: number of episodes, meta-batches times tasks.
            seed: the dataset's.

        Returns:
            `(count,) int32`, places in `families`.
        """
        stream = stateless_seed(seed)

        @tf.function(autograph=False)  # a loop in Python would be slow
        def families() -> tf.Tensor:
            numbers = tf.range(count, dtype=tf.int64)
            return tf.map_fn(
                lambda number: self.family(tf.random.fold_in(stream, number)), numbers, fn_output_signature=tf.int32
            )

        return families()

    def sample(self, seed: tf.Tensor, k_shot: int, n_query: int) -> Episode:
        """Draw a family, its coefficients and K + Q noisy points; see `TaskDistribution.sample`.

        Args:
            seed: `(2,) int32` stateless seed.
            k_shot: support points K.
            n_query: query points Q.

        Returns:
            An episode of float32: x `(K, 2)` and `(Q, 2)`, with their families if `with_family`; y `(K, 1)`, `(Q, 1)`.
        """
        self.check(k_shot, n_query)
        _, coefficient_seed, input_seed, noise_seed = self._seeds(seed)
        family = self.family(seed)
        rows = k_shot + n_query
        x = tf.random.stateless_uniform([rows, 2], input_seed, *self.inputs)
        y, x = self._values(family, x, tf.random.stateless_uniform([COEFFICIENTS], coefficient_seed))
        y += self.noise * tf.random.stateless_normal([rows, 1], noise_seed)
        inputs: Any = (x, tf.fill([rows], family)) if self.with_family else x
        support, query = (tf.nest.map_structure(lambda t, part=part: t[part], (inputs, y)) for part in _parts(k_shot))
        return Episode(*support, *query)

    def _seeds(self, seed: tf.Tensor) -> list[tf.Tensor]:
        """Seeds of the family, the coefficients, the inputs and the noise."""
        stream = tf.random.fold_in(tf.cast(seed, tf.int32), SPLITS.index(self.split_name))
        return tf.unstack(tf.random.split(stream, 4))

    def _values(self, family: tf.Tensor, x: tf.Tensor, unit: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """f(x) `(rows, 1)` with coefficients made of `unit` in [0, 1), and x with its idle column set to 1."""
        found = [FAMILIES[name] for name in self.families]
        values = []
        for formula, ranges, _ in found:
            drawn = [low + unit[i] * (high - low) for i, (low, high) in enumerate(ranges)]
            values.append(formula(x[:, :1], x[:, 1:], drawn))
        reads_both = tf.constant([entry.surface for entry in found])[family]
        second = tf.where(reads_both, x[:, 1:], tf.ones_like(x[:, 1:]))
        return tf.stack(values)[family], tf.concat([x[:, :1], second], axis=1)


def _parts(k_shot: int) -> tuple[slice, slice]:
    return slice(None, k_shot), slice(k_shot, None)


def _checked_families(families: Sequence[str]) -> tuple[str, ...]:
    names = (families,) if isinstance(families, str) else tuple(families)
    for name in names:
        if name not in FAMILIES:
            raise ValueError(f"Unknown family {name!r}. {closest(str(name), FAMILIES)}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"families must name at least one family, each once; received {names}.")
    return names
