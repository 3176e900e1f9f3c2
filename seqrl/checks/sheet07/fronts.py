"""Exercise 7.3: the methods that no other one beats in success and milliseconds together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator

Beats = Callable[[np.ndarray, np.ndarray], np.ndarray]  # gain, saving (n, n) -> does j beat i?


def unbeaten(beats: Beats) -> Callable[..., np.ndarray]:
    """Those whom no other beats; gain[i, j] is the success of j minus that of i, saving the ms."""

    def front(success: np.ndarray, ms: np.ndarray) -> np.ndarray:
        gain, saving = success[None] - success[:, None], ms[:, None] - ms[None]
        beaten = beats(gain, saving) & ~np.eye(len(ms), dtype=bool)
        return np.asarray(~beaten.any(1))

    return front


def dominates(gain: np.ndarray, saving: np.ndarray) -> np.ndarray:
    return np.asarray((gain >= 0) & (saving >= 0) & ((gain > 0) | (saving > 0)))


right = unbeaten(dominates)


def hull(success: np.ndarray, ms: np.ndarray) -> np.ndarray:
    """Those that are best for some price of a millisecond."""
    found = right(success, ms)
    for i in np.flatnonzero(found):
        for j in np.flatnonzero(found):
            for k in np.flatnonzero(found):
                if ms[j] < ms[i] < ms[k]:
                    share = (ms[i] - ms[j]) / (ms[k] - ms[j])
                    line = success[j] + share * (success[k] - success[j])
                    found[i] &= success[i] >= line - 1e-12
    return found


def first_of_equals(success: np.ndarray, ms: np.ndarray) -> np.ndarray:
    pairs = list(zip(success.tolist(), ms.tolist()))
    return right(success, ms) & np.array([pairs.index(pair) == i for i, pair in enumerate(pairs)])


MISTAKES = (
    Mistake(
        "A method that is beaten in one of the two and equal in the other is kept. With the same "
        "success, the faster one is better.",
        unbeaten(lambda gain, saving: (gain > 0) & (saving > 0)),
    ),
    Mistake(
        "Two methods with equal numbers throw each other out. Neither is better, so both stay.",
        unbeaten(lambda gain, saving: (gain >= 0) & (saving >= 0)),
    ),
    Mistake(
        "Of methods with equal numbers only the first is kept. None of them is better; all stay.",
        first_of_equals,
    ),
    Mistake(
        "More milliseconds are taken for better. They are a cost.",
        lambda success, ms: right(success, -ms),
    ),
    Mistake(
        "Less success is taken for better.",
        lambda success, ms: right(-success, ms),
    ),
    Mistake(
        "True and False are exchanged: these are the beaten ones.",
        lambda success, ms: ~right(success, ms),
    ),
    Mistake(
        "A method is thrown out if another one is better in one of the two, whatever the other "
        "number says. To beat it, it must not be worse in either.",
        unbeaten(lambda gain, saving: (gain > 0) | (saving > 0)),
    ),
    Mistake(
        "Only the best and the fastest are kept. What lies between them is on the front as well, "
        "if nobody is both better and faster.",
        lambda success, ms: right(success, ms) & ((success == success.max()) | (ms == ms.min())),
    ),
    Mistake(
        "A method that lies below the line between two others is thrown out. But nobody can drive "
        "half with one method and half with another: only a single one can beat it.",
        hull,
    ),
    Mistake(
        "Only success is looked at.",
        lambda success, ms: success == success.max(),
    ),
    Mistake(
        "Only milliseconds are looked at.",
        lambda success, ms: ms == ms.min(),
    ),
)


def read(value: Any, success: np.ndarray, ms: np.ndarray) -> np.ndarray:
    """What was returned as truth values, (n,)."""
    array = as_array(value, "The front")
    if array.shape != success.shape or array.dtype != bool:
        raise Failed(
            f"The front has a truth value for each method, shape {success.shape}; yours has "
            f"shape {array.shape} and holds {array.dtype}."
        )
    return array


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(success, ms): two methods, ties, equals, a dent in the front, random ones."""
    yield np.array([0.5, 0.9]), np.array([2.0, 1.0])
    yield np.array([0.9, 0.9]), np.array([1.0, 2.0])
    yield np.array([0.9, 0.9, 0.5]), np.array([1.0, 1.0, 0.5])
    yield np.array([0.5, 0.6, 0.9]), np.array([1.0, 2.0, 3.0])
    yield np.array([0.5, 0.8, 0.82, 0.95]), np.array([1.0, 2.0, 3.0, 4.0])
    for seed in seeds:
        draw = generator("test", "check 7.3", seed)
        for n in (6, 10):
            yield draw.integers(3, 10, size=n) / 10, draw.integers(1, 9, size=n).astype(float)


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right methods are on the front."""
    compare(student, cases(seeds), right, MISTAKES, read, np.array_equal)


EXERCISE = Exercise(
    id="7.3",
    title="Who is beaten?",
    name="front",
    parameters=("success", "ms"),
    objectives=("O7.4", "O7.5"),
    difficulty=2,
    minutes=15,
    judge=judge,
    shown="Right. A method leaves the front only for a single other one that is nowhere worse and "
    "somewhere better; equals stay together. What is left is a choice that no measurement makes "
    "for you.",
)
