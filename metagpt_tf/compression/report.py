"""What compression costs: size, speed, memory, and what is left of the ability to adapt."""

import dataclasses
import gzip
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.export import export_litert, latency_worker
from metagpt_tf.export.ballast import without_signature
from metagpt_tf.export.litert import first_state
from metagpt_tf.export.runner import LiteRTRunner
from metagpt_tf.files import written_aside
from metagpt_tf.kept_zeros import sparsity
from metagpt_tf.meta import MetaLearner
from metagpt_tf.meta.episodes import as_episode

WORKER = Path(latency_worker.__file__)


@dataclass(frozen=True)
class Row:
    """One variant.

    Attributes:
        variant: its name.
        parameters: weights of the model.
        sparsity: share of zeros in its matrices.
        bytes, gzip_bytes: of its LiteRT file, and of the file packed.
        latency_ms_p50, latency_ms_p95: of one answer (`generate`, all tokens, or `predict`), one thread.
        adapt_ms_p50: of one adaptation to K examples.
        peak_mb: memory that loading and running the file took, in MiB.
        before, after: mean loss of the queries times the report's `unit` (bits, of a cross-entropy), without and with
            the state that the file's own `adapt` returned.
        gain_kept: `(before − after)` as a share of the first variant's.
    """

    variant: str
    parameters: int
    sparsity: float
    bytes: int
    gzip_bytes: int
    latency_ms_p50: float
    latency_ms_p95: float
    adapt_ms_p50: float
    peak_mb: float
    before: float
    after: float
    gain_kept: float


@dataclass(frozen=True)
class CompressionReport:
    """All variants; the first is what the others are compared with.

    Attributes:
        rows: one for each variant.
        k_shot, steps: examples and inner steps of an adaptation.
    """

    rows: list[Row]
    k_shot: int
    steps: int

    def ratios(self, variant: str) -> dict[str, float]:
        """A variant's size, packed size, latency, and loss after adaptation, each divided by the first's.

        Raises:
            KeyError: no such variant.
        """
        first, row = self.rows[0], {row.variant: row for row in self.rows}[variant]
        names = ("bytes", "gzip_bytes", "latency_ms_p50", "after")
        return {name: getattr(row, name) / getattr(first, name) for name in names}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        columns = [f.name for f in dataclasses.fields(Row) if f.name not in ("variant", "latency_ms_p95")]
        width = max(len(row.variant) for row in self.rows)
        lines = [f"{'variant':{width}}" + "".join(f"{name:>16}" for name in columns)]
        for row in self.rows:
            values = (getattr(row, name) for name in columns)
            cells = (f"{value:16,}" if isinstance(value, int) else f"{value:16.3f}" for value in values)
            lines.append(f"{row.variant:{width}}" + "".join(cells))
        return "\n".join(lines)


def compression_report(
    variants: Mapping[str, MetaLearner | tuple[MetaLearner, str]],
    episodes: tf.data.Dataset,
    steps: int | None = None,
    folder: str | Path | None = None,
    unit: float = 1.0 / math.log(2.0),
    repeats: int = 20,
) -> CompressionReport:
    """Export each variant to LiteRT and measure the file, on held-out tasks, before and after it has adapted.

    Args:
        variants: name to a learner, or to a learner and a quantization of `export_litert`; the first is the reference.
        episodes: finite, of held-out tasks, as many queries as support examples (a file has one K).
        steps: inner steps of an adaptation; `None` for each learner's own.
        folder: where the files stay; `None` to drop them.
        unit: factor on losses; the default turns nats into bits.
        repeats: calls that are timed.

    Returns:
        The report; `print` it, or read `rows` and `ratios`.

    Raises:
        ValueError: no variants, no episodes, or queries of another number than K.
    """
    tasks = [tuple(np.asarray(part) for part in task) for batch in episodes for task in zip(*batch, strict=True)]
    _check(variants, tasks)
    k_shot = len(tf.nest.flatten(tasks[0][0])[0])
    rows: list[Row] = []
    labels = tf.nest.flatten(tasks[0][1])[0]
    target = tf.TensorSpec(labels.shape[1:], labels.dtype)
    with tempfile.TemporaryDirectory() as temporary:
        for name, variant in variants.items():
            learner, quantization = variant if isinstance(variant, tuple) else (variant, "float32")
            place = Path(folder or temporary)
            place.mkdir(parents=True, exist_ok=True)
            with inner_steps(learner, steps):
                measured = export_litert(
                    learner,
                    Path(temporary) / "loss.tflite",
                    k_shot,
                    quantization=quantization,
                    target=target,
                    with_loss=True,
                )
            path = place / f"{name}.tflite"
            with written_aside(path) as aside:
                aside.write_bytes(without_signature(measured.read_bytes(), "loss"))
            losses = losses_of_file(measured, learner, quantization, tasks)
            before, after = (unit * value for value in losses)
            rows.append(_row(name, learner, path, before, after, rows[0] if rows else None, repeats))
    first = next(iter(variants.values()))
    own = (first[0] if isinstance(first, tuple) else first).algorithm.inner_steps
    return CompressionReport(rows, k_shot, own if steps is None else steps)


def _row(
    name: str, learner: MetaLearner, path: Path, before: float, after: float, first: Row | None, repeats: int
) -> Row:
    gain = first.before - first.after if first else before - after
    times = timings(path, repeats)
    return Row(
        variant=name,
        parameters=learner.model.count_params(),
        sparsity=sparsity(learner.model),
        bytes=path.stat().st_size,
        gzip_bytes=len(gzip.compress(path.read_bytes(), 9)),
        latency_ms_p50=times["latency_ms_p50"],
        latency_ms_p95=times["latency_ms_p95"],
        adapt_ms_p50=times["adapt_ms_p50"],
        peak_mb=times["peak_mb"],
        before=before,
        after=after,
        gain_kept=(before - after) / gain if gain else math.nan,
    )


def losses_of_file(path: Path, learner: MetaLearner, quantization: str, tasks: list[Any]) -> tuple[float, float]:
    """Mean query loss over tasks, before and after the file has adapted to each; the file has the signature `loss`."""
    runner, nothing = LiteRTRunner(path, num_threads=1), first_state(learner, quantization)
    found = []
    for task in tasks:
        episode = as_episode(task)
        state = runner.adapt(episode.support_x, episode.support_y)
        found.append([runner.loss(episode.query_x, episode.query_y, given) for given in (nothing, state)])
    before, after = np.mean(found, axis=0)
    return float(before), float(after)


def timings(path: Path, repeats: int = 20) -> dict[str, float]:
    """Latency and memory of a file in a process of its own, one thread.

    Raises:
        RuntimeError: the file does not run.
    """
    done = subprocess.run(
        [sys.executable, str(WORKER), str(path), str(repeats)], capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{path} does not run: the process ended with {done.returncode}. {done.stderr[-500:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


@contextmanager
def inner_steps(learner: MetaLearner, steps: int | None) -> Iterator[None]:
    """Within the block, an adaptation takes so many steps."""
    algorithm = learner.algorithm
    before = algorithm.inner_steps
    algorithm.inner_steps = before if steps is None else steps
    try:
        yield
    finally:
        algorithm.inner_steps = before


def _check(variants: Mapping[str, Any], tasks: list[Any]) -> None:
    if not variants or not tasks:
        raise ValueError(f"Expected variants and held-out tasks, received {len(variants)} and {len(tasks)}.")
    support, queries = (len(tf.nest.flatten(tasks[0][part])[0]) for part in (0, 2))
    if support != queries:
        raise ValueError(
            f"A file measures as many examples as it adapts to: expected n_query = k_shot, received {queries} queries "
            f"and K = {support}. Make the episodes with n_query={support}."
        )
