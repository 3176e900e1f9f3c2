"""Exercise 7.2: a bootstrap interval of a difference between methods that drove the same maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator


def told(estimate: float, means: np.ndarray, outside: float = 0.05) -> np.ndarray:
    """An estimate with the percentiles of the means that were drawn."""
    low, high = np.quantile(means, [outside / 2, 1 - outside / 2])
    return np.array([estimate, low, high])


def drawn(x: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """The mean over seeds and over the episodes of each draw, (D,)."""
    return np.asarray(x.mean(0)[draws].mean(1))


def right(one: np.ndarray, other: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return told((one - other).mean(), drawn(one - other, draws))


def apart(one: np.ndarray, other: np.ndarray, draws: np.ndarray, shift: int) -> np.ndarray:
    """Each method with draws of its own: the other one's from another place."""
    means = drawn(one, draws) - drawn(other, np.roll(draws, shift, axis=0))
    return told((one - other).mean(), means)


def separate(one: np.ndarray, other: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """The difference of two intervals, end by end."""
    (_, a, b), (_, c, d) = (told(0, drawn(x, draws)) for x in (one, other))
    return np.array([(one - other).mean(), a - d, b - c])


def ends(one: np.ndarray, other: np.ndarray, draws: np.ndarray) -> np.ndarray:
    (_, a, b), (_, c, d) = (told(0, drawn(x, draws)) for x in (one, other))
    return np.array([(one - other).mean(), a - c, b - d])


def normal(one: np.ndarray, other: np.ndarray, draws: np.ndarray) -> np.ndarray:
    means, center = drawn(one - other, draws), (one - other).mean()
    return center + 1.96 * means.std() * np.array([0, -1, 1])


def of_draws(one: np.ndarray, other: np.ndarray, draws: np.ndarray) -> np.ndarray:
    means = drawn(one - other, draws)
    return told(float(means.mean()), means)


TWO_DRAWS = (
    "The two methods get different episodes. What a map costs both of them then counts as noise, "
    "and the interval is too wide. Draw pairs: the same episodes for both."
)
MISTAKES = (
    Mistake(TWO_DRAWS, lambda one, other, draws: apart(one, other, draws, 1)),
    Mistake(TWO_DRAWS, lambda one, other, draws: apart(one, other, draws, -1)),
    Mistake(
        TWO_DRAWS,
        lambda one, other, draws: told(
            (one - other).mean(), drawn(one, draws) - drawn(other, draws[::-1])
        ),
    ),
    Mistake(
        "Two intervals are subtracted, the one's low from the other's high. They do not know that "
        "the maps were the same. Subtract first, then draw.",
        separate,
    ),
    Mistake(
        "The ends of two intervals are subtracted, low from low and high from high. That is no "
        "interval of the difference. Subtract first, then draw.",
        ends,
    ),
    Mistake(
        "The interval holds 90 %. For 95 %, leave 2.5 % out on each side.",
        lambda one, other, draws: told((one - other).mean(), drawn(one - other, draws), 0.1),
    ),
    Mistake(
        "This is two standard deviations to either side. Asked are the percentiles of the drawn "
        "means, which need not lie evenly.",
        normal,
    ),
    Mistake(
        "These are percentiles of single episodes. They tell how much maps differ; the interval "
        "asks how much the mean does.",
        lambda one, other, draws: told((one - other).mean(), (one - other).mean(0)),
    ),
    Mistake(
        "The difference has the wrong sign: it is the first minus the second.",
        lambda one, other, draws: right(other, one, draws),
    ),
    Mistake(
        "Only the first training seed is used. An episode counts with the mean over all seeds.",
        lambda one, other, draws: right(one[:1], other[:1], draws),
    ),
    Mistake(
        "The estimate is the mean of the draws. It should be that of the episodes themselves; the "
        "draws are for the interval.",
        of_draws,
    ),
)


def read(value: Any, one: np.ndarray, other: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """What was returned as an estimate with its two bounds, (3,)."""
    array = as_array(value, "The interval")
    if array.shape != (3,):
        raise Failed(
            "Three numbers are asked for, the difference and the bounds of its interval; yours "
            f"have shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise Failed("A number is NaN or infinite.")
    return array.astype(float)


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(one, other, draws): three episodes by hand, two seeds, hard and easy maps."""
    one, other = np.array([[1.0, 1.0, 0.0]]), np.array([[1.0, 0.0, 0.0]])
    few = np.array([[0, 0, 2], [1, 1, 0], [0, 1, 2], [1, 2, 2], [1, 1, 1]])
    yield one, other, few
    yield np.array([[1.0, 1, 0], [0, 1, 1]]), np.array([[1.0, 0, 0], [1, 0, 0]]), few
    for seed in seeds:
        draw = generator("test", "check 7.2", seed)
        S, E = 3, 40
        easy = draw.beta(0.5, 0.5, size=E)
        one, other = (draw.random((S, E)) < easy * share for share in (1.0, 0.8))
        yield one.astype(float), other.astype(float), draw.integers(0, E, size=(200, E))


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The difference with the percentiles of paired draws."""
    compare(student, cases(seeds), right, MISTAKES, read, close)


EXERCISE = Exercise(
    id="7.2",
    title="The same maps",
    name="paired",
    parameters=("one", "other", "draws"),
    objectives=("O7.1", "O7.2"),
    difficulty=2,
    minutes=20,
    judge=judge,
    shown="Right. Episodes are drawn as pairs, with all seeds, so what is hard for both methods "
    "cancels. The interval is that of the difference, and only it says whether one is ahead.",
)
