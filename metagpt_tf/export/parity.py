"""Do Keras, the SavedModel (read in several ways) and the LiteRT file give the same answers?"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from metagpt_tf.export.differences import comparable, difference, first_difference
from metagpt_tf.export.parity_device import RUNNERS, DeviceReference, variants_of
from metagpt_tf.export.parity_reference import Arrays, Reference
from metagpt_tf.export.readers import READERS, Unreadable
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import ImageAutoencoder
from metagpt_tf.suggestions import closest

REPEATS = 3
PIXEL_STEP = 1.001 / 255  # a pixel that rounds the other way is no difference


@dataclass(frozen=True)
class ParityRow:
    """One signature of one format against Keras.

    Attributes:
        format: `"saved_model"` (TensorFlow), `"c_api"`, `"openvino"`, `"litert"` (XNNPACK), `"litert_no_delegate"` or
            `"browser"`, with the name of the variant after a colon where there are several.
        signature: as in the file.
        difference: largest absolute difference of floats; for tokens and texts, the share that differs.
        latency_ms: median of a few calls after the first; of answers for one row.
        size_bytes: of the whole export.
        first: where tokens or texts part, and what stands there; empty if they do not.
        rounded: of a file whose weights are rounded: measured, and not held to the tolerance.
    """

    format: str
    signature: str
    difference: float
    latency_ms: float
    size_bytes: int
    first: str = ""
    rounded: bool = False


@dataclass(frozen=True)
class ParityReport:
    """All rows, and whether they agree.

    Attributes:
        rows: one for each format and signature.
        tolerance: largest difference that counts as equal.
        unreadable: format, signature and reason where a reader lacks an operation; these were not compared.
    """

    rows: list[ParityRow] = field(default_factory=list)
    tolerance: float = 1e-4
    unreadable: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def max_difference(self) -> float:
        """Largest difference of any row that is not rounded; not a number counts as infinite."""
        values = [row.difference for row in self.rows if not row.rounded]
        return float(np.max(np.where(np.isfinite(values), values, np.inf))) if values else 0.0

    @property
    def passed(self) -> bool:
        """Whether something that is not rounded was compared, and every such row is within the tolerance."""
        return not all(row.rounded for row in self.rows) and self.max_difference <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "max_difference": self.max_difference,
            "tolerance": self.tolerance,
            "passed": self.passed,
            "rows": [asdict(row) for row in self.rows],
            "unreadable": [list(one) for one in self.unreadable],
        }

    def __str__(self) -> str:
        lines = [f"{'format':34}{'signature':22}{'difference':>12}{'ms':>10}{'MB':>8}"]
        for row in self.rows:
            megabytes = row.size_bytes / 1e6
            lines.append(
                f"{row.format:34}{row.signature:22}{row.difference:12.1e}{row.latency_ms:10.1f}{megabytes:8.2f}"
                + ("  rounded" if row.rounded else "")
                + (f"  {row.first}" if row.first else "")
            )
        lines += [f"{name:34}{signature:22}not read: {reason}" for name, signature, reason in self.unreadable]
        verdict = "passed" if self.passed else "FAILED"
        return "\n".join(
            [*lines, f"{verdict}: largest difference {self.max_difference:.1e}, tolerance {self.tolerance:.0e}"]
        )


def parity_report(
    learner: MetaLearner,
    saved_model: str | os.PathLike | None = None,
    litert: str | os.PathLike | Mapping[str, str | os.PathLike] | None = None,
    support: tuple[Any, Any] | None = None,
    inputs: Any = None,
    tolerance: float = 1e-4,
    readers: Sequence[str] = ("saved_model",),
    signatures: Sequence[str] | None = None,
    autoencoder: ImageAutoencoder | None = None,
    litert_by: Sequence[str] = ("litert", "litert_no_delegate"),
) -> ParityReport:
    """Compare what was exported with the learner in memory: every signature, adapted and not.

    `adapt` is compared with the learner's own method, the other signatures with the functions that were exported, run
    on the learner's own variables; that those answer as `generate` and the loss do is shown in the tests.

    Args:
        learner: the learner that was exported.
        saved_model: a version's directory, as returned by `export_saved_model`.
        litert: a `.tflite` file, as returned by `export_litert`, or several variants of it by their names.
        support: `(x, y)` with the K that the LiteRT file was made for.
        inputs: model inputs to compare on; `None` takes the support's.
        tolerance: largest difference that counts as equal.
        readers: how the SavedModel is read: `"saved_model"` (TensorFlow without Keras), `"c_api"` (a C program; needs a
            C compiler), `"openvino"` (needs it installed; it cannot read texts).
        signatures: of the SavedModel; `None` for all.
        autoencoder: that it was exported with.
        litert_by: how LiteRT files are run: `"litert"` (with XNNPACK), `"litert_no_delegate"`, `"browser"` (LiteRT.js
            in headless Chromium; needs the extra `browser`).

    Returns:
        A report; `print` it, or read `passed`, `max_difference`, `rows` and `unreadable`.

    Raises:
        ValueError: nothing to compare, no support set, an unknown reader or signature, or a file that has not the
            signatures of this learner.
        Unreadable: a reader's compiler or library is missing.
    """
    if saved_model is None and litert is None:
        raise ValueError("parity_report needs saved_model=… or litert=… (or both) to compare with Keras.")
    if support is None:
        raise ValueError("parity_report needs support=(x, y), a support set to adapt on.")
    reference = Reference(learner, support, inputs, autoencoder)
    report = ParityReport([], tolerance)
    if saved_model is not None:
        names = _known(reference.signatures if signatures is None else signatures, reference.signatures, "signature")
        for reader in _known(readers, READERS, "reader"):
            _compare_saved_model(report, reader, saved_model, reference, names)
    if litert is not None:
        ways = _known(litert_by, RUNNERS, "way to run a LiteRT file")
        report.rows.extend(_litert_rows(litert, ways, reference, learner, autoencoder))
    return report


def _known(names: Sequence[str], there: Any, kind: str) -> Sequence[str]:
    for name in names:
        if name not in there:
            raise ValueError(f"Unknown {kind} {name!r}. {closest(str(name), list(there))}")
    return names


def _compare_saved_model(
    report: ParityReport, reader: str, path: str | os.PathLike, reference: Reference, names: Sequence[str]
) -> None:
    """Add a row, or why there is none, for each signature."""
    reading = READERS[reader](path)
    _check_signatures(path, set(reading.signatures), set(reference.signatures))
    for name in names:
        inputs = {key: _cast(value, reading.signatures[name][key]) for key, value in reference.inputs_of(name).items()}
        try:
            answer = reading.call(name, inputs, REPEATS)
        except Unreadable as error:
            report.unreadable.append((reader, name, str(error)))
            continue
        report.rows.append(_row(reference, reader, name, name, answer.outputs, answer.milliseconds, _size(path)))


def _check_signatures(path: str | os.PathLike, there: set[str], expected: set[str]) -> None:
    if there != expected:
        lacking, more = (", ".join(sorted(names)) or "none" for names in (expected - there, there - expected))
        raise ValueError(
            f"{path} is not an export of this learner: it lacks the signatures {lacking}, and has besides {more}. Give "
            "the directory that export_saved_model returned for it."
        )


def _cast(value: np.ndarray, info: Any) -> np.ndarray:
    """In the type that the file takes: labels, for example, are int64 in NumPy and int32 there."""
    kind = tf.as_dtype(info.dtype)
    return value if kind == tf.string else value.astype(kind.as_numpy_dtype)


def _litert_rows(
    litert: Any, ways: Sequence[str], reference: Reference, learner: MetaLearner, autoencoder: ImageAutoencoder | None
) -> Iterator[ParityRow]:
    """Every signature of every file, with Keras's state, so that a difference in adapt is not counted twice."""
    for variant, path in variants_of(litert).items():
        expected = DeviceReference(reference, learner, path, autoencoder)
        rounded = expected.about["quantization"] != "float32"
        for way in ways:
            with RUNNERS[way](path) as runner:
                for signature, right, found, milliseconds in expected.answers(runner):
                    far, first = _differences(right, found, reference.piece)
                    yield ParityRow(f"{way}{variant}", signature, far, milliseconds, _size(path), first, rounded)


def _row(
    reference: Reference, form: str, name: str, signature: str, outputs: Arrays, milliseconds: float, size: int
) -> ParityRow:
    rows = 1 if signature.startswith("adapt") else len(reference.inputs)
    far, first = _differences(reference.outputs_of(signature), outputs, reference.piece)
    return ParityRow(form, name, far, milliseconds / rows, size, first)


def _differences(expected: Arrays, outputs: Arrays, piece: Callable[[int], str]) -> tuple[float, str]:
    """The largest of all outputs, and where ids part."""
    pairs = {key: (comparable(key, expected[key]), comparable(key, outputs[key])) for key in sorted(expected)}
    far = [difference(*pair) - (PIXEL_STEP if key.endswith("_bytes") else 0.0) for key, pair in pairs.items()]
    return float(np.max([0.0, *far])), next(
        (text for pair in pairs.values() if (text := first_difference(*pair, piece))), ""
    )


def _size(path: str | os.PathLike) -> int:
    path = Path(path)
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(p.stat().st_size for p in files)
