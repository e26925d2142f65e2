"""First stage of the sandbox's child: gives up network, processes, files and privileges, then becomes the second.

Run as a script in a new process, with the standard library only. `sandbox_runner.py` reports what it did.
"""

import ctypes
import json
import os
import resource
import sys
import sysconfig
from typing import Any, NoReturn

NEW_USER, NEW_PROCESSES, NEW_NETWORK, NEW_IPC = 0x10000000, 0x20000000, 0x40000000, 0x08000000
SET_DEATH_SIGNAL, NO_NEW_PRIVILEGES, SIGKILL = 1, 38, 9
NOBODY = 65534
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # Landlock's system calls, the same on every architecture
EXECUTE, WRITE_FILE, READ_FILE, READ_FOLDER, TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
ALL_OF_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}
SYSTEM_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")


class Isolation:
    """What the kernel refuses from now on; `held` names it.

    Args:
        limits: `seconds`, `memory_bytes`, `file_bytes`, `open_files`, `processes`.
    """

    def __init__(self, limits: dict[str, int]) -> None:
        self.limits, self.held = limits, []  # type: tuple[dict[str, int], list[str]]
        self._libc: Any = ctypes.CDLL(None, use_errno=True)
        self._processes = False

    def enter(self) -> None:
        """Take every measure this system allows, in the order in which they need each other's privileges."""
        self._namespaces()
        if self._processes:
            self._supervise()
        self._drop_user()
        self._libc.prctl(SET_DEATH_SIGNAL, SIGKILL, 0, 0, 0)
        if self._libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0:
            self.held.append("no new privileges")
        self._drop_capabilities()
        self._landlock()
        self._set_limits()

    def _unshare(self, flags: int) -> bool:
        return self._libc.unshare(flags) == 0

    def _namespaces(self) -> None:
        """No network, no view of other processes' signals. A user who is not root needs a user namespace for it."""
        user, group = os.getuid(), os.getgid()
        own = 0 if user == 0 else NEW_USER
        if self._unshare(own | NEW_NETWORK | NEW_PROCESSES | NEW_IPC):
            self._processes = True
            self.held += ["network namespace", "process namespace"]
        elif self._unshare(own | NEW_NETWORK):
            self.held.append("network namespace")
        if own and "network namespace" in self.held:
            for file, line in (
                ("setgroups", "deny"),
                ("uid_map", f"{user} {user} 1"),
                ("gid_map", f"{group} {group} 1"),
            ):
                with open(f"/proc/self/{file}", "w", encoding="ascii") as handle:
                    handle.write(line)

    def _supervise(self) -> None:
        """Become the second process of the new namespace. Its first ends all the others when it ends itself."""
        first = os.fork()
        if first:
            _wait_and_leave(first)
        self._libc.prctl(SET_DEATH_SIGNAL, SIGKILL, 0, 0, 0)
        second = os.fork()
        if second:
            _wait_and_leave(second)

    def _drop_user(self) -> None:
        """As root: become nobody, if nobody may read this Python; the kernel does not count root's processes."""
        if os.getuid() != 0 or not _readable_by_all(sysconfig.get_path("stdlib"), sys.executable, __file__):
            return
        for path in (".", *os.listdir(".")):
            os.chown(path, NOBODY, NOBODY)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        self.held.append("user nobody")

    def _drop_capabilities(self) -> None:
        header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        if self._libc.capset(header, data) == 0:
            self.held.append("no capabilities")

    def _landlock(self) -> None:
        """Files: read Python and the system's libraries, do anything but run programs in the working folder."""
        version = self._libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
        if version < 1:
            return
        every = ALL_OF_VERSION[min(version, 3)]
        attributes = ctypes.c_uint64(every)
        rules = self._libc.syscall(CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(8), ctypes.c_uint32(0))
        if rules < 0:
            return
        here = os.path.dirname(os.path.abspath(__file__))
        # Executing is granted for one purpose: to start the second stage, which refuses it.
        python = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), os.path.join(sys.base_prefix, "lib")]
        allowed = dict.fromkeys((*python, *SYSTEM_LIBRARIES), READ_FILE | READ_FOLDER | EXECUTE)
        allowed |= {sys.executable: READ_FILE | EXECUTE, os.path.join(here, "sandbox_runner.py"): READ_FILE}
        allowed |= {"/dev/null": READ_FILE | WRITE_FILE, os.getcwd(): every & ~EXECUTE}
        added = [self._allow(rules, path, rights & every) for path, rights in allowed.items() if os.path.exists(path)]
        if all(added) and self._libc.syscall(RESTRICT_SELF, rules, ctypes.c_uint32(0)) == 0:
            self.held.append("file rules of the kernel")
        os.close(rules)

    def _allow(self, rules: int, path: str, rights: int) -> bool:
        if not os.path.isdir(path):
            rights &= EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        packed = rights.to_bytes(8, sys.byteorder) + handle.to_bytes(4, sys.byteorder)
        done = self._libc.syscall(ADD_RULE, rules, ctypes.c_int(1), ctypes.create_string_buffer(packed, 12), 0)
        os.close(handle)
        return done == 0

    def _set_limits(self) -> None:
        limits = self.limits
        for name, value in (
            ("CPU", limits["seconds"]),
            ("FSIZE", limits["file_bytes"]),
            ("NOFILE", limits["open_files"]),
            ("CORE", 0),
            ("NPROC", limits["processes"]),
            ("AS", limits["memory_bytes"]),
        ):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
        self.held.append("resource limits")


def _readable_by_all(*paths: str) -> bool:
    """Whether every user may reach and read these paths."""
    for path in map(os.path.realpath, paths):
        parents = path
        while parents != os.path.dirname(parents):
            if not os.stat(parents).st_mode & (0o004 if parents == path else 0o001):
                return False
            parents = os.path.dirname(parents)
    return True


def _wait_and_leave(child: int) -> NoReturn:
    """Wait for a child and end as it did, without the clean-up that belongs to the child."""
    for descriptor in range(3, 64):
        try:
            os.close(descriptor)
        except OSError:
            continue  # most of them were never open
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def main() -> NoReturn:
    """Isolate this process and start the second stage in it: `argv` holds the limits and the report's descriptor."""
    limits, report = json.loads(sys.argv[1]), sys.argv[2]
    isolation = Isolation(limits)
    isolation.enter()
    os.set_inheritable(int(report), True)
    runner = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sandbox_runner.py")
    arguments = [sys.executable, "-I", "-S", "-B", "-X", "utf8", runner, report, json.dumps(isolation.held)]
    os.execve(sys.executable, arguments, {})


if __name__ == "__main__":
    main()
