"""Running a program that nobody has read, in a process that may do little. Off unless the caller says otherwise."""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

FIRST_STAGE = Path(__file__).with_name("sandbox_isolation.py")
PROGRAM = "program.py"
GRACE_SECONDS = 2.0
START_SECONDS = 30.0


class SandboxError(RuntimeError):
    """The sandbox could not be set up; the program was not run."""


@dataclass(frozen=True)
class Limits:
    """What a program may use.

    Args:
        seconds: of wall clock, from the program's start; the processor's time is limited to the next whole second
            above.
        memory_bytes: address space of each process.
        output_bytes: kept of standard output and of standard error, each; what is beyond is read and thrown away.
        file_bytes: largest file it may write in its folder; 0 for empty files only.
        open_files: descriptors open at a time.
        processes: of its user, threads included. The kernel counts them for all users but root.
    """

    seconds: float = 5.0
    memory_bytes: int = 512 * 2**20
    output_bytes: int = 64 * 2**10
    file_bytes: int = 0
    open_files: int = 32
    processes: int = 32

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 0 or (value == 0 and name != "file_bytes"):
                raise ValueError(f"Limits: {name} must be above 0, received {value!r}.")


@dataclass(frozen=True)
class SandboxResult:
    """What became of a program.

    Args:
        exit_code: 0 for a normal end; 128 + n if signal n ended it; None if it was stopped at its time limit.
        stdout: what it wrote, cut to the limit.
        stderr: its errors, cut to the limit.
        timed_out: whether it was stopped at its time limit.
        output_cut: whether it wrote more than was kept.
        seconds: of wall clock, from the program's start.
        isolation: the measures that held. The network is closed by `"network namespace"` (the kernel) or else by
            `"audit hook"` alone; files by `"file rules of the kernel"` or else by `"audit hook"` alone.
    """

    exit_code: int | None
    stdout: str
    stderr: str
    timed_out: bool
    output_cut: bool
    seconds: float
    isolation: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the program came to a normal end."""
        return self.exit_code == 0


def run_untrusted(code: str, allow_execution: bool = False, limits: Limits | None = None) -> SandboxResult:
    """Run a Python program with the standard library alone, in a process of its own.

    Use it to test generated code, on a machine where nothing is lost if it fails: a container is a better wall.

    What stops the program, and how firmly:

    - time, memory, size of files, descriptors: limits of the kernel. Its whole process group is killed at the end.
    - network: a namespace without any (Linux, where users may make one), and no socket at all by an audit hook.
    - files: Landlock (Linux 5.13 and later) and an audit hook; it writes in its own folder, reads Python and, by the
      kernel's rules alone, the system's libraries. The folder is removed.
    - processes: refused by the audit hook; a namespace of its own, and a count (not for root), where there are such.
    - privileges: dropped; the environment is empty, standard input is empty, no package but the standard library.

    What does not stop it: an audit hook is no wall against someone who breaks the interpreter from inside; where the
    kernel's measures are missing in `isolation`, the hook is all there is. Names, sizes and times of files outside can
    be seen. Nothing hides the processor's speed, and no system call is filtered, so that a fault in the kernel is open.
    As root with a Python that others cannot read, it stays user root, without capabilities. Output cannot be trusted:
    a program may write what its caller hopes for. Many small files may fill a disk for as long as it runs.

    Args:
        code: the program.
        allow_execution: must be True; nothing is run by accident.
        limits: default `Limits()`.

    Returns:
        What became of it. A program that fails or is stopped is a result, not an error.

    Raises:
        PermissionError: `allow_execution` is not True.
        SandboxError: not a POSIX system, or a measure that must hold could not be set up.

    Example:

    >>> run_untrusted("x = 6 * 7\\nimport sys; sys.stdout.write(str(x))", allow_execution=True).stdout
    '42'
    """
    check_allowed(allow_execution)
    if os.name != "posix":
        raise SandboxError(f"The sandbox needs a POSIX system with resource limits; this one is {os.name!r}.")
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="sandbox_") as folder:
        Path(folder, PROGRAM).write_text(code, encoding="utf-8", errors="surrogatepass")
        return _run(os.path.realpath(folder), limits)


def check_allowed(allow_execution: bool) -> None:
    """Raise a PermissionError unless the caller said in so many words that code may be run."""
    if allow_execution is not True:
        raise PermissionError(
            "This executes code that nobody has read. Pass allow_execution=True if you accept that; read first, in the "
            "docstring of metagpt_tf.applications.sandbox.run_untrusted, what its sandbox stops."
        )


def _run(folder: str, limits: Limits) -> SandboxResult:
    reading, writing = os.pipe()
    with subprocess.Popen(
        _command(limits, writing),
        cwd=folder,
        env={},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        pass_fds=(writing,),
    ) as process:
        os.close(writing)
        collector = _Collector(process, limits.output_bytes, reading)
        timed_out, seconds = collector.run(limits.seconds)
    out, error, report = collector.texts()
    if not report:
        if timed_out:
            error = f"it was not ready within {START_SECONDS} s. {error}"
        raise SandboxError(f"The sandbox could not be set up, so the program was not run: {error.strip()[-2000:]}")
    code = process.returncode
    return SandboxResult(
        exit_code=None if timed_out else code if code >= 0 else 128 - code,
        stdout=out,
        stderr=error,
        timed_out=timed_out,
        output_cut=collector.cut,
        seconds=seconds,
        isolation=tuple(json.loads(report)),
    )


def _command(limits: Limits, report: int) -> list[str]:
    # The base interpreter: the one of a virtual environment would look for its packages.
    python = os.path.realpath(sys.executable)
    whole = {**asdict(limits), "seconds": int(limits.seconds) + 1}
    return [python, "-I", "-S", "-B", "-X", "utf8", str(FIRST_STAGE), json.dumps(whole), str(report)]


class _Collector:
    """Reads what a process writes, keeps the beginning, and ends the process and all it started."""

    def __init__(self, process: "subprocess.Popen[bytes]", limit: int, report: int) -> None:
        assert process.stdout is not None and process.stderr is not None
        self.process, self.limit, self.cut = process, limit, False
        self._kept: dict[int, bytearray] = {}
        self._selector = selectors.DefaultSelector()
        for descriptor in (process.stdout.fileno(), process.stderr.fileno(), report):
            self._kept[descriptor] = bytearray()
            self._selector.register(descriptor, selectors.EVENT_READ)
        self._report = report

    def run(self, seconds: float) -> tuple[bool, float]:
        """Read until the process has ended: whether it had to be stopped, and the seconds its program ran."""
        started, deadline, ready, ended = time.monotonic(), time.monotonic() + START_SECONDS, False, False
        while not ended and time.monotonic() < deadline:
            self._read(min(0.05, max(deadline - time.monotonic(), 0.0)))
            ended = self.process.poll() is not None
            if not ready and self._kept[self._report]:
                started, ready = time.monotonic(), True
                deadline = started + seconds
        took = time.monotonic() - started
        self._kill()
        self.process.wait()
        self._drain()
        self._selector.close()
        os.close(self._report)
        return not ended, took

    def texts(self) -> list[str]:
        """Standard output, standard error and the report of the second stage."""
        return [bytes(kept).decode("utf-8", "replace") for kept in self._kept.values()]

    def _kill(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # every process of the group has ended by itself
        except PermissionError:
            self.process.kill()  # what is left of the group belongs to the user that it became

    def _drain(self) -> None:
        """Read what is left in the pipes; a process that outlived the kill may not hold us up."""
        end = time.monotonic() + GRACE_SECONDS
        while self._selector.get_map() and time.monotonic() < end:
            self._read(0.05)

    def _read(self, wait: float) -> None:
        if not self._selector.get_map():
            time.sleep(wait)  # it has closed its outputs and still runs
            return
        for key, _ in self._selector.select(wait):
            data = os.read(key.fd, 65536)
            if not data:
                self._selector.unregister(key.fd)
                continue
            room = self.limit - len(self._kept[key.fd])
            if key.fd == self._report:
                room = len(data)
            self._kept[key.fd] += data[: max(room, 0)]
            self.cut = self.cut or len(data) > room
