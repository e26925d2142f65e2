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


def attention_figure(weights: Any, source_tokens: Sequence[str], target_tokens: Sequence[str], title: str = "") -> Any:
    """Attention weights as maps of grey, one panel a head: dark is where a row looks.

    Args:
        weights: `(H, T, S)` in [0, 1], rows that sum to 1, such as one of `attention_maps`.
        source_tokens: S labels of what is looked at, the columns.
        target_tokens: T labels of what looks, the rows.
        title: of the figure.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: weights without three axes, or labels that do not fit them.
    """
    from matplotlib.figure import Figure

    weights = np.asarray(weights, dtype="float64")
    if weights.ndim != 3 or weights.shape[1:] != (len(target_tokens), len(source_tokens)):
        raise ValueError(
            f"weights have shape {weights.shape}, expected (heads, rows, columns) with {len(target_tokens)} rows and "
            f"{len(source_tokens)} columns, as many as there are target and source tokens."
        )
    heads, rows, columns = weights.shape
    across = min(heads, 4)
    down = -(-heads // across)
    figure = Figure(figsize=(across * (0.2 * columns + 1.2), down * (0.2 * rows + 1.4)), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).flat
    # Labels are text and no formulas: a token may be a lone dollar sign.
    text = {"fontsize": 7, "fontfamily": "monospace", "parse_math": False}
    for head, axes in enumerate(panels):
        if head >= heads:
            axes.set_visible(False)
            continue
        image = axes.imshow(weights[head], cmap="Greys", vmin=0.0, vmax=1.0, aspect="auto")
        axes.set_title(f"head {head}", fontsize=8)
        axes.set_xticks(range(columns), list(source_tokens), rotation=90, **text)
        axes.set_yticks(range(rows), list(target_tokens), **text)
    figure.colorbar(image, ax=figure.axes, label="weight")
    figure.suptitle(title, parse_math=False)
    return figure


def front_figure(points: Mapping[str, tuple[float, float]], xlabel: str, ylabel: str, title: str) -> Any:
    """Two costs of each variant, and the front of those that no other beats in both.

    Args:
        points: name to `(x, y)`, less of either being better.
        xlabel, ylabel, title: of the figure.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: no points.
    """
    from matplotlib.figure import Figure

    if not points:
        raise ValueError("front_figure needs at least one point, received none.")
    front = [p for p in points.values() if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points.values())]
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*sorted(front), strict=True), drawstyle="steps-post", color="0.7", zorder=0)
    for index, (name, (x, y)) in enumerate(sorted(points.items(), key=lambda item: item[1])):
        axes.plot(x, y, marker="o", color="C0" if (x, y) in front else "C1")
        place = (5, (5, -12, 16)[index % 3])  # above and below in turn: neighbours' names do not meet
        axes.annotate(name, (x, y), textcoords="offset points", xytext=place, fontsize=8)
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    axes.grid(alpha=0.3)
    return figure


def contact_sheet(blocks: Mapping[str, Mapping[str, Any]], title: str = "") -> Any:
    """Small images side by side: a block for each task, a row for each kind of image.

    Args:
        blocks: name of a block -> name of a row -> `(n, H, W, C)` in [0, 1], C 1 (0 is paper, 1 ink) or 3; rows may
            differ in length.
        title: of the figure.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: no rows, or images of different sizes.
    """
    from matplotlib.figure import Figure

    rows = [(f"{block}\n{name}", np.asarray(row)) for block, kinds in blocks.items() for name, row in kinds.items()]
    shapes = {images.shape[1:] for _, images in rows}
    if len(shapes) != 1 or len(next(iter(shapes))) != 3:
        raise ValueError(f"contact_sheet needs rows of images (n, H, W, C) of one size, received {sorted(shapes)}.")
    height, width, channels = next(iter(shapes))
    longest = max(len(images) for _, images in rows)
    figure = Figure(figsize=(1.6 + 0.42 * longest, 0.46 * len(rows) + 0.5), layout="constrained")
    panels = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    look = {"cmap": "Greys", "vmin": 0.0, "vmax": 1.0, "interpolation": "nearest"}
    for axes, (name, images) in zip(panels, rows, strict=True):
        strip = np.full((height, width * longest, channels), 0.0 if channels == 1 else 1.0)
        strip[:, : width * len(images)] = np.concatenate(list(images), axis=1) if len(images) else strip[:, :0]
        axes.imshow(strip.squeeze(-1) if channels == 1 else strip, **look)
        axes.set_yticks([height / 2], [name], fontsize=7, parse_math=False)
        axes.tick_params(length=0)
        axes.set_xticks([])
        axes.spines[:].set_visible(False)
    figure.suptitle(title, fontsize=9, parse_math=False)
    return figure


def pairs_figure(first: Any, second: Any, xlabel: str, ylabel: str, title: str) -> Any:
    """A point for each pair, and the line on which both are equal: below it the second is less.

    Args:
        first, second: `(n,)`.
        xlabel, ylabel, title: of the figure.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: no pairs, or other numbers of them.
    """
    from matplotlib.figure import Figure

    first, second = (np.asarray(values, dtype="float64") for values in (first, second))
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise ValueError(f"Expected as many values of both, received shapes {first.shape} and {second.shape}.")
    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.subplots()
    ends = [min(first.min(), second.min()), max(first.max(), second.max())]
    axes.plot(ends, ends, color="0.7", zorder=0)
    axes.scatter(first, second, s=16)
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    axes.grid(alpha=0.3)
    return figure
