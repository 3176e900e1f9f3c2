"""What is taken away from a process before it runs a submission, without any privilege.

Landlock (Linux 5.13) closes the file system but for what Python needs; a seccomp filter closes the
network, other processes, and the starting of new ones; resource limits bound memory and time. All
three last until the process ends. They work in a container and for every user; where the system
has no such thing, as on macOS, `missing` says what stays open.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from seqrl.grading.syscalls import MACHINES, PRLIMIT, X86_64, denied

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # Landlock's calls, the same on every machine
_EXECUTE, _WRITE, _READ, _LIST = 1, 2, 4, 8
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # how many Landlock knows at each version; later 16
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # instructions of a filter
_ALLOW, _DENY = 0x7FFF0000, 0x00050001  # the call goes on; it fails with EPERM
_SET_DEATH_SIGNAL, _SET_SECCOMP, _SET_NO_NEW_PRIVILEGES = 1, 22, 38


def _linux() -> ctypes.CDLL | None:
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _call(function: Any, failure: str, *arguments: Any) -> int:
    """What a function of libc returns; OSError, which says `failure`, where that is negative."""
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    value = function(*wide)
    if value < 0:
        raise OSError(ctypes.get_errno(), failure)
    return value


def landlock_version() -> int:
    """Landlock's version in the running kernel, 0 where there is none."""
    libc = _linux()
    return max(0, libc.syscall(_CREATE, None, ctypes.c_long(0), 1)) if libc else 0


def missing() -> list[str]:
    """What this machine cannot take away from a submission, a sentence each."""
    found = []
    if not landlock_version():
        found.append("Files can be read and written: this system has no Landlock.")
    if sys.platform != "linux" or platform.machine() not in MACHINES:
        found.append("The network and other processes can be reached: no filter for this system.")
    if not found and (fault := _trial()):
        found.append(f"It was tried, and failed: {fault}.")
    return found


def _trial() -> str:
    """Confine a process and let it end; what went wrong, or nothing."""
    ours, theirs = os.pipe()
    number = os.fork()
    if not number:
        try:
            confine(ruleset([], []), 1 << 30, 5)
        except OSError as error:
            os.write(theirs, str(error).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(number, 0)
    with open(ours, "rb") as pipe:
        return pipe.read().decode()


def needed() -> list[Path]:
    """Where Python, its packages and this package lie; nothing else has to be readable."""
    inside = [Path(p) for p in sys.path if "site-packages" in p or "dist-packages" in p]
    roots = [Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[1], *inside]
    system = ["/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/urandom", "/dev/zero"]
    system += ["/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu"]
    found = [path.resolve() for path in (*roots, *map(Path, system)) if path.exists()]
    return sorted(set(found))


def without(root: Path, hidden: Sequence[Path]) -> Iterator[Path]:
    """`root`, or where one of `hidden` lies below it, everything beside the way to it."""
    if root in hidden:
        return
    if not any(path.is_relative_to(root) for path in hidden):
        yield root
        return
    for child in root.iterdir():
        if not child.is_symlink():  # what it points to has a path of its own
            yield from without(child, hidden)


def ruleset(readable: Iterable[Path], hidden: Iterable[Path]) -> int | None:
    """A file descriptor that stands for "reads these and writes nothing"; None without Landlock."""
    libc, version = _linux(), landlock_version()
    if libc is None or not version:
        return None
    rights = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    network, scope = (3 if version >= 4 else 0), (3 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    attributes = struct.pack("QQQ", rights, network, scope)[:size]
    rules = _call(libc.syscall, "Landlock makes no ruleset", _CREATE, attributes, size, 0)
    away = [path.resolve() for path in hidden]
    for root in readable:
        for path in without(root, away):
            _allow(libc, rules, path, _READ | (_LIST if path.is_dir() else 0))
    for package in (p for p in readable if any(h.is_relative_to(p) for h in away)):
        _allow(libc, rules, package, _LIST)  # an import lists the folder
    _allow(libc, rules, Path(os.devnull), _READ | _WRITE)
    return rules


def _allow(libc: ctypes.CDLL, rules: int, path: Path, rights: int) -> None:
    """Add one path to a ruleset."""
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # gone, or not ours to read: then nobody reads it
        return
    try:
        rule = struct.pack("=Qi", rights, opened)
        _call(libc.syscall, f"Landlock takes no rule for {path}", _ADD, rules, 1, rule, 0)
    finally:
        os.close(opened)


def confine(rules: int | None, memory: int, seconds: int) -> None:
    """Take everything away from this process, for good. OSError where a promise cannot be kept.

    memory: bytes beyond what it holds now. seconds: of computing, all in all.
    """
    _limit(memory, seconds)
    libc = _linux()
    if libc is None:
        return
    _call(
        libc.prctl, "it would outlive its parent", _SET_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0
    )
    _drop_capabilities(libc)
    _call(libc.prctl, "privileges could be gained", _SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if rules is not None:
        _call(libc.syscall, "Landlock does not close the file system", _RESTRICT, rules, 0)
        os.close(rules)
    machine = MACHINES.get(platform.machine())
    if machine is not None:
        program = _filter(machine)
        buffer = ctypes.create_string_buffer(program)
        header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
        _call(libc.prctl, "seccomp does not close the network", _SET_SECCOMP, 2, header, 0, 0)


def _limit(memory: int, seconds: int) -> None:
    """Bounds on memory and time; no byte can be written to a file, no core dumped."""
    if sys.platform == "win32":
        return
    import resource

    bounds = {resource.RLIMIT_CPU: seconds, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0}
    bounds[resource.RLIMIT_NOFILE] = 64
    if sys.platform == "linux":  # elsewhere the address space cannot be limited
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        bounds[resource.RLIMIT_AS] = pages * resource.getpagesize() + memory
    for which, value in bounds.items():
        highest = resource.getrlimit(which)[1]
        value = value if highest == resource.RLIM_INFINITY else min(value, highest)
        resource.setrlimit(which, (value, value))


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Root without its privileges; changes nothing for other users."""
    nothing = struct.pack("Ii", 0x20080522, 0), bytes(24)
    _call(libc.capset, "the privileges cannot be given up", *nothing)


def _filter(machine: int) -> bytes:
    """A seccomp program: the denied calls fail with EPERM, `prlimit` of another process too."""
    calls = denied(machine)

    def instruction(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("HBBI", code, yes, no, value)

    tests = [(_AT_LEAST, 0x40000000)] if machine == X86_64 else []  # the calls of x32
    tests += [(_EQUAL, number) for number in calls]
    body = [instruction(_LOAD, 4), instruction(_EQUAL, machine, 1), instruction(_RETURN, _DENY)]
    body.append(instruction(_LOAD, 0))
    for i, (test, value) in enumerate(tests):
        body.append(instruction(test, value, yes=len(tests) - i + 3))
    body += [
        instruction(_EQUAL, PRLIMIT[machine], 0, 2),
        instruction(_LOAD, 16),  # the process that it is about; 0 is the caller
        instruction(_EQUAL, 0, 0, 1),
        instruction(_RETURN, _ALLOW),
        instruction(_RETURN, _DENY),
    ]
    return b"".join(body)
