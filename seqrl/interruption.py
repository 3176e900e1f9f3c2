"""What must not disturb a training run, and what it must not disturb: signals, random numbers."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch


def random_numbers_kept(device: torch.device) -> AbstractContextManager[None]:
    """Puts the caller's random numbers back afterwards."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


@contextmanager
def signals_wait() -> Iterator[list[int]]:
    """Lets SIGINT and SIGTERM wait for the end of an update; the second one does not wait.

    Yields the list of those that came; they are raised again on the way out.
    """
    if threading.current_thread() is not threading.main_thread():
        yield []  # only the main thread may choose what a signal does
        return
    came: list[int] = []

    def note(number: int, frame: Any) -> None:
        came.append(number)
        signal.signal(number, handlers[number] or signal.SIG_DFL)

    handlers: dict[int, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        handlers[number] = signal.signal(number, note)
    try:
        yield came
    finally:
        for installed, handler in handlers.items():
            signal.signal(installed, handler or signal.SIG_DFL)
    for received in came:
        signal.raise_signal(received)
