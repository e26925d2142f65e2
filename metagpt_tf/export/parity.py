"""Do Keras, the SavedModel and the LiteRT file give the same answers?"""

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.export.runner import LiteRTRunner
from metagpt_tf.export.signatures import Exported
from metagpt_tf.meta import MetaLearner

REPEATS = 3


@dataclass(frozen=True)
class ParityRow:
    """One signature of one format against Keras.

    Attributes:
        format: `"saved_model"`, `"litert"` (XNNPACK) or `"litert_no_delegate"`.
        signature: `"adapt"`, `"generate"` or `"predict"`.
        difference: largest absolute difference of floats; for tokens, the share of positions that differ.
        latency_ms: median of a few calls after the first.
        size_bytes: of the whole export.
    """

    format: str
    signature: str
    difference: float
    latency_ms: float
    size_bytes: int


@dataclass(frozen=True)
class ParityReport:
    """All rows, and whether they agree.

    Attributes:
        rows: one for each format and signature.
        tolerance: largest difference that counts as equal.
    """

    rows: list[ParityRow] = field(default_factory=list)
    tolerance: float = 1e-4

    @property
    def max_difference(self) -> float:
        """Largest difference of any row; not a number counts as infinite."""
        values = [row.difference for row in self.rows]
        return float(np.max(np.where(np.isfinite(values), values, np.inf))) if values else 0.0

    @property
    def passed(self) -> bool:
        """Whether every row is within the tolerance."""
        return self.max_difference <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "max_difference": self.max_difference,
            "tolerance": self.tolerance,
            "passed": self.passed,
            "rows": [asdict(row) for row in self.rows],
        }

    def __str__(self) -> str:
        lines = [f"{'format':20}{'signature':12}{'difference':>12}{'ms':>10}{'MB':>8}"]
        for row in self.rows:
            megabytes = row.size_bytes / 1e6
            lines.append(
                f"{row.format:20}{row.signature:12}{row.difference:12.1e}{row.latency_ms:10.1f}{megabytes:8.2f}"
            )
        verdict = "passed" if self.passed else "FAILED"
        return "\n".join(
            [*lines, f"{verdict}: largest difference {self.max_difference:.1e}, tolerance {self.tolerance:.0e}"]
        )


def parity_report(
    learner: MetaLearner,
    saved_model: str | os.PathLike | None = None,
    litert: str | os.PathLike | None = None,
    support: tuple[Any, Any] | None = None,
    inputs: Any = None,
    tolerance: float = 1e-4,
) -> ParityReport:
    """Compare what was exported with the learner in memory: state after `adapt`, tokens of `generate` with that state.

    Args:
        learner: the learner that was exported.
        saved_model: a version's directory, as returned by `export_saved_model`.
        litert: a `.tflite` file, as returned by `export_litert`; run with XNNPACK and without delegates.
        support: `(x, y)` with the K that the LiteRT file was made for.
        inputs: model inputs to compare on; `None` takes the support's.
        tolerance: largest difference that counts as equal.

    Returns:
        A report; `print` it, or read `passed`, `max_difference` and `rows`.

    Raises:
        ValueError: nothing to compare, or no support set.
    """
    if saved_model is None and litert is None:
        raise ValueError("parity_report needs saved_model=… or litert=… (or both) to compare with Keras.")
    if support is None:
        raise ValueError("parity_report needs support=(x, y), a support set to adapt on.")
    reference = _Reference(learner, support, inputs)
    rows: list[ParityRow] = []
    if saved_model is not None:
        rows += reference.compare("saved_model", *_saved_model_calls(saved_model, reference), _size(saved_model))
    if litert is not None:
        for name, delegates in (("litert", True), ("litert_no_delegate", False)):
            runner = LiteRTRunner(litert, delegates=delegates)
            answer = runner.generate if reference.answer_name == "generate" else runner.predict
            one_by_one = lambda x, state, answer=answer: np.concatenate([answer(row[None], state) for row in x])  # noqa: E731
            rows += reference.compare(name, runner.adapt, one_by_one, _size(litert))
    return ParityReport(rows, tolerance)


class _Reference:
    """Keras's answers, and the comparison of others with them."""

    def __init__(self, learner: MetaLearner, support: tuple[Any, Any], inputs: Any) -> None:
        exported = Exported(learner)
        self.support = (np.asarray(support[0]), np.asarray(support[1]))
        self.inputs = np.asarray(self.support[0][:2] if inputs is None else inputs)
        self.answer_name = "generate" if exported.is_generator else "predict"
        self.state = np.asarray(learner.adapt(self.support))
        answer = tf.function(exported.generate if exported.is_generator else exported.predict, autograph=False)
        self.answers = answer(tf.constant(self.inputs), tf.constant(self.state)).numpy()

    def compare(self, name: str, adapt: Callable, answer: Callable, size: int) -> list[ParityRow]:
        state, adapt_ms = _timed(lambda: adapt(*self.support))
        # Keras's state goes to both, so that a difference in adapt is not counted twice.
        answers, answer_ms = _timed(lambda: answer(self.inputs, self.state))
        if self.answers.dtype.kind == "i":
            difference = float(np.mean(self.answers != answers))
        else:
            difference = float(np.max(np.abs(self.answers - answers)))
        return [
            ParityRow(name, "adapt", float(np.max(np.abs(self.state - state))), adapt_ms, size),
            ParityRow(name, self.answer_name, difference, answer_ms / len(self.inputs), size),
        ]


def _saved_model_calls(path: str | os.PathLike, reference: _Reference) -> tuple[Callable, Callable]:
    loaded = tf.saved_model.load(str(path))
    adapt = loaded.signatures["adapt"]
    generator = reference.answer_name == "generate"
    call_adapt = lambda x, y: adapt(support_x=tf.constant(x), support_y=tf.constant(y))["state"].numpy()  # noqa: E731
    if not generator:
        predict = loaded.signatures["predict_adapted"]
        return call_adapt, lambda x, state: predict(x=tf.constant(x), state=tf.constant(state))["output"].numpy()
    generate = loaded.signatures["generate_adapted_ids"]
    return call_adapt, lambda x, state: generate(source=tf.constant(x), state=tf.constant(state))["output"].numpy()


def _timed(call: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    result = call()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return result, 1e3 * float(np.median(times))


def _size(path: str | os.PathLike) -> int:
    path = Path(path)
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(p.stat().st_size for p in files)
