"""Metrics of a learner: the usual means, and the user's metrics before and after adaptation.

Axes: M meta-batch, Q query.
"""

import re
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

ACCURACY = ("accuracy", "acc")


class LearnerMetrics:
    """Means of the losses, and each of the user's metrics twice: `pre_<name>` before adaptation, `<name>` after it.

    Args:
        metrics: Keras metrics (names, functions or objects), or `None`.
        logs: names of figures that the algorithm reports of each task.

    Raises:
        ValueError: not a flat list, or a metric that Keras does not know.
    """

    def __init__(self, metrics: Sequence[Any] | None, logs: Sequence[str] = ()) -> None:
        self.given = _flat(metrics)
        self.loss = keras.metrics.Mean(name="loss")
        self.pre_loss = keras.metrics.Mean(name="pre_loss")
        self.support_loss = keras.metrics.Mean(name="support_loss")
        self.logs = [keras.metrics.Mean(name=name) for name in logs]
        self.after: list[keras.metrics.Metric] = []
        self.before: list[keras.metrics.Metric] = []
        if not any(_needs_shapes(m) for m in self.given):
            self.build(None, None)

    @property
    def waiting(self) -> bool:
        """Whether `build` still has to be told the shapes of labels and predictions."""
        return bool(self.given) and not self.after

    def all(self) -> list[keras.metrics.Metric]:
        """Every metric, for Keras to reset between epochs."""
        return [self.loss, self.pre_loss, self.support_loss, *self.logs, *self.after, *self.before]

    def build(self, y_true: Any, y_pred: Any) -> None:
        """Make the metric objects; `"accuracy"` means a different one for each kind of label.

        Args:
            y_true: labels `(N, …)`, read for their shape only.
            y_pred: predictions `(N, …)`, read for their shape only.
        """
        self.after = [resolve(m, y_true, y_pred) for m in self.given]
        self.before = [_twin(m, after, y_true, y_pred) for m, after in zip(self.given, self.after, strict=True)]

    def update(
        self, loss: Any, pre_loss: Any, support_loss: Any, y_true: Any, predictions: Any, pre_predictions: Any
    ) -> None:
        """Take in one meta-batch: losses `(M,)`; labels and predictions with leading axes `(M, Q, …)`."""
        self.loss.update_state(loss)
        self.pre_loss.update_state(pre_loss)
        self.support_loss.update_state(support_loss)
        if not self.given:
            return
        parts = (y_true, predictions, pre_predictions)
        flat_true, after, before = (tf.nest.map_structure(merge_tasks, part) for part in parts)
        if self.waiting:
            self.build(flat_true, after)
        for metric in self.after:
            metric.update_state(flat_true, after)
        for metric in self.before:
            metric.update_state(flat_true, before)

    def update_logs(self, logs: dict[str, tuple[Any, Any]]) -> None:
        """Take in what the algorithm reports of a meta-batch: by name, values and weights `(M,)`."""
        for metric in self.logs:
            metric.update_state(*logs[metric.name])

    def results(self) -> dict[str, Any]:
        """Present values by name, the few that matter first."""
        values = {m.name: m.result() for m in (self.loss, self.pre_loss, self.support_loss)}
        values["adaptation_gain"] = values["pre_loss"] - values["loss"]
        return {**values, **{m.name: m.result() for m in (*self.logs, *self.after, *self.before)}}


def merge_tasks(x: Any) -> Any:
    """`(M, Q, …)` to `(M · Q, …)`."""
    return keras.ops.reshape(x, (-1, *x.shape[2:]))


def resolve(metric: Any, y_true: Any, y_pred: Any) -> keras.metrics.Metric:
    """A metric object, named as `Model.compile` would name it; `"accuracy"` is chosen by the shapes.

    Raises:
        ValueError: Keras knows no such metric.
    """
    found = _accuracy(y_true, y_pred) if _needs_shapes(metric) else keras.metrics.get(metric)
    if not isinstance(found, keras.metrics.Metric):
        name = re.sub(r"[^A-Za-z0-9_]", "", getattr(found, "__name__", "")) or "metric"
        found = keras.metrics.MeanMetricWrapper(found, name=name)
    if isinstance(metric, str):
        found.name = metric
    return found


def _twin(given: Any, after: keras.metrics.Metric, y_true: Any, y_pred: Any) -> keras.metrics.Metric:
    """A second metric of the same kind, for the predictions before adaptation."""
    if isinstance(given, keras.metrics.Metric):
        twin = type(given).from_config(given.get_config())
    else:
        twin = resolve(given, y_true, y_pred)
    twin.name = f"pre_{after.name}"
    return twin


def _needs_shapes(metric: Any) -> bool:
    return isinstance(metric, str) and metric.lower() in ACCURACY


def _accuracy(y_true: Any, y_pred: Any) -> keras.metrics.Metric:
    if y_pred.shape[-1] == 1:
        return keras.metrics.BinaryAccuracy()
    sparse = len(y_true.shape) < len(y_pred.shape) or y_true.shape[-1] == 1
    return keras.metrics.SparseCategoricalAccuracy() if sparse else keras.metrics.CategoricalAccuracy()


def _flat(metrics: Any) -> list[Any]:
    if metrics is None:
        return []
    if not isinstance(metrics, (list, tuple)) or any(m is None or isinstance(m, (list, tuple)) for m in metrics):
        raise ValueError(
            f"metrics must be a flat list of names, functions or objects, e.g. ['mae']; received {metrics!r}."
        )
    return list(metrics)
