"""Metrics of a learner: the usual means, and the user's metrics before and after adaptation."""

from collections.abc import Sequence
from typing import Any

import keras


class LearnerMetrics:
    """Means of the losses, and each of the user's metrics twice: `pre_<name>` on the unadapted model, `<name>` after adaptation.

    Args:
        metrics: Keras metrics (names, functions or objects).
    """

    def __init__(self, metrics: Sequence[Any] | None) -> None:
        self.given = list(metrics or [])
        self.loss = keras.metrics.Mean(name="loss")
        self.pre_loss = keras.metrics.Mean(name="pre_loss")
        self.support_loss = keras.metrics.Mean(name="support_loss")
        self.after: list[keras.metrics.Metric] = []
        self.before: list[keras.metrics.Metric] = []
        if all(isinstance(m, keras.metrics.Metric) for m in self.given):
            self.build(None, None)

    def all(self) -> list[keras.metrics.Metric]:
        """Every metric, for Keras to reset between epochs."""
        return [self.loss, self.pre_loss, self.support_loss, *self.after, *self.before]

    def build(self, y_true: Any, y_pred: Any) -> None:
        """Make the metric objects, once shapes are known (`"accuracy"` means a different one for each kind of label)."""
        if self.given and not self.after:
            self.after = [resolve(m, y_true, y_pred) for m in self.given]
            self.before = [_renamed(m, f"pre_{m.name}") for m in self.after]

    def update(
        self, loss: Any, pre_loss: Any, support_loss: Any, y_true: Any, predictions: Any, pre_predictions: Any
    ) -> None:
        """Take in one meta-batch; predictions have leading axes (M, Q)."""
        self.loss.update_state(loss)
        self.pre_loss.update_state(pre_loss)
        self.support_loss.update_state(support_loss)
        if not self.given:
            return
        flat_true, after, before = merge_tasks(y_true), merge_tasks(predictions), merge_tasks(pre_predictions)
        self.build(flat_true, after)
        for metric in self.after:
            metric.update_state(flat_true, after)
        for metric in self.before:
            metric.update_state(flat_true, before)

    def results(self) -> dict[str, Any]:
        """Present values by name, the few that matter first."""
        values = {m.name: m.result() for m in (self.loss, self.pre_loss, self.support_loss)}
        values["adaptation_gain"] = values["pre_loss"] - values["loss"]
        return {**values, **{m.name: m.result() for m in (*self.after, *self.before)}}


def merge_tasks(x: Any) -> Any:
    """(M, Q, …) to (M · Q, …)."""
    return keras.ops.reshape(x, (-1, *x.shape[2:]))


def resolve(metric: Any, y_true: Any, y_pred: Any) -> keras.metrics.Metric:
    """A metric object; `"accuracy"` is resolved by the shapes of labels and predictions, as in `Model.compile`."""
    if metric in ("accuracy", "acc"):
        metric = _accuracy(y_true, y_pred)
    found = keras.metrics.get(metric)
    if isinstance(found, keras.metrics.Metric):
        return found
    return keras.metrics.MeanMetricWrapper(found, name=getattr(found, "__name__", "metric"))


def _accuracy(y_true: Any, y_pred: Any) -> keras.metrics.Metric:
    if y_pred.shape[-1] == 1:
        return keras.metrics.BinaryAccuracy(name="accuracy")
    sparse = len(y_true.shape) < len(y_pred.shape) or y_true.shape[-1] == 1
    kind = keras.metrics.SparseCategoricalAccuracy if sparse else keras.metrics.CategoricalAccuracy
    return kind(name="accuracy")


def _renamed(metric: keras.metrics.Metric, name: str) -> keras.metrics.Metric:
    return type(metric).from_config({**metric.get_config(), "name": name})
