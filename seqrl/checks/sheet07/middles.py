"""Exercise 7.1: the interquartile mean of all runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator


def middle(x: np.ndarray, cut: int) -> np.ndarray:
    """The mean of what is left if `cut` values are taken from either end."""
    left = np.sort(x)[cut : len(x) - cut]
    return np.asarray(left.mean() if len(left) else np.median(x))


def right(scores: np.ndarray) -> np.ndarray:
    return middle(scores.ravel(), scores.size // 4)


def unsorted(scores: np.ndarray) -> np.ndarray:
    flat, cut = scores.ravel(), scores.size // 4
    return np.asarray(flat[cut : flat.size - cut].mean())


def clipped(scores: np.ndarray) -> np.ndarray:
    """Values outside the quartiles are moved to the edge instead of being cut."""
    flat, cut = np.sort(scores.ravel()), scores.size // 4
    return np.asarray(np.clip(flat, flat[cut], flat[flat.size - 1 - cut]).mean())


def level_by_level(scores: np.ndarray, over: int = 1) -> np.ndarray:
    """An interquartile mean along one axis first, then the mean of these."""
    rows = np.moveaxis(scores, over, -1)
    return np.asarray(np.mean([middle(row, len(row) // 4) for row in rows]))


def one_end(scores: np.ndarray, worst: bool) -> np.ndarray:
    flat, cut = np.sort(scores.ravel()), scores.size // 4
    return np.asarray((flat[cut:] if worst else flat[: flat.size - cut]).mean())


MISTAKES = (
    Mistake(
        "That is the plain mean: one broken run moves it as far as it likes.",
        lambda scores: np.asarray(scores.mean()),
    ),
    Mistake(
        "That is the median, one or two values of all. The interquartile mean uses the whole "
        "middle half.",
        lambda scores: np.asarray(np.median(scores)),
    ),
    Mistake(
        "The values were not sorted before the ends were cut.",
        unsorted,
    ),
    Mistake(
        "Each level's runs are cut by themselves. With so few runs little or nothing is cut; put "
        "the runs of all levels into one list first.",
        level_by_level,
    ),
    Mistake(
        "Each run is cut over levels by itself. Put the runs of all levels into one list first.",
        lambda scores: level_by_level(scores, 0),
    ),
    Mistake(
        "A quarter is cut in all, an eighth at either end. Cut a quarter at either end.",
        lambda scores: middle(scores.ravel(), scores.size // 8),
    ),
    Mistake(
        "The quarter is rounded up. Round it down, so that no more than the ends is lost.",
        lambda scores: middle(scores.ravel(), -(-scores.size // 4)),
    ),
    Mistake(
        "Values outside the middle half are moved to its edge instead of being left out.",
        clipped,
    ),
    Mistake(
        "Only the worst quarter is cut, so lucky runs still count.",
        lambda scores: one_end(scores, worst=True),
    ),
    Mistake(
        "Only the best quarter is cut, so broken runs still count.",
        lambda scores: one_end(scores, worst=False),
    ),
)


def read(value: Any, scores: np.ndarray) -> np.ndarray:
    """What was returned as one number."""
    array = as_array(value, "The interquartile mean")
    if array.size != 1:
        raise Failed(f"All runs of all levels become one number; yours has shape {array.shape}.")
    if not np.isfinite(array).all():
        raise Failed("The interquartile mean is NaN. Is anything left in the middle?")
    return array.astype(float).reshape(())


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(scores,): one level of four and of five runs, one broken run, many levels."""
    yield (np.array([[4.0, 0.0, 1.0, 3.0]]),)
    yield (np.array([[9.0, 2.0, 0.0, 4.0, 3.0]]),)
    yield (np.array([[0.9, 0.0, 0.8], [0.5, 0.7, 0.4]]),)
    for seed in seeds:
        draw = generator("test", "check 7.1", seed)
        for levels, runs in ((7, 3), (3, 5), (4, 10)):
            yield (draw.beta(2, 1, size=(levels, runs)),)


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The mean of the middle half of all values."""
    compare(student, cases(seeds), right, MISTAKES, read, close)


EXERCISE = Exercise(
    id="7.1",
    title="The middle half",
    name="iqm",
    parameters=("scores",),
    objectives=("O7.1",),
    difficulty=1,
    minutes=10,
    judge=judge,
    shown="Right. All runs go into one list, and a quarter of it, rounded down, is cut at either "
    "end. A single broken run cannot move the number far; neither can a level on which everybody "
    "fails, and that is the price.",
)
