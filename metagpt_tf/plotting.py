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
