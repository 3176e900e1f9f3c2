"""Forks the confined processes from one that has imported everything already.

It is started anew, from an environment without secrets, before anybody has read a hidden seed: a
fork of it can find none in its memory. A judge has a socket to it, sends "fork" with the child's
end of a channel, and gets the child's number; "end" kills that child and tells how it ended.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from seqrl.grading import child, sandbox
from seqrl.grading.wire import Channel

KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")


def start(
    judges: Iterable[socket.socket],
    modules: Sequence[str],
    hidden: Sequence[Path],
    memory: int,
    seconds: int,
    salt: int,
) -> subprocess.Popen[bytes]:
    """Start a nursery that listens to these sockets; `salt` is that of the built-in `hash`."""
    ends = [end.fileno() for end in judges]
    settings = {
        "ends": ends,
        "modules": list(modules),
        "hidden": [str(path) for path in hidden],
        "memory": memory,
        "seconds": seconds,
    }
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, sys.path))
    environment |= {"PYTHONHASHSEED": str(salt), "SEQRL_SPEED": "smoke", "MPLBACKEND": "agg"}
    program = "from seqrl.grading.nursery import main; main()"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", program, json.dumps(settings)],
        env=environment,
        pass_fds=ends,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def main() -> None:
    """Import, then serve the judges until all of them are gone."""
    settings = json.loads(sys.argv[1])
    sys.argv[:] = [""]
    for module in settings["modules"]:
        with contextlib.suppress(ImportError):  # then the submission is told so
            importlib.import_module(module)
    tempfile.gettempdir()  # finds it by writing there; torch asks for its name when it first trains
    hidden = [Path(__file__).parent, Path(__file__).parents[1] / "checks"]
    rules = sandbox.ruleset(sandbox.needed(), hidden + [Path(p) for p in settings["hidden"]])
    judges = {end: socket.socket(fileno=end) for end in settings["ends"]}
    children: dict[int, int] = {}
    while judges:
        for end in select.select(list(judges), [], [])[0]:
            request, received, _, _ = socket.recv_fds(judges[end], 16, 1)
            ended = _end(children.pop(end)) if end in children else ""
            if not request:
                judges.pop(end).close()
            elif request == b"end":
                judges[end].send(ended.encode() or b"-")
            else:
                children[end] = _fork(received[0], rules, settings)
                os.close(received[0])
                judges[end].send(str(children[end]).encode())


def _fork(end: int, rules: int | None, settings: dict[str, Any]) -> int:
    """A confined child that talks through the file descriptor `end`; its number."""
    number = os.fork()
    if number:
        return number
    try:
        for other in set(range(3, 1024)) - {end, rules}:
            with contextlib.suppress(OSError):
                os.close(other)
        os.chdir("/")
        sandbox.confine(rules, settings["memory"], settings["seconds"])
        child.main(Channel(socket.socket(fileno=end)))
    finally:
        os._exit(1)


def _end(number: int) -> str:
    """Kill a child, unless it has ended; how it ended, in words."""
    os.kill(number, signal.SIGKILL)
    status = os.waitpid(number, 0)[1]
    if os.WIFEXITED(status):
        return f"exit status {os.WEXITSTATUS(status)}"
    return signal.Signals(os.WTERMSIG(status)).name
