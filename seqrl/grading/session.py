"""A submission as its judge sees it: a function that runs in a confined process.

The judge keeps the time, by the processor's clock of that process. A process that loops, crashes
or breaks the form of its messages is killed; the next call starts another one.
"""

from __future__ import annotations

import contextlib
import math
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from seqrl.checks import Exercise
from seqrl.checks.guard import TIME_LIMIT, Failed, Guarded, NothingToAsk, NotWritten
from seqrl.grading.wire import Broken, Channel, Late, pack, pack_call, unpack

LONGEST = 2000  # characters of a message that a submission sends
MOST = 20  # cells of which it is told that they failed
STARTS = 10  # processes that one exercise may use up


@dataclass(frozen=True)
class Limits:
    """What one submission may use: seconds of computing, bytes of memory."""

    notebook: float = 20.0  # to run all cells once
    calls: float = 60.0  # for all calls together
    memory: int = 1 << 30  # beyond what is imported before

    @property
    def processor(self) -> int:
        """Seconds after which the system itself stops a process."""
        return math.ceil(self.notebook + self.calls) + 5


class Process:
    """One confined process, started by a nursery."""

    def __init__(self, nursery: socket.socket) -> None:
        self.nursery = nursery
        ours, theirs = socket.socketpair()
        socket.send_fds(nursery, [b"fork"], [theirs.fileno()])
        theirs.close()
        self.number = int(nursery.recv(32))
        ours.settimeout(10)  # for one that does not take what it is sent
        self.channel = Channel(ours)
        self.last, self.begin = 0.0, time.monotonic()

    def computed(self) -> float:
        """Seconds of computing so far; where there is no such clock, seconds since the start."""
        if sys.platform != "linux":
            return time.monotonic() - self.begin
        with contextlib.suppress(OSError):  # it has ended
            self.last = time.clock_gettime((~self.number << 3) | 2)
        return self.last

    def within(self, limit: float, patience: float = 2.0) -> Callable[[], bool]:
        """A question: has it computed for `limit` seconds from now?

        Or has it slept: have `patience` times as many gone by, and some more?
        """
        begin, last = self.computed(), time.monotonic() + patience * limit + TIME_LIMIT
        return lambda: self.computed() - begin > limit or time.monotonic() > last

    def end(self) -> str:
        """Kill it; how it had ended before, in words."""
        self.computed()
        self.nursery.send(b"end")
        how = self.nursery.recv(64).decode()
        self.channel.end.close()
        return how


class Session:
    """One submission; `nurseries`: sockets to one for all calls, and to one with another salt."""

    def __init__(self, notebook: bytes, nurseries: Sequence[socket.socket], limits: Limits) -> None:
        self.notebook, self.nurseries, self.limits = notebook, nurseries, limits
        self.process: Process | None = None
        self.spent, self.starts = 0.0, 0
        self.faults: list[str] = []  # of the notebook's cells
        self.lost = ""  # why there is nothing to ask

    def start(self, nursery: int = 0) -> Process:
        """A process that has run the notebook; `Failed` if none can."""
        self.starts += 1
        if self.starts > STARTS and not self.lost:
            raise NothingToAsk("It broke the process that it runs in again and again.")
        if self.lost:
            raise NothingToAsk(self.lost)
        process = Process(self.nurseries[nursery])
        try:
            process.channel.send(self.notebook)
            told = unpack(process.channel.receive(process.within(self.limits.notebook)))
            self.faults = [str(fault)[:LONGEST] for fault in told["faults"][:MOST]]
            self.lost = str(told.get("lost", ""))[:LONGEST]
        except Late:
            limit = f"{self.limits.notebook:g} seconds"
            self.lost = f"The notebook was still running after {limit} and was stopped."
        except (AttributeError, Broken, KeyError, TypeError):
            self.lost = "Running the notebook ended its own process ({how})."
        if self.lost:
            self.lost = self.lost.replace("{how}", process.end())
            raise NothingToAsk(self.lost)
        return process

    def ask(
        self, student: Guarded, arguments: tuple[Any, ...], limit: float, patience: float
    ) -> Any:
        """What the submission's function returns; raises `Failed` as a local one would."""
        if self.process is None:
            self.process = self.start()
        if self.spent >= self.limits.calls:
            raise student.too_slow(arguments, self.limits.calls)
        limit = min(limit, self.limits.calls - self.spent)
        try:
            return self.exchange(self.process, student, arguments, limit, patience)
        except Late:
            self.close()
            self.spent += limit
            raise student.too_slow(arguments, limit) from None
        except Broken:
            how = self.close()
            why = f"It ended the process that it runs in ({how})."
            if how == "SIGKILL":  # by the line above
                why = "It disturbed the process that it runs in, which was stopped."
            raise Failed(why, student.case(arguments)) from None

    def exchange(
        self,
        process: Process,
        student: Guarded,
        arguments: tuple[Any, ...],
        limit: float,
        patience: float = 2.0,
    ) -> Any:
        """One call in `process`, and the judge's part in it."""
        functions: list[Callable[..., Any]] = []
        message = pack_call((student.parameters, *arguments), functions)
        over, begin = process.within(limit, patience), process.computed()
        process.channel.send(f"call {student.name}\n".encode(), message)
        while True:
            reply = unpack(process.channel.receive(over))
            if not isinstance(reply, dict):
                raise Broken("no answer")
            if "callback" not in reply:
                break
            process.channel.send(_call_back(functions, reply))
        student.seconds = process.computed() - begin
        self.spent += student.seconds
        if "value" in reply:
            return reply["value"]
        raise self.failure(student, reply)

    def failure(self, student: Guarded, reply: dict[Any, Any]) -> Failed:
        """What the submission says went wrong, as an exception."""
        if "absent" in reply:
            shown = str(reply["absent"])[:LONGEST]
            what = f"`{student.name}` is no function: it is {shown}." if shown else ""
            why = f" A cell failed: {self.faults[0]}." if self.faults else ""
            return NothingToAsk((what or f"The notebook defines no `{student.name}`.") + why)
        try:
            kind, sentence, case = (str(text)[:LONGEST] for text in reply["failed"])
        except (KeyError, TypeError, ValueError):
            raise Broken("no answer") from None
        return (NotWritten if kind == "NotWritten" else Failed)(sentence, case)

    def elsewhere(self, student: Guarded, calls: Sequence[tuple[Any, ...]]) -> list[bool]:
        """The truth values that it returns in processes with another salt, one for each call."""
        found: list[bool] = []
        for arguments in calls:
            process = self.start(nursery=1)
            try:
                values = self.exchange(process, student, arguments, TIME_LIMIT)
                found += map(bool, values.tolist() if hasattr(values, "tolist") else values)
            except (Broken, Late):
                raise Failed("In a new Python process it does not come to an end.") from None
            finally:
                process.end()
        return found

    def close(self) -> str:
        """End the process, if there is one; how it had ended before."""
        if self.process is None:
            return ""
        process, self.process = self.process, None
        return process.end()


def _call_back(functions: list[Callable[..., Any]], reply: dict[Any, Any]) -> bytes:
    """The value of one of the judge's functions, as a submission asked for it."""
    try:
        function = functions[reply["callback"]]
        return pack({"value": function(*reply["arguments"], **reply["named"])})
    except Exception as error:
        return pack({"error": f"{type(error).__name__}: {str(error)[:200]}"})


class Remote(Guarded):
    """The function of a submission; judged like one that was typed into the notebook."""

    def __init__(self, session: Session, asked: Exercise) -> None:
        super().__init__(session.ask, asked.name, asked.parameters)
        self.session = session
        session.starts = 0

    def __call__(self, *arguments: Any, limit: float = TIME_LIMIT, processor: bool = False) -> Any:
        return self.session.ask(self, arguments, limit, 5.0 if processor else 2.0)

    def elsewhere(self, calls: Sequence[tuple[Any, ...]]) -> list[bool]:
        return self.session.elsewhere(self, calls)
