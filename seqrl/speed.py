"""One code path at three sizes: `smoke` (seconds), `class` (minutes) and `full` (as recorded).

The environment variable `SEQRL_SPEED` chooses; every size in the book goes through `pick`.
"""

from __future__ import annotations

import os
from typing import Literal, TypeVar, cast

Speed = Literal["smoke", "class", "full"]
T = TypeVar("T")

SPEEDS: tuple[Speed, ...] = ("smoke", "class", "full")


def current() -> Speed:
    """The speed of this run, from `SEQRL_SPEED` (default `class`); ValueError otherwise."""
    speed = os.environ.get("SEQRL_SPEED") or "class"
    if speed not in SPEEDS:
        raise ValueError(f"SEQRL_SPEED is {speed!r}; it must be one of {', '.join(SPEEDS)}.")
    return cast(Speed, speed)


def pick(*, smoke: T, class_: T, full: T) -> T:
    """The value that belongs to the current speed: `pick(smoke=20, class_=500, full=10_000)`."""
    return {"smoke": smoke, "class": class_, "full": full}[current()]
