"""Weak scaling on loopback: as many tasks a process, more processes; how long does an outer step take?

Each process of `MultiWorkerMirroredStrategy` has the same cores to itself and the same number of tasks, so that a step
of two would take as long as a step of one if sharing gradients were free. Clusters are started in turn (1 2, 1 2), so
that a machine that slows down slows all of them. Loopback has no wire: the figure is a bound on what software costs.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from contestants.meta_data import add_options
from machine import busy_seconds, cores, describe, sentence
from rounds import CLEAN, QUIET, require_product, table, write_json

UNSETTLED = ("json", "processes", "rounds", "worker")
PATIENCE_SECONDS = 1800


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--processes", type=int, nargs="+", default=[1, 2], help="sizes of the clusters, the first is the yardstick")
    add("--cores", type=int, help="cores of one process (default: all, shared by the largest cluster)")
    add_options(add, "tasks of one process in a meta-batch")
    add("--inner-steps", type=int, default=2)
    add("--inner-learning-rate", type=float, default=0.1)
    add("--outer-learning-rate", type=float, default=1e-3)
    add("--steps", type=int, default=12, help="measured steps a round")
    add("--rounds", type=int, default=3, help="rounds over all clusters")
    add("--seed", type=int, default=0)
    add("--json", metavar="PATH", help="write the results there")
    add("--worker", help=argparse.SUPPRESS)  # the child's order, as JSON
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.worker:
        work(json.loads(options.worker))
        return
    require_product()
    largest = max(options.processes)
    options.cores = options.cores or max(1, cores() // largest)
    if options.cores * largest > cores():
        raise SystemExit(f"{largest} processes of {options.cores} cores need more than the {cores()} cores here.")
    machine = describe()
    print(sentence(machine))
    print(
        f"MetaGPT {options.layers}+{options.layers} layers, dim {options.dim}; {options.tasks} tasks a process, second "
        f"order (MAML), {options.inner_steps} inner steps; {options.cores} cores a process, {options.rounds} rounds of "
        f"{options.steps} steps in turn, loopback, float32.\n"
    )
    settings = {key: value for key, value in vars(options).items() if key not in UNSETTLED}
    reports: dict[int, list[Any]] = {count: [] for count in options.processes}
    for _ in range(options.rounds):
        for count in options.processes:
            reports[count].append(cluster(count, settings))
    results = {str(count): summary(found) for count, found in reports.items()}
    efficiency = show(results)
    content = {"benchmark": "scaling", "machine": machine, "settings": settings, "results": results}
    write_json(options.json, {**content, "efficiency": efficiency})


# -------------------------------------------------------------------- the parent's side


def cluster(count: int, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The reports of `count` processes that trained together, from their start to their end."""
    hosts = [f"127.0.0.1:{port}" for port in free_ports(count)]
    with tempfile.TemporaryDirectory() as folder:
        running = [start(index, hosts, settings, Path(folder)) for index in range(count)]
        try:
            for index, process in enumerate(running):
                if process.wait(timeout=PATIENCE_SECONDS):
                    said = (Path(folder) / f"{index}.log").read_text(encoding="utf-8")
                    raise SystemExit(f"Process {index} of {count} failed. The end of what it said:\n{said[-3000:]}")
        finally:
            for process in running:
                process.kill()
                process.wait()
        return [json.loads((Path(folder) / f"{i}.json").read_text(encoding="utf-8")) for i in range(count)]


def start(index: int, hosts: list[str], settings: dict[str, Any], folder: Path) -> subprocess.Popen:
    """Start one process; a cluster of one gets no `TF_CONFIG`."""
    order = {**settings, "index": index, "processes": len(hosts), "folder": str(folder)}
    environment = {**os.environ, **QUIET}
    environment.pop("TF_CONFIG", None)
    if len(hosts) > 1:
        task = {"type": "worker", "index": index}
        environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": hosts}, "task": task})
    with (folder / f"{index}.log").open("w") as log:
        command = [sys.executable, __file__, "--worker", json.dumps(order)]
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def summary(rounds: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """Medians over the steps of all rounds; every process sees the same steps, so the first one's clock counts.

    Raises:
        SystemExit: the processes of a cluster ended with different losses.
    """
    for reports in rounds:
        if any(report["loss"] != reports[0]["loss"] for report in reports):
            raise SystemExit(f"Processes of one cluster disagree: losses {[report['loss'] for report in reports]}.")
    firsts = [reports[0] for reports in rounds]
    others = [
        max(0.0, (reports[0]["busy_seconds"] - sum(r["cpu_seconds"] for r in reports)) / reports[0]["wall_seconds"])
        for reports in rounds
        if reports[0]["busy_seconds"] is not None
    ]
    return {
        "median_ms": round(1e3 * statistics.median(s for report in firsts for s in report["seconds"]), 3),
        "fastest_ms": round(1e3 * min(s for report in firsts for s in report["seconds"]), 3),
        "round_medians_ms": [round(1e3 * statistics.median(report["seconds"]), 3) for report in firsts],
        "peak_mib": round(max(report["peak_mib"] for reports in rounds for report in reports)),
        "gradient_bytes": firsts[0]["gradient_bytes"],
        "cores_of_others": round(max(others), 2) if others else None,
        "loss": firsts[0]["loss"],
    }


def show(results: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Print the table; returns each cluster's efficiency, the yardstick's time of a step divided by its own."""
    first = next(iter(results.values()))
    efficiency = {count: round(first["median_ms"] / r["median_ms"], 4) for count, r in results.items()}
    head = ["processes", "ms a step", "fastest", "rounds", "efficiency", "peak MiB a process", "gradients MiB"]
    rows = [
        [
            count,
            f"{r['median_ms']:.1f}",
            f"{r['fastest_ms']:.1f}",
            " ".join(f"{m:.0f}" for m in r["round_medians_ms"]),
            f"{efficiency[count]:.3f}",
            f"{r['peak_mib']}",
            f"{r['gradient_bytes'] / 2**20:.2f}",
        ]
        for count, r in results.items()
    ]
    table(head, rows)
    disturbed = {count: r["cores_of_others"] for count, r in results.items() if (r["cores_of_others"] or 0) > CLEAN}
    if disturbed:
        print(f"  NOT CLEAN: other processes kept cores busy meanwhile (up to, in a round): {disturbed}.")
    return efficiency


# -------------------------------------------------------------------- the child's side


def work(order: dict[str, Any]) -> None:
    """Train in one process of a cluster, and leave a report in the folder."""
    mine = range(order["index"] * order["cores"], (order["index"] + 1) * order["cores"])
    if hasattr(os, "sched_setaffinity"):
        available = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, [available[i] for i in mine])
    os.environ["OMP_NUM_THREADS"] = str(order["cores"])
    # The strategy must exist before anything else of TensorFlow is used.
    import tensorflow as tf

    joined = order["processes"] > 1
    strategy = tf.distribute.MultiWorkerMirroredStrategy() if joined else tf.distribute.get_strategy()
    report = measured(strategy, order)
    (Path(order["folder"]) / f"{order['index']}.json").write_text(json.dumps(report), encoding="utf-8")


def measured(strategy: Any, order: dict[str, Any]) -> dict[str, Any]:
    """Seconds of each step after the first ones, and what they took of the machine."""
    import keras
    import numpy as np
    import tensorflow as tf
    from contestants.meta_data import episode
    from contestants.meta_keras import _StepClock, build_model
    from worker import peak_mib

    from metagpt_tf.meta import MAML, MetaLearner
    from metagpt_tf.tasks import Episode

    with strategy.scope():
        model = build_model({**order, "weights": f"{order['folder']}/{order['index']}.npz"})
        learner = MetaLearner(model, MAML(order["inner_steps"], order["inner_learning_rate"]))
        learner.compile(keras.optimizers.Adam(order["outer_learning_rate"]), metrics=[])
    together = order["tasks"] * order["processes"]
    tasks = tf.data.Dataset.from_tensor_slices(Episode(*episode({**order, "tasks": together})))
    episodes = tasks.batch(together, drop_remainder=True)
    learner.fit(episodes.repeat(2), verbose=0)
    clock = _StepClock()
    began, cpu, busy = time.perf_counter(), time.process_time(), busy_seconds()
    history = learner.fit(episodes.repeat(order["steps"] + 1), verbose=0, callbacks=[clock]).history
    return {
        "seconds": np.diff(clock.ends).tolist(),
        "wall_seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
        "busy_seconds": None if busy is None else busy_seconds() - busy,
        "peak_mib": peak_mib(),
        "gradient_bytes": 4 * sum(int(np.prod(v.shape)) for v in learner.trainable_variables),
        "loss": history["loss"][-1],
    }


if __name__ == "__main__":
    main()
