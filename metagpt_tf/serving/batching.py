"""Requests that ask the same at the same time are answered by one call."""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]


class _Waiting(NamedTuple):
    key: Any
    call: Callable[[Arrays], Arrays]
    inputs: Arrays
    rows: int
    answer: "Future[Arrays]"


class Batcher:
    """Joins inputs along their first axis, calls once, and hands everybody their rows.

    While a call runs, the next batch gathers. After a call that had company a request waits for others until there are
    `max_rows`, or for `wait_seconds`; after a lonely one it is answered at once. What is joined has the same key.

    Args:
        max_rows: most rows of a call.
        wait_seconds: longest time that a request waits for company.
    """

    def __init__(self, max_rows: int = 32, wait_seconds: float = 0.002) -> None:
        self.max_rows, self.wait_seconds = max_rows, wait_seconds
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._kept: _Waiting | None = None
        self._closed, self._company = False, False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def submit(self, key: Any, call: Callable[[Arrays], Arrays], inputs: Arrays) -> "Future[Arrays]":
        """Queue inputs whose arrays have one first axis; the future holds their rows of the answer."""
        if self._closed:
            raise RuntimeError("The server is stopping.")
        answer: Future[Arrays] = Future()
        self._queue.put(_Waiting(key, call, inputs, len(next(iter(inputs.values()))), answer))
        return answer

    def close(self) -> None:
        """Answer what is queued, and stop."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while True:
            first = self._kept or self._queue.get()
            self._kept = None
            if first is None:
                return
            batch = self._gathered(first)
            self._company = len(batch) > 1
            if self._answer(batch):
                return

    def _gathered(self, first: _Waiting) -> list[_Waiting | None]:
        batch: list[_Waiting | None] = [first]
        rows, end = first.rows, time.monotonic() + (self.wait_seconds if self._company else 0.0)
        while rows < self.max_rows:
            try:
                following = self._queue.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                break
            if following is None:
                return [*batch, None]
            if following.key != first.key or rows + following.rows > self.max_rows:
                self._kept = following
                break
            batch.append(following)
            rows += following.rows
        return batch

    def _answer(self, batch: list[_Waiting | None]) -> bool:
        """Call for a batch; whether it ends with the word to stop."""
        waiting = [one for one in batch if one is not None and one.answer.set_running_or_notify_cancel()]
        if waiting:
            try:
                self._call(waiting)
            except Exception as error:  # whatever it is, it is the callers' to handle
                if len(waiting) == 1:
                    waiting[0].answer.set_exception(error)
                else:  # one bad row must not spoil its neighbours' answers
                    for one in waiting:
                        self._alone(one)
        return batch[-1] is None

    @staticmethod
    def _call(waiting: list[_Waiting]) -> None:
        names = list(waiting[0].inputs)
        joined = {name: np.concatenate([one.inputs[name] for one in waiting]) for name in names}
        outputs = waiting[0].call(joined)
        total = sum(one.rows for one in waiting)
        if len(waiting) > 1 and any(len(values) != total for values in outputs.values()):
            raise ValueError("The outputs have no row for each input: these requests are answered one by one.")
        begin = 0
        for one in waiting:
            one.answer.set_result({name: values[begin : begin + one.rows] for name, values in outputs.items()})
            begin += one.rows

    @staticmethod
    def _alone(one: _Waiting) -> None:
        try:
            one.answer.set_result(one.call(one.inputs))
        except Exception as error:  # as above
            one.answer.set_exception(error)
