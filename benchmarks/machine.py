"""The machine a benchmark ran on, in words that give away neither a path nor a host name."""

import datetime
import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = ("metagpt_tf", "tensorflow", "keras", "numpy", "jax", "jaxlib", "torch", "transformers")
VECTOR_UNITS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd", "sve")


def describe() -> dict[str, Any]:
    """Processor, cores, memory, system family, versions and date, ready for `json.dump`.

    Libraries are looked up and not imported: whoever measures memory must not carry theirs.

    Returns:
        `processor`, `vector_units`, `cores` (those this process may use), `memory_gib`, `system`, `python`,
        `libraries` (name to version, installed ones only), `load_average` (over the last minute, before the
        benchmark), `date` (UTC).

    Example:

    >>> describe()["cores"] >= 1
    True
    """
    return {
        "processor": _processor(),
        "vector_units": [unit for unit in VECTOR_UNITS if unit in _cpuinfo("flags", "Features").split()],
        "cores": cores(),
        "memory_gib": _memory_gib(),
        "system": platform.system(),
        "python": platform.python_version(),
        "libraries": {name: version for name in LIBRARIES if (version := version_of(name))},
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    }


def cores() -> int:
    """Processor cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def version_of(name: str) -> str | None:
    """The installed version of a distribution, `None` where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def sentence(machine: dict[str, Any]) -> str:
    """The description in two lines, for the top of a table."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    return (
        f"{machine['processor']} ({', '.join(machine['vector_units'])}), {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}, {machine['date']}, load before {machine['load_average']}\n"
        f"Python {machine['python']}, {versions}"
    )


def busy_seconds() -> float | None:
    """Processor seconds that all processes have used since the machine started; `None` elsewhere than on Linux."""
    path = Path("/proc/stat")
    if not path.exists():
        return None
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, path.read_text(encoding="utf-8").split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _cpuinfo(*keys: str) -> str:
    """The first value that /proc/cpuinfo has for one of `keys`; empty elsewhere than on Linux."""
    path = Path("/proc/cpuinfo")
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        key, _, value = line.partition(":")
        if key.strip() in keys:
            return value.strip()
    return ""


def _memory_gib() -> float | None:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


if __name__ == "__main__":
    print(json.dumps(describe(), indent=2))
