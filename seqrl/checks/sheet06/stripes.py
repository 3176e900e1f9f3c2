"""Exercise 6.4: a mean map that shows a pattern of random scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator

QUERIES, KEYS = 1, 2  # axes of (B, T, T)


def parts(x: np.ndarray, total: np.ndarray) -> np.ndarray:
    """x / total, 0 where there is nothing to divide by."""
    return x / np.where(total > 0, total, 1)


def seeing(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """In how many windows each query sees something, (T, 1)."""
    return np.asarray(mask.any(KEYS).sum(0)[:, None])


def windows(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.asarray(len(scores))


def visible(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """In how many windows each cell is visible, (T, T)."""
    return np.asarray(mask.sum(0))


def answer(
    axis: int = KEYS,
    count: Callable[[np.ndarray, np.ndarray], np.ndarray] = seeing,
    hides: bool = True,
    rescaled: bool = False,
) -> Callable[..., np.ndarray]:
    """The right mean map, or one in which a part was changed.

    axis: over which the softmax runs. count: what the sum over windows is divided by. hides: the
    mask is used. rescaled: every row is made to sum to 1 at the end.
    """

    def mean_map(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
        e = np.exp(scores) * (mask if hides else mask.any(KEYS, keepdims=True))
        total = parts(e, e.sum(axis, keepdims=True)).sum(0)
        found = parts(total, count(scores, mask))
        return parts(found, found.sum(1, keepdims=True)) if rescaled else found

    return mean_map


right = answer()


def scores_first(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The map of the mean scores."""
    mean = parts((scores * mask).sum(0), visible(scores, mask))
    e = np.exp(mean) * mask.any(0)
    return parts(e, e.sum(1, keepdims=True))


def pooled(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    e = (np.exp(scores) * mask).sum(0)
    return parts(e, e.sum(1, keepdims=True))


MISTAKES = (
    Mistake(
        "This is the map as it was given. Its columns are divided by their sums, and its rows "
        "should be; and there is a second fault beside that.",
        answer(QUERIES, windows),
    ),
    Mistake(
        "The rows sum to 1 in each window now, and in the mean they do not: a window in which the "
        "query is padding adds a row of zeros and still counts.",
        answer(KEYS, windows),
    ),
    Mistake(
        "Padding is out of the mean, but the weights still sum to 1 over the queries. A late key "
        "is seen by few queries, so its column is dark whatever the scores are.",
        answer(QUERIES, seeing),
    ),
    Mistake(
        "The rows are made to sum to 1 at the end, after the weights were divided over the wrong "
        "axis. The numbers look like shares, and the pattern is still there.",
        answer(QUERIES, windows, rescaled=True),
    ),
    Mistake(
        "Each cell is divided by the number of windows in which its own key is visible. Then a "
        "row does not sum to 1, and keys that are rarely seen look strong. Count the windows in "
        "which the query sees anything.",
        answer(KEYS, visible),
    ),
    Mistake(
        "Hidden keys get a share: the mask must act before the division.",
        answer(hides=False),
    ),
    Mistake(
        "That is the map of the mean scores. Asked is the mean of the maps, and a softmax does not "
        "commute with a mean.",
        scores_first,
    ),
    Mistake(
        "The windows are added before the division, so those with large scores count more. Divide "
        "in each window first.",
        pooled,
    ),
)


def read(value: Any, scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What was returned as a map, (T, T)."""
    array = as_array(value, "The map")
    if array.shape != scores.shape[1:]:
        raise Failed(
            f"The mean map has a row for each query and a column for each key, shape "
            f"{scores.shape[1:]}; yours has shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise Failed("The map holds a NaN. What is a row of zeros divided by?")
    return array.astype(float)


def padded(real: Sequence[int], T: int) -> np.ndarray:
    """Masks of windows with so many real steps at their end, (B, T, T)."""
    valid = np.arange(T) >= T - np.array(real)[:, None]
    return np.tril(np.ones((T, T), bool)) & valid[:, None, :] & valid[:, :, None]


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(scores, mask): one even window, uneven ones, padding, a query that never sees, random."""
    yield np.zeros((1, 2, 2)), padded([2], 2)
    low = np.log([[[1, 1], [1, 3]], [[1, 1], [5, 2]]])
    yield low, padded([2, 2], 2)
    yield low, padded([2, 1], 2)
    yield (
        np.log([[[1, 1, 1], [1, 1, 1], [1, 4, 2]], [[1, 1, 1], [1, 2, 1], [3, 1, 1]]]),
        (padded([2, 1], 3)),
    )
    for seed in seeds:
        draw = generator("test", "check 6.4", seed)
        yield draw.normal(size=(5, 4, 4)), padded(draw.integers(1, 5, size=5).tolist(), 4)


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The mean over windows in which a query sees something, of rows that sum to 1."""
    compare(student, cases(seeds), right, MISTAKES, read, close)


EXERCISE = Exercise(
    id="6.4",
    title="A pattern that nobody trained",
    name="mean_map",
    parameters=("scores", "mask"),
    objectives=("O6.1", "O6.3"),
    difficulty=3,
    minutes=30,
    judge=judge,
    shown="Right. Every row is a share of one query's attention, and only windows in which it "
    "could look are in its mean. The pattern that random scores still show is one of places: it "
    "comes from the mask, and every head has it for nothing.",
)
