"""Figures; the only file that imports matplotlib, and only when a figure is asked for."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def adaptation_figure(
    steps: Sequence[int], curves: Mapping[str, Any], ylabel: str = "bits per byte", title: str = "Adaptation"
) -> Any:
    """Quality against inner steps, one line a model, with a 95 % interval over tasks.

    Args:
        steps: numbers of inner steps.
        curves: name to `(tasks, len(steps))` values.
        ylabel: what the values are.
        title: of the figure.

    Returns:
        A `matplotlib.figure.Figure`; save it with `figure.savefig(path)`.

    Raises:
        ValueError: a curve that does not have one column for each step.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, values in curves.items():
        values = np.asarray(values, dtype="float64")
        if values.ndim != 2 or values.shape[1] != len(steps):
            raise ValueError(f"Curve {name!r} must have shape (tasks, {len(steps)}), received {values.shape}.")
        mean = values.mean(axis=0)
        half = 1.96 * values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0 * mean
        (line,) = axes.plot(steps, mean, marker="o", label=name)
        axes.fill_between(steps, mean - half, mean + half, color=line.get_color(), alpha=0.15)
    axes.set(xlabel="inner steps", ylabel=ylabel, title=title, xticks=list(steps))
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def rates_figure(rates: Any, names: Sequence[str], title: str = "Learned inner rates") -> Any:
    """Learned rates by tensor and inner step, as a map of colours on a logarithmic scale.

    Args:
        rates: `(steps, tensors)` positive, e.g. `np.exp(learner.algorithm.log_rate)` of
            `MAML(learn_rate="per_tensor_per_step")`.
        names: of the tensors.
        title: of the figure.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: another number of names than tensors.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    rates = np.atleast_2d(np.asarray(rates, dtype="float64"))
    if rates.shape[1] != len(names):
        raise ValueError(f"rates have shape {rates.shape}, (steps, tensors): expected {len(names)} tensors, as named.")
    figure = Figure(figsize=(6, 0.3 * len(names) + 1.5), layout="constrained")
    axes = figure.subplots()
    scale = LogNorm(rates.min(), max(rates.max(), 1.01 * rates.min()))
    image = axes.imshow(rates.T, aspect="auto", cmap="viridis", norm=scale)
    axes.set(xlabel="inner step", title=title, xticks=range(len(rates)), yticks=range(len(names)), yticklabels=names)
    figure.colorbar(image, ax=axes)
    return figure


def clusters_figure(shares: Any, labels: Sequence[str], title: str = "Task clusters") -> Any:
    """Mean share of each cluster in the tasks of each kind.

    Args:
        shares: `(tasks, clusters)`, rows that sum to 1, e.g. from `Hierarchical.assign`.
        labels: the kind of each task.
        title: of the figure.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: another number of labels than tasks.
    """
    from matplotlib.figure import Figure

    shares = np.asarray(shares, dtype="float64")
    if len(shares) != len(labels):
        raise ValueError(
            f"shares have shape {shares.shape}, (tasks, clusters): expected as many labels, not {len(labels)}."
        )
    kinds = list(dict.fromkeys(labels))
    means = np.stack([shares[np.asarray(labels) == kind].mean(axis=0) for kind in kinds])
    figure = Figure(figsize=(6, 0.4 * len(kinds) + 1.5), layout="constrained")
    axes = figure.subplots()
    left = np.zeros(len(kinds))
    for cluster in range(shares.shape[1]):
        axes.barh(kinds, means[:, cluster], left=left, label=f"cluster {cluster}")
        left += means[:, cluster]
    axes.set(xlabel="share", title=title)
    axes.legend(ncols=min(shares.shape[1], 4))
    return figure
