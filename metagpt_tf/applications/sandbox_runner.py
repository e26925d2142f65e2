"""Second stage of the sandbox's child: an audit hook that refuses what a computation does not need, then the program.

Run as a script by `sandbox_isolation.py`, with the standard library only; it executes `program.py` of its folder.
"""

import json
import os
import posix  # type: ignore[import-not-found,unused-ignore]
import runpy
import sys
import sysconfig
from collections.abc import Callable
from typing import Any

PROGRAM = "program.py"

# Functions that change something outside of the process without telling an audit hook.
UNAUDITED = (
    *("chroot", "mkfifo", "mknod", "memfd_create", "nice", "pidfd_open", "pivot_root", "setgid", "setgroups", "setns"),
    *("setpgid", "setpgrp", "setpriority", "setresgid", "setresuid", "setsid", "setuid", "sched_setaffinity", "sync"),
    *("sched_setparam", "sched_setscheduler", "unshare", "copy_file_range", "sendfile", "splice", "initgroups"),
)
# What a computation needs; every other event is refused, so that what a later Python adds is refused too.
HARMLESS = frozenset(
    {
        *("array.__new__", "builtins.id", "builtins.input", "builtins.input/result", "code.__new__", "compile", "exec"),
        *(
            "function.__new__",
            "glob.glob",
            "glob.glob/2",
            "marshal.load",
            "marshal.loads",
            "marshal.dumps",
            "os.putenv",
        ),
        *("object.__delattr__", "object.__getattr__", "object.__setattr__", "os.fwalk", "os.unsetenv", "os.walk"),
        *("pathlib.Path.glob", "pathlib.Path.rglob", "pickle.find_class", "sys._getframe", "sys._getframemodulename"),
        *("shutil.copyfile", "shutil.copymode", "shutil.copystat", "shutil.copytree", "shutil.move", "shutil.rmtree"),
        *("sys.excepthook", "sys.set_asyncgen_hooks_finalizer", "sys.set_asyncgen_hooks_firstiter", "time.sleep"),
        *("sys.unraisablehook", "tempfile.mkdtemp", "tempfile.mkstemp", "_thread.start_new_thread"),
        *("_thread.start_joinable_thread", "cpython._PySys_ClearAuditHooks", "cpython.PyInterpreterState_Clear"),
    }
)
# Events whose first arguments are paths: how many of them.
PATHS = {
    **dict.fromkeys(("os.chmod", "os.getxattr", "os.listdir", "os.listxattr", "os.mkdir", "os.remove"), 1),
    **dict.fromkeys(("os.rmdir", "os.scandir", "os.truncate", "os.utime"), 1),
    "os.rename": 2,
}
# Compiled modules that compute. Others open files, sockets or processes by themselves, unseen by the hook.
COMPUTING = """
_abc _ast _asyncio _bisect _blake2 _bz2 _codecs _codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr
_codecs_tw _collections _contextvars _csv _datetime _decimal _elementtree _functools _hashlib _heapq _imp _io
_json _locale _lsprof _lzma _md5 _multibytecodec _opcode _operator _pickle _queue _random _sha1 _sha2 _sha256
_sha3 _sha512 _signal _socket _sre _stat _statistics _string _struct _symtable _thread _tokenize _tracemalloc
_typing _uuid _warnings _weakref _zoneinfo array atexit audioop binascii builtins cmath errno fcntl gc
itertools marshal math pyexpat select sys termios time unicodedata zlib
"""


Check = Callable[[Any], bool]


def make_path_checks(folder: str, libraries: tuple[str, ...]) -> tuple[Check, Check]:
    """Whether a path lies in the folder, and whether it lies in Python's own library; for `make_hook`."""
    kind, text_type, bytes_type, integer, nothing = type, str, bytes, int, type(None)
    packages = ("site-packages", "dist-packages")

    def below(path: Any, root: str) -> bool:
        given = kind(path)
        if given is nothing or given is integer:
            return True  # the working folder itself, or a file that passed here when it was opened
        if given is bytes_type:
            path = bytes_type.decode(path, "utf-8", "surrogateescape")
        elif given is not text_type:
            return False
        if ".." in text_type.split(path, "/"):
            return False
        if not text_type.startswith(path, "/"):
            return root == folder  # the working folder cannot be left, and it holds no links
        return path == root or text_type.startswith(path, root + "/")

    def in_folder(path: Any) -> bool:
        return below(path, folder)

    def in_library(path: Any) -> bool:
        if kind(path) is not text_type:
            return False
        for library in libraries:
            if below(path, library):
                return packages[0] not in path and packages[1] not in path
        return False

    return in_folder, in_library


def make_hook(folder: str, libraries: tuple[str, ...]) -> Callable[[str, tuple[Any, ...]], None]:
    """The audit hook.

    It holds everything it uses in its own closure, and nothing there can be changed: the program shares this process,
    sees the hook's frame in a traceback, and may replace any global name or builtin.

    Args:
        folder: where files may be changed.
        libraries: folders that may be read.
    """
    harmless, paths, computing, kind, length = HARMLESS, tuple(PATHS.items()), frozenset(COMPUTING.split()), type, len
    refusal, missing = PermissionError, ImportError  # many modules do without what they cannot import
    writing, text_type = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, str
    compiled = frozenset(sys.builtin_module_names)
    in_folder, in_library = make_path_checks(folder, libraries)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in harmless:
            return
        if event == "import":
            # A file stands here for compiled modules only.
            if (arguments[1] is None and arguments[0] not in compiled) or arguments[0] in computing:
                return
            raise missing(f"The sandbox has no module {arguments[0]}")
        if event == "open":
            if in_folder(arguments[0]) or (not arguments[2] & writing and in_library(arguments[0])):
                return
        elif event in ("os.listdir", "os.scandir") and in_library(arguments[0]):
            return
        else:
            for name, count in paths:
                if event == name and in_folder(arguments[0]) and (count == 1 or in_folder(arguments[1])):
                    return
        shown = arguments[0] if length(arguments) and kind(arguments[0]) is text_type else ""
        raise refusal(f"The sandbox refuses {event} {shown}")

    return hook


def prepare() -> None:
    """Load what the program may need and must not load itself; take away what no hook sees."""
    import linecache  # noqa: F401 a traceback reads the program's lines
    import pkgutil  # noqa: F401 runpy needs it
    import traceback  # noqa: F401

    for module in (os, posix):
        for name in UNAUDITED:
            if hasattr(module, name):
                delattr(module, name)
    for name in ("grp", "pwd"):  # they read the system's files, unseen by a hook
        sys.modules.pop(name, None)
    _disarm_process_module()


def _disarm_process_module() -> None:
    """Many modules import `subprocess`; what starts processes in it, unseen by a hook, is replaced."""
    import _posixsubprocess

    def refuse(*arguments: Any) -> None:
        raise PermissionError("The sandbox refuses to start a process")

    vars(_posixsubprocess)["fork_exec"] = refuse


def refuses(event: str) -> bool:
    """Whether the hook is at work: Python drops a new hook without an error where an older one objects."""
    try:
        sys.audit(event)
    except PermissionError:
        return True
    return False


def main() -> None:
    """Install the hook, report, run the program: `argv` holds the report's descriptor and what the first stage did."""
    descriptor, held = int(sys.argv[1]), json.loads(sys.argv[2])
    libraries = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    unresolved = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    prepare()
    sys.argv[:] = [PROGRAM]
    sys.addaudithook(make_hook(os.getcwd(), tuple(libraries | unresolved)))
    if not refuses("sandbox.probe"):
        raise RuntimeError("The audit hook was not installed.")
    os.write(descriptor, json.dumps([*held, "audit hook"]).encode())
    os.close(descriptor)
    runpy.run_path(PROGRAM, run_name="__main__")


if __name__ == "__main__":
    main()
