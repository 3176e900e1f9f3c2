"""Grade many submissions on all cores, from a warm start.

A judge is a process of this program; each core has one. It holds the checks and the hidden seeds,
and asks the submission, which runs in a confined process. A judge that is held up all the same is
replaced: whatever a submission does, it costs only its own row.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from seqrl.checks import Result, exercise, run
from seqrl.checks.core import SEEDS
from seqrl.grading import nursery
from seqrl.grading.packs import Pack, Submission
from seqrl.grading.session import Limits, Remote, Session

PATIENCE = 240.0  # seconds for one submission, everything included
SALTS = (1, 2)  # of the two nurseries


@dataclass(frozen=True)
class Graded:
    """The verdicts on one submission, in the order of the sheet."""

    submission: Submission
    results: tuple[Result, ...]
    seconds: float = 0.0
    faults: tuple[str, ...] = field(default=())  # cells that failed


def judge(
    pack: Pack, submission: Submission, nurseries: Sequence[socket.socket], limits: Limits
) -> Graded:
    """The verdicts on one submission."""
    begin = time.monotonic()
    if submission.fault:
        return without_verdict(pack, submission, submission.fault)
    session = Session(submission.notebook, nurseries, limits)
    try:
        seeds = (*SEEDS, *pack.seeds)
        results = tuple(run(id, Remote(session, exercise(id)), seeds) for id in pack.points)
    finally:
        session.close()
    return Graded(submission, results, time.monotonic() - begin, tuple(session.faults))


def without_verdict(pack: Pack, submission: Submission, why: str, seconds: float = 0) -> Graded:
    """A row for a submission that could not be judged."""
    results = tuple(Result(id, exercise(id).title, False, why) for id in pack.points)
    return Graded(submission, results, seconds)


@contextmanager
def nurseries(
    pack: Pack, judges: int, hidden: Sequence[Path], limits: Limits
) -> Iterator[list[list[socket.socket]]]:
    """For each judge a socket to either nursery; they are closed and ended at the end."""
    ours: list[list[socket.socket]] = [[] for _ in range(judges)]
    started: list[subprocess.Popen[bytes]] = []
    modules = ("numpy", "cloudpickle", *pack.modules)
    try:
        for salt in SALTS:
            pairs = [socket.socketpair() for _ in range(judges)]
            theirs = [pair[1] for pair in pairs]
            started.append(
                nursery.start(theirs, modules, hidden, limits.memory, limits.processor, salt)
            )
            for ends, pair in zip(ours, pairs):
                ends.append(pair[0])
                pair[1].close()
        for end in (end for ends in ours for end in ends):
            end.send(b"end")
            if not end.recv(64):  # once it has imported everything
                raise RuntimeError("no process for submissions could be started.")
        yield ours
    finally:
        for end in (end for ends in ours for end in ends):
            end.close()
        for process in started:
            process.kill()  # its children end with their channels
            process.wait()


class Judge:
    """A process that judges one submission after another."""

    def __init__(self, pack: Pack, ends: list[socket.socket], limits: Limits) -> None:
        kind: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        self.pipe, theirs = kind.Pipe()
        self.process = kind.Process(target=_serve, args=(theirs, pack, ends, limits), daemon=True)
        self.process.start()
        theirs.close()
        self.submission: Submission | None = None
        self.begin = 0.0

    def give(self, submission: Submission) -> None:
        """Let it judge this one."""
        self.submission, self.begin = submission, time.monotonic()
        self.pipe.send(submission)

    @property
    def late(self) -> bool:
        """Whether it has been held up for too long, or is gone."""
        return time.monotonic() - self.begin > PATIENCE or not self.process.is_alive()

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection, pack: Pack, ends: list[socket.socket], limits: Limits) -> None:
    """Judge what comes through the pipe, until it closes."""
    for end in ends:  # whatever a judge before this one has left behind
        end.settimeout(60)
        end.send(b"end")
        while b"-" not in end.recv(64):
            end.send(b"end")
    while True:
        try:
            submission = pipe.recv()
        except EOFError:
            return
        try:
            graded = judge(pack, submission, ends, limits)
        except Exception as error:  # a fault of the grader is one row too
            why = f"The grader failed: {type(error).__name__}: {error}"
            graded = without_verdict(pack, submission, why)
        pipe.send(graded)


def grade(
    pack: Pack,
    submissions: Sequence[Submission],
    hidden: Sequence[Path] = (),
    judges: int | None = None,
    limits: Limits | None = None,
) -> Iterator[Graded]:
    """The verdicts, in the order in which they are found.

    hidden: folders that no submission may read, wherever they lie. judges: by default as many as
    there are cores.
    """
    limits = limits or Limits(notebook=pack.notebook_seconds)
    count = max(1, min(judges or os.cpu_count() or 1, len(submissions)))
    for id in pack.points:
        exercise(id)  # imports the checks, before the judges are forked
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    with nurseries(pack, count, hidden, limits) as ends:
        waiting = list(reversed(submissions))
        working = {slot: Judge(pack, ends[slot], limits) for slot in range(count)}
        try:
            while waiting or any(judge.submission for judge in working.values()):
                for judge in working.values():
                    if waiting and judge.submission is None:
                        judge.give(waiting.pop())
                yield from _collect(working, pack, ends, limits)
        finally:
            for judge in working.values():
                judge.stop()


def _collect(working: dict[int, Judge], pack: Pack, ends: Any, limits: Limits) -> Iterator[Graded]:
    """What the judges have found; a judge that is late is replaced."""
    ready = wait([judge.pipe for judge in working.values() if judge.submission], timeout=1)
    for slot, judge in working.items():
        if judge.submission is None:
            continue
        submission, seconds = judge.submission, time.monotonic() - judge.begin
        if judge.pipe in ready:
            try:
                yield judge.pipe.recv()
                judge.submission = None
                continue
            except EOFError:
                pass
        if judge.pipe in ready or judge.late:
            judge.stop()
            working[slot] = Judge(pack, ends[slot], limits)
            why = "The submission held its judge up until it was stopped."
            yield without_verdict(pack, submission, why, seconds)
