"""Exercise 6.6: when in training a pattern appears, and when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator

When = Callable[[np.ndarray, np.ndarray], float]  # steps, above or not -> the step


def stays(steps: np.ndarray, above: np.ndarray) -> float:
    """The first step from which on it is above at every step; infinity if there is none."""
    from_here = np.logical_and.accumulate(above[::-1])[::-1]
    return float(steps[from_here.argmax()]) if from_here.any() else np.inf


def crosses(steps: np.ndarray, above: np.ndarray) -> float:
    return float(steps[above.argmax()]) if above.any() else np.inf


def answer(
    when: When = stays, at_least: bool = False, against_start: bool = False
) -> Callable[..., np.ndarray]:
    """The right two steps, or others: at_least: equality is enough; against_start: of the share."""

    def arrivals(
        steps: np.ndarray, share: np.ndarray, even: float, moved: np.ndarray, least: float
    ) -> np.ndarray:
        above = np.greater_equal if at_least else np.greater
        seen = above(share, share[0] if against_start else even)
        return np.array([when(steps, seen), when(steps, above(moved, least))])

    return arrivals


right = answer()


def last_below(steps: np.ndarray, above: np.ndarray) -> float:
    """The last step at which it was not above; infinity where that is the last of all."""
    if not above[-1]:
        return np.inf
    below = np.flatnonzero(~above)
    return float(steps[below[-1]]) if len(below) else float(steps[0])


def index(steps: np.ndarray, above: np.ndarray) -> float:
    return stays(np.arange(len(steps)), above)


def or_else(never: Callable[[np.ndarray], float]) -> When:
    def when(steps: np.ndarray, above: np.ndarray) -> float:
        found = stays(steps, above)
        return found if np.isfinite(found) else float(never(steps))

    return when


NEVER = "What never arrives is told as infinity, `np.inf`; any other number is a step of training."
MISTAKES = (
    Mistake(
        "This is where a curve is above its line for the first time, and it falls below again "
        "later. Asked is the step from which on it stays above.",
        answer(crosses),
    ),
    Mistake(
        "This is the place in the list. Asked is the update, `steps` at that place.",
        answer(index),
    ),
    Mistake(
        "This is the last step below the line. Asked is the first one of those that stay above.",
        answer(last_below),
    ),
    Mistake(
        "A number that equals its line is not above it. Even attention itself shows no pattern.",
        answer(at_least=True),
    ),
    Mistake(
        "The share is held against its own beginning. A network before training need not attend "
        "evenly: the line is `even`.",
        answer(against_start=True),
    ),
    Mistake(NEVER, answer(or_else(lambda steps: steps[-1]))),
    Mistake(NEVER, answer(or_else(lambda steps: -1))),
    Mistake(NEVER, answer(or_else(lambda steps: steps[0]))),
    Mistake(
        "The two are in the other order: first the share, then what moves.",
        lambda *arguments: right(*arguments)[::-1],
    ),
)


def read(value: Any, steps: np.ndarray, *_: Any) -> np.ndarray:
    """What was returned as two steps, (2,)."""
    array = as_array(value, "The steps")
    if array.shape != (2,):
        raise Failed(
            "Two steps are asked for, that of the share and that of what moves; yours have shape "
            f"{array.shape}."
        )
    if np.isnan(array).any():
        raise Failed(f"A step is NaN. {NEVER}")
    return array.astype(float)


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(steps, share, even, moved, least): by hand, one that falls back, never, random walks."""
    steps = np.array([0, 10, 20, 40])
    up, slow = np.array([0.2, 0.3, 0.4, 0.5]), np.array([0.0, 0.0, 0.01, 0.2])
    yield steps, up, 0.25, slow, 0.01
    yield steps, np.array([0.3, 0.2, 0.4, 0.5]), 0.25, np.array([0.0, 0.1, 0.005, 0.2]), 0.01
    yield steps, up, 0.3, slow, 0.3
    yield steps, up, 0.1, slow, 0.2
    for seed in seeds:
        draw = generator("test", "check 6.6", seed)
        for n in (8, 15):
            walk = 0.2 + np.abs(draw.normal(size=n).cumsum() / 20)
            moved = np.abs(draw.normal(size=n)) * np.arange(n) / 100
            yield np.cumsum(draw.integers(1, 50, size=n)), walk, 0.25, moved, 0.01


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The steps from which on both stay above their lines."""
    compare(student, cases(seeds), right, MISTAKES, read, np.array_equal)


EXERCISE = Exercise(
    id="6.6",
    title="Which comes first?",
    name="arrivals",
    parameters=("steps", "share", "even", "moved", "least"),
    objectives=("O6.6",),
    difficulty=1,
    minutes=15,
    judge=judge,
    shown="Right. A curve has arrived where it stays above its line, and what never arrives is "
    "told so. Two dates for one pattern: when it can be seen, and when something rests on it.",
)
