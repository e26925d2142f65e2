"""Progress of long work on standard error: a line for what is under way, a bar while a model trains."""

from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

errors = Console(stderr=True)


class Stages(Progress):
    """Shows which stage is under way; `report` names the next, `callback()` gives it a bar while a `fit` runs.

    Example:

    >>> with Stages("starting") as stages:  # doctest: +SKIP
    ...     stages.report("training")
    ...     model.fit(data, callbacks=[stages.callback()])
    """

    def __init__(self, first: str) -> None:
        bar = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(30),
            TaskProgressColumn(),
            TimeElapsedColumn(),
        )
        super().__init__(*bar, console=errors)
        self._stage = self.add_task(first, total=None)

    def report(self, message: str) -> None:
        """Close the present stage and open the next."""
        self.update(self._stage, total=1, completed=1)
        self._stage = self.add_task(message, total=None)

    def callback(self) -> keras.callbacks.Callback:
        """A Keras callback that moves the present stage's bar batch by batch."""
        return _Bar(self)

    def train_begins(self, batches: int | None) -> None:
        """Give the present stage a bar of so many batches."""
        self.update(self._stage, total=batches, completed=0)

    def batch_ends(self) -> None:
        """Move the bar by one batch."""
        self.advance(self._stage)


class _Bar(keras.callbacks.Callback):
    def __init__(self, stages: Stages) -> None:
        super().__init__()
        self._stages = stages

    def on_train_begin(self, logs: Any = None) -> None:
        steps = self.params.get("steps")
        self._stages.train_begins(steps and steps * self.params.get("epochs", 1))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._stages.batch_ends()
