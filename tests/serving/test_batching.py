"""Joining requests: everybody gets their own rows, one bad request spoils nobody else's."""

import threading
import time

import numpy as np
import pytest

from metagpt_tf.serving.batching import Batcher


@pytest.fixture
def batcher():
    made = Batcher(max_rows=4, wait_seconds=0.05)
    yield made
    made.close()


def row(value, rows=1):
    return {"x": np.full((rows, 2), value)}


def test_requests_are_joined_and_parted(batcher):
    sizes = []

    def double(inputs):
        sizes.append(len(inputs["x"]))
        time.sleep(0.02)  # while this runs, the others gather
        return {"y": 2 * inputs["x"]}

    futures = [batcher.submit("k", double, row(value, 1 + value % 2)) for value in range(8)]
    for value, future in enumerate(futures):
        np.testing.assert_array_equal(future.result(5)["y"], np.full((1 + value % 2, 2), 2 * value))
    assert sum(sizes) == 12 and max(sizes) <= 4 and len(sizes) < 8


def test_what_differs_is_not_joined(batcher):
    seen = []
    call = lambda inputs: seen.append(len(inputs["x"])) or {"y": inputs["x"]}  # noqa: E731
    futures = [batcher.submit(key, call, row(0)) for key in "abab"]
    assert all(future.result(5) for future in futures) and seen == [1, 1, 1, 1]


def test_one_bad_row_spoils_nobody(batcher):
    def strict(inputs):
        if (inputs["x"] < 0).any():
            raise ValueError("below zero")
        return {"y": inputs["x"]}

    futures = [batcher.submit("k", strict, row(value)) for value in (1, -1, 2)]
    assert futures[0].result(5)["y"][0, 0] == 1 and futures[2].result(5)["y"][0, 0] == 2
    with pytest.raises(ValueError, match="below zero"):
        futures[1].result(5)


def test_outputs_without_a_row_each_are_not_parted(batcher):
    call = lambda inputs: {"y": np.unique(inputs["x"])}  # noqa: E731
    futures = [batcher.submit("k", call, row(value)) for value in (1, 1, 2)]
    assert [future.result(5)["y"].tolist() for future in futures] == [[1], [1], [2]]


def test_a_cancelled_request_is_left_out(batcher):
    gate, calls = threading.Event(), []

    def wait(inputs):
        gate.wait(5)
        calls.append(inputs["x"][:, 0].tolist())
        return {"y": inputs["x"]}

    first = batcher.submit("k", wait, row(0, 4))
    second, third = (batcher.submit("k", wait, row(value)) for value in (1, 2))
    assert second.cancel()
    gate.set()
    assert first.result(5) and third.result(5) and calls == [[0, 0, 0, 0], [2]]


def test_closing_answers_what_waits():
    made = Batcher()
    future = made.submit("k", lambda inputs: {"y": inputs["x"]}, row(3))
    made.close()
    assert future.result(0)["y"][0, 0] == 3
    with pytest.raises(RuntimeError, match="stopping"):
        made.submit("k", lambda inputs: {"y": inputs["x"]}, row(3))


def test_a_lonely_request_is_answered_at_once():
    batcher = Batcher(max_rows=4, wait_seconds=5.0)
    call = lambda inputs: {"y": inputs["x"]}  # noqa: E731
    start = time.monotonic()
    for _ in range(3):
        batcher.submit("k", call, row(1)).result(5)
    assert time.monotonic() - start < 2.0
    batcher.close()
