"""The development server against the bare SavedModel: what a request costs more, what joining requests saves, and
whether any answer is lost or wrong under load.

Overhead: p50 of one `score` at a time (the shortest signature) over gRPC and REST, less p50 of the same call in this
process, one of each in turn. Batching: answers a second to clients that all ask at once, by a server that joins up to
32 rows against one that joins none. Load: the same clients, with a new version in the middle; every answer is compared
with both versions'.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import describe, sentence
from rounds import require_product, table, write_json

PAGE = os.sysconf("SC_PAGE_SIZE")
ADDRESS = re.compile(r"REST (http://[\d.]+:\d+)/\S* gRPC ([\d.]+:\d+)")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--preset", default="text_nano", help="whose SavedModel is served")
    add("--calls", type=int, default=100, help="of each in a round")
    add("--rounds", type=int, default=3)
    add("--clients", type=int, default=16)
    add("--requests", type=int, default=2000, help="of the load")
    add("--json", metavar="PATH", help="write the results there")
    return parser.parse_args()


def main() -> None:
    options = parse()
    require_product()
    machine = describe()
    print(sentence(machine))
    with tempfile.TemporaryDirectory() as folder:
        root, later = Path(folder) / "served", Path(folder) / "later"
        expected = exported(options.preset, root, later)
        with served(root, 32) as joining, served(root, 1) as alone:
            overhead = measure_overhead(root, joining, options)
            batching = measure_batching(joining, alone, options)
            load = measure_load(joining, root, later, expected, options)
    found = {**overhead, **batching, **load}
    table(["", "measured", "target"], rows(found))
    settings = {key: value for key, value in vars(options).items() if key != "json"}
    write_json(options.json, {"benchmark": "serving", "machine": machine, "settings": settings, **found})


def rows(found: dict[str, Any]) -> list[list[str]]:
    return [
        ["ms more than the bare call, p50, gRPC", f"{found['overhead_ms_p50']:.2f}", "≤ 1"],
        ["ms more than the bare call, p50, REST", f"{found['overhead_ms_p50_rest']:.2f}", ""],
        ["bare call, ms p50", f"{found['bare_ms_p50']:.2f}", ""],
        ["answers a second joined / one by one", f"{found['batching_ratio']:.2f}", "≥ 3"],
        ["ms of a request under load, p99", f"{found['p99_ms']:.1f}", ""],
        ["lost / wrong of requests", f"{found['lost']} / {found['wrong']} of {found['requests']}", "0 / 0"],
        ["MiB grown while one version answered", f"{found['rss_growth_mb']:.1f}", ""],
    ]


def prompts(count: int) -> list[str]:
    return [f"The people of the {index} states " for index in range(count)]


def exported(preset: str, root: Path, later: Path) -> dict[str, list[str]]:
    """Write one version to serve and another for later; each prompt's answers by the first and by the second."""
    import numpy as np

    from metagpt_tf.export import export_saved_model
    from metagpt_tf.models import MetaGPT

    model = MetaGPT.from_preset(preset)
    texts = prompts(8)
    export_saved_model(model, root)
    first = model.generate(texts)
    draw = np.random.default_rng(0)
    model.set_weights([w * (1 + 0.2 * draw.normal(size=w.shape)) for w in model.get_weights()])
    export_saved_model(model, later, version=2)
    return {text: pair for text, *pair in zip(texts, first, model.generate(texts), strict=True)}


class Served:
    """A server in a process of its own, and where it answers."""

    def __init__(self, root: Path, max_batch: int) -> None:
        command = ["serve", "--path", str(root), "--rest-port", "0", "--grpc-port", "0", "--max-batch", str(max_batch)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "metagpt_tf.cli.main", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1", "CUDA_VISIBLE_DEVICES": ""},
        )
        said = ""
        while (found := ADDRESS.search(said)) is None:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError(f"The server ended before it answered: {said}")
            said += line
        self.rest, self.grpc = found.groups()

    def resident(self) -> float:
        """MiB in memory."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE / 2**20


@contextmanager
def served(root: Path, max_batch: int) -> Any:
    server = Served(root, max_batch)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait()


def measure_overhead(root: Path, server: Served, options: argparse.Namespace) -> dict[str, float]:
    import numpy as np

    from metagpt_tf.export.client import GrpcClient, RestClient
    from metagpt_tf.export.readers import TensorFlowReader

    reader, texts = TensorFlowReader(root / "1"), prompts(1)
    text = np.array([texts[0].encode()], object)
    grpc, rest = GrpcClient(server.grpc), RestClient(server.rest)
    calls: dict[str, Callable[[], Any]] = {
        "bare": lambda: reader.call("score", {"source": text, "target": text}),
        "grpc": lambda: grpc.score(texts, texts),
        "rest": lambda: rest.score(texts, texts),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(options.rounds * options.calls):
        for name, call in calls.items():
            times[name].append(timed(call))
    middle = {name: 1e3 * statistics.median(values) for name, values in times.items()}
    return {
        "bare_ms_p50": middle["bare"],
        "overhead_ms_p50": middle["grpc"] - middle["bare"],
        "overhead_ms_p50_rest": middle["rest"] - middle["bare"],
    }


def timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure_batching(joining: Served, alone: Served, options: argparse.Namespace) -> dict[str, Any]:
    rates: dict[str, list[float]] = {"joined": [], "alone": []}
    for _ in range(options.rounds):
        for name, server in (("joined", joining), ("alone", alone)):
            count = options.calls * options.clients // 4
            start = time.perf_counter()
            if lost := asked_at_once(server, count, options.clients):
                raise RuntimeError(f"{lost} of {count} requests had no answer: a rate would mean nothing.")
            rates[name].append(count / (time.perf_counter() - start))
    joined, single = (statistics.median(values) for values in rates.values())
    return {"batching_ratio": joined / single, "answers_per_second": {"joined": joined, "one by one": single}}


def asked_at_once(
    server: Served, count: int, clients: int, done: Callable[[str, str, float], None] | None = None
) -> int:
    """Ask `count` questions from so many clients; how many had no answer."""
    from metagpt_tf.export.client import GrpcClient, ServingError

    texts = prompts(8)

    def one_client(number: int) -> int:
        client, lost = GrpcClient(server.grpc, timeout=120), 0
        for index in range(number, count, clients):
            start = time.perf_counter()
            try:
                answer = client.answer([texts[index % 8]])[0]
            except ServingError:
                lost += 1
                continue
            if done:
                done(texts[index % 8], answer, time.perf_counter() - start)
        client.close()
        return lost

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(one_client, range(clients)))


def measure_load(
    server: Served, root: Path, later: Path, expected: dict[str, list[str]], options: argparse.Namespace
) -> dict[str, Any]:
    """All requests, the second version at half of them; memory is read while one version answers."""
    lock, times, sizes = threading.Lock(), [], []
    counts = {"first": 0, "second": 0, "wrong": 0}
    readings = [round(share * options.requests) for share in (0.2, 0.5, 0.8, 1.0)]

    def done(text: str, answer: str, seconds: float) -> None:
        with lock:
            times.append(1e3 * seconds)
            first, second = expected[text]
            counts["first" if answer == first else "second" if answer == second else "wrong"] += 1
            if len(times) in readings:
                sizes.append(server.resident())
            if len(times) == options.requests // 2:
                os.rename(shutil.copytree(later / "2", root / "half"), root / "2")

    lost = asked_at_once(server, options.requests, options.clients, done)
    if counts["second"] < options.requests // 10:
        raise RuntimeError(f"The second version was hardly asked ({counts}): use more --requests.")
    growth = (sizes[1] - sizes[0]) + (sizes[3] - sizes[2]) if len(sizes) == 4 else float("nan")
    return {
        "p99_ms": statistics.quantiles(times, n=100)[98],
        "requests": options.requests,
        "lost": lost,
        "wrong": counts["wrong"],
        "answers_by_version": [counts["first"], counts["second"]],
        "rss_growth_mb": growth,
    }


if __name__ == "__main__":
    main()
