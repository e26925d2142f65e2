"""The sandbox: what it stops, one program each, and what it lets pass."""

import sys
import sysconfig

import pytest

from metagpt_tf.applications import sandbox, sandbox_runner
from metagpt_tf.applications.sandbox import Limits, SandboxError, run_untrusted

SHORT = Limits(seconds=1.0)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the sandbox needs a POSIX system")


def run(code, limits=None):
    return run_untrusted(code, allow_execution=True, limits=limits)


def test_it_is_off_by_default():
    with pytest.raises(PermissionError, match="allow_execution=True"):
        run_untrusted("pass")
    with pytest.raises(PermissionError):
        run_untrusted("pass", allow_execution=1)


def test_normal_code_runs():
    imports = "asyncio, collections, dataclasses, hashlib, heapq, json, math, re, statistics, subprocess, typing"
    result = run(f"import {imports}, sys\nsys.stdout.write(str(math.comb(9, 4)))\nsys.stderr.write('note')")
    assert (result.ok, result.exit_code, result.stdout, result.stderr) == (True, 0, "126", "note")
    assert not result.timed_out and not result.output_cut and result.seconds < 20


def test_it_says_what_held():
    result = run("pass")
    assert {"resource limits", "audit hook"} <= set(result.isolation)


def test_failures_are_results():
    assert run("raise SystemExit(3)").exit_code == 3
    failed = run("1 / 0")
    assert failed.exit_code == 1 and "ZeroDivisionError" in failed.stderr and not failed.ok
    assert run("def f(:").exit_code == 1


@pytest.mark.parametrize("code", ["while True: pass", "import time\ntime.sleep(60)"])
def test_endless_programs_are_stopped(code):
    result = run(code, SHORT)
    assert result.timed_out and result.exit_code is None and not result.ok and result.seconds < 10


def test_memory_is_limited():
    result = run("kept = []\nwhile True: kept.append(bytearray(10**7))", Limits(seconds=20.0, memory_bytes=2**27))
    assert "MemoryError" in result.stderr and not result.timed_out


def test_processes_are_refused():
    for code in ("import os\nwhile True: os.fork()", "import os\nos.system('true')"):
        assert "The sandbox refuses os." in run(code).stderr
    assert "refuses subprocess.Popen" in run("import subprocess\nsubprocess.run(['true'])").stderr
    assert (
        "no module _posixsubprocess"
        in run("import sys\ndel sys.modules['_posixsubprocess']\nimport _posixsubprocess").stderr
    )


def test_threads_are_limited():
    code = (
        "import sys, threading, time\nstarted = 0\ntry:\n    while started < 5000:\n"
        "        threading.Thread(target=time.sleep, args=(1,), daemon=True).start()\n        started += 1\n"
        "except Exception as error:\n    sys.stdout.write(f'{started} {error}')"
    )
    started, _, error = run(code, Limits(seconds=20.0)).stdout.partition(" ")
    assert int(started) < 100 and "thread" in error


@pytest.mark.parametrize(
    "code",
    [
        "import socket\nsocket.create_connection(('127.0.0.1', 80))",
        "import socket\nsocket.socket()",
        "import socket\nsocket.socketpair()",
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1/')",
    ],
)
def test_the_network_is_closed(code):
    result = run(code)
    assert result.exit_code == 1 and "The sandbox refuses" in result.stderr


def test_files_outside_can_be_neither_read_nor_written(tmp_path):
    secret, target = tmp_path / "secret.txt", tmp_path / "written.txt"
    secret.write_text("secret")
    tries = [
        f"open({str(secret)!r}).read()",
        f"open({str(target)!r}, 'w').close()",
        f"import os\nos.remove({str(secret)!r})",
        f"import os\nos.rename({str(secret)!r}, 'here')",
        f"import os\nos.listdir({str(tmp_path)!r})",
        f"import os\nos.symlink({str(secret)!r}, 'link')",
        f"import os\nos.open({str(secret).encode()!r}, os.O_RDONLY)",
        "open('../up.txt', 'w').close()",
        "import os\nos.chdir('/')",
        f"class P(str): startswith = lambda *a: True\nopen(P({str(secret)!r})).read()",
    ]
    for code in tries:
        assert "The sandbox refuses" in run(code).stderr, code
    assert secret.read_text() == "secret" and not target.exists()


def test_its_own_folder_is_for_small_files_and_is_removed():
    code = (
        "import os, sys\nopen('a.txt', 'w').write('x' * {})\nsys.stdout.write(os.getcwd() + ' ' + open('a.txt').read())"
    )
    written = run(code.format(5), Limits(file_bytes=100))
    folder, _, text = written.stdout.partition(" ")
    assert text == "xxxxx" and not sandbox.Path(folder).exists()
    large = "with open('a.txt', 'w') as file: file.write('x' * 5000)"
    assert "File too large" in run(large, Limits(file_bytes=100)).stderr


def test_huge_output_is_cut():
    result = run(
        "import sys\nfor _ in range(300): sys.stdout.write('x' * 10000)", Limits(seconds=20.0, output_bytes=1000)
    )
    assert result.stdout == "x" * 1000 and result.output_cut and result.ok


def test_environment_and_input_are_empty(monkeypatch):
    monkeypatch.setenv("METAGPT_SECRET", "secret")
    result = run("import os, sys\nsys.stdout.write(str('METAGPT_SECRET' in os.environ) + repr(sys.stdin.read()))")
    assert result.stdout == "False''"


@pytest.mark.parametrize("module", ["ctypes", "_ctypes", "sqlite3", "numpy", "pwd"])
def test_modules_that_act_unseen_and_packages_are_missing(module):
    assert run(f"import {module}").exit_code == 1


def test_a_sandbox_that_cannot_be_set_up_runs_nothing(monkeypatch, tmp_path):
    broken = tmp_path / "stage.py"
    broken.write_text("raise OSError('no namespaces here')")
    monkeypatch.setattr(sandbox, "FIRST_STAGE", broken)
    with pytest.raises(SandboxError, match="(?s)not run: .*no namespaces here"):
        run("pass")


@pytest.mark.parametrize("name", ["seconds", "memory_bytes", "output_bytes", "open_files", "processes"])
def test_limits_are_checked(name):
    with pytest.raises(ValueError, match=f"{name} must be above 0"):
        Limits(**{name: 0})


class TestHook:
    """The hook alone: it has to hold where the kernel's measures are missing."""

    @pytest.fixture
    def hook(self):
        return sandbox_runner.make_hook("/work/box", (sysconfig.get_path("stdlib"),))

    @pytest.mark.parametrize(
        ("event", "arguments"),
        [
            ("open", ("/etc/passwd", "r", 0)),
            ("open", ("/work/box2/a", "r", 0)),
            ("open", ("/work/box/../a", "r", 0)),
            ("open", (b"/etc/passwd", "r", 0)),
            ("open", (f"{sysconfig.get_path('stdlib')}/os.py", "w", 1)),
            ("open", (f"{sysconfig.get_path('stdlib')}/site-packages/a.py", "r", 0)),
            ("os.rename", ("a", "/tmp/a")),
            ("socket.__new__", (None, 2, 1, 0)),
            ("ctypes.dlopen", (None,)),
            ("an event of a later Python", ()),
        ],
    )
    def test_refused(self, hook, event, arguments):
        with pytest.raises(PermissionError, match="The sandbox refuses"):
            hook(event, arguments)

    @pytest.mark.parametrize(
        ("name", "file"), [("posix", None), ("evil", "/work/box/evil.so"), ("_ctypes", "/lib/x.so")]
    )
    def test_modules_refused(self, hook, name, file):
        with pytest.raises(ImportError, match="no module"):
            hook("import", (name, file, None, None, None))

    @pytest.mark.parametrize(
        ("event", "arguments"),
        [
            ("open", ("a.txt", "w", 577)),
            ("open", ("/work/box/a.txt", "w", 577)),
            ("open", (f"{sysconfig.get_path('stdlib')}/os.py", "r", 0)),
            ("import", ("json", None, None, None, None)),
            ("import", ("math", "/lib/math.so", None, None, None)),
            ("os.rename", ("a", "b")),
            ("compile", (None, "x")),
        ],
    )
    def test_allowed(self, hook, event, arguments):
        assert hook(event, arguments) is None
