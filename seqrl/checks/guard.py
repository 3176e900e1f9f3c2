"""Calling a student's function so that nothing it does can break the check.

A call gets deep copies of its arguments and a time limit. An exception, an endless loop, an
argument changed in place and a missing `return` each become a sentence, raised as `Failed`.
"""

from __future__ import annotations

import copy
import ctypes
import linecache
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from seqrl.checks.process import ask, portable

TIME_LIMIT = 3.0  # seconds a call; every right answer needs milliseconds


class Failed(Exception):
    """The answer is wrong: a sentence that says why, and the case that shows it."""

    def __init__(self, sentence: str, case: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.case = case


class NotWritten(Failed):
    """The answer is still the stub."""


class NothingToAsk(Failed):
    """There is no function that could have been wrong on some case."""


class TooSlow(Failed):
    """The answer ran out of time."""


class Stopped(SystemExit):
    """Raised inside a function that ran out of time; a thread ends on SystemExit without a word."""


class Guarded:
    """A student's function; calling it returns its value or raises `Failed`.

    `seconds` is how long the last call computed, without the time that other programs took.
    """

    seconds = 0.0

    def __init__(self, function: Callable[..., Any], name: str, parameters: tuple[str, ...]):
        self.function, self.name, self.parameters = function, name, parameters

    def __call__(self, *arguments: Any, limit: float = TIME_LIMIT, processor: bool = False) -> Any:
        """The function's value on copies of `arguments`; `limit` in seconds (see `call_within`)."""
        given = copy.deepcopy(arguments)
        outcome = call_within(limit, self.function, given, processor)
        if outcome is None:
            raise self.too_slow(arguments, limit)
        value, error, self.seconds = outcome
        if isinstance(error, NotImplementedError) and raised_in(self.function, error):
            raise NotWritten(f"`{self.name}` is not written yet.")
        if error is not None:
            raise Failed(self.explain(error), self.case(arguments))
        for parameter, before, after in zip(self.parameters, arguments, given):
            if not same(before, after):
                raise Failed(
                    f"It changes its argument `{parameter}` in place, so whoever called it loses "
                    "the data. Work on a copy, or write into a new array.",
                    f"{self.case(arguments)}\n  leaves {parameter}={show(after)}",
                )
        if value is None or value is ...:
            raise NotWritten(f"`{self.name}` returns nothing. If it is written: does it `return`?")
        return value

    def elsewhere(self, calls: Sequence[tuple[Any, ...]]) -> list[bool] | None:
        """The truth values it returns in a Python process just started, or None (see `process`)."""
        program = portable(self.function)
        return None if program is None else ask(program, calls)

    def too_slow(self, arguments: tuple[Any, ...], limit: float) -> TooSlow:
        """What to raise when a call ran out of time."""
        sentence = f"It was still running after {limit:g} seconds and was stopped. "
        return TooSlow(sentence + "Does every loop come to an end?", self.case(arguments))

    def case(self, arguments: tuple[Any, ...]) -> str:
        """The call as text, such as `returns_to_go(rewards=[1. 2.], discount=0.5)`."""
        named = zip(self.parameters, arguments)
        return f"{self.name}({', '.join(f'{name}={show(value)}' for name, value in named)})"

    def explain(self, error: BaseException) -> str:
        """What was raised, and at which line of the student's own code."""
        what = (
            traceback.format_exception_only(type(error), error)[-1].strip().splitlines()[-1][:200]
        )
        line = own_line(self.function, error.__traceback__)
        if line:
            return f"It stopped with `{what}` at the line `{line}`."
        call = f"{self.name}({', '.join(self.parameters)})"
        return f"It stopped with `{what}`. It is called as `{call}`."


def call_within(
    limit: float, function: Callable[..., Any], arguments: tuple[Any, ...], processor: bool = False
) -> tuple[Any, BaseException | None, float] | None:
    """What `function(*arguments)` returned and raised, or None if it took over `limit` seconds.

    Third come the seconds that it computed. processor: let the limit count these alone, so that
    a busy machine changes nothing; a function that waits instead is stopped too, only later.
    In a thread of its own: a timer signal works only in the main thread, not on Windows, and is
    swallowed by a bare `except:`; a child process cannot always be given a function that was typed
    into a notebook. The thread is stopped from outside; where that does not help (a bare `except:`
    in an endless loop) it is left behind, and the check goes on. Only C code that never lets go of
    the interpreter can still hold it up; an autograder needs a process for that.
    """
    outcome: list[tuple[Any, BaseException | None, float]] = []
    clock: list[int] = []  # of the thread, where the system has such clocks

    def work() -> None:
        if sys.platform == "linux":
            clock.append(time.pthread_getcpuclockid(threading.get_ident()))
        begin = time.thread_time()
        try:
            value = function(*arguments)
            outcome.append((value, None, time.thread_time() - begin))
        except BaseException as error:
            outcome.append((None, error, time.thread_time() - begin))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        if processor:
            wait(thread, limit, clock)
        else:
            thread.join(limit)
    finally:  # also when the reader interrupts the notebook
        late = thread.is_alive()
        if late:
            stop(thread)
    return None if late else outcome[0]


def wait(thread: threading.Thread, limit: float, clock: list[int]) -> None:
    """Return when the thread has ended, or has computed for `limit` seconds."""
    begin, patience = time.process_time(), time.monotonic() + TIME_LIMIT + 5 * limit
    while thread.is_alive() and time.monotonic() < patience:
        thread.join(0.02)
        try:
            computed = time.clock_gettime(clock[0]) if clock else time.process_time() - begin
        except OSError:  # the thread has ended, and its clock with it
            return
        if computed > limit:
            return


def stop(thread: threading.Thread) -> None:
    """Raise `Stopped` in another thread, at its next Python instruction."""
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident), ctypes.py_object(Stopped)
    )
    thread.join(0.2)


def raised_in(function: Callable[..., Any], error: BaseException) -> bool:
    """Whether the error was raised in the file that holds `function`, not in a library under it."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    code = getattr(function, "__code__", None)
    return code is not None and frames[-1].f_code.co_filename == code.co_filename


def own_line(function: Callable[..., Any], trace: TracebackType | None) -> str:
    """The deepest line of the traceback in the file (or notebook cell) that holds `function`."""
    code = getattr(function, "__code__", None)
    found = ""
    for frame, number in traceback.walk_tb(trace):
        if code is not None and frame.f_code.co_filename == code.co_filename:
            found = linecache.getline(code.co_filename, number, frame.f_globals).strip() or found
    return found


def as_numpy(value: Any) -> Any:
    """A tensor, on any device, as an array; anything else as it is. Imports no torch."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


def same(one: Any, other: Any) -> bool:
    """Equality that also holds for arrays and tensors, NaN included, and containers of them."""
    if type(one) is not type(other):
        return False
    one, other = as_numpy(one), as_numpy(other)
    if isinstance(one, np.ndarray):
        same_form = one.dtype == other.dtype and one.shape == other.shape
        return same_form and one.tobytes() == other.tobytes()
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(same, one.values(), other.values()))
    return bool(one == other)


def show(value: Any) -> str:
    """A value in one short piece of text; long arrays are cut in the middle."""
    value = as_numpy(value)
    if isinstance(value, np.ndarray):
        style: Any = {"float_kind": show_float, "int": str, "bool": str}
        text = np.array2string(value, threshold=12, separator=", ", formatter=style)
        return " ".join(text.split())
    if isinstance(value, tuple):
        return f"({', '.join(map(show, value))})"
    if isinstance(value, list) and len(value) > 8:
        return f"[{', '.join(map(show, value[:3]))}, ... {len(value)} in all]"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def show_float(number: float) -> str:
    """Four digits, and a point that tells a float from an integer: `2.`, `0.3333`, `1e-06`."""
    text = f"{number:.4g}"
    return text + "." if text.lstrip("-").isdigit() else text
