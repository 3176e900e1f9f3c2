"""Exercise 6.5: what resampling and hiding a token do to one answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator


def changes(w: np.ndarray, v: np.ndarray, o: np.ndarray, rescaled: bool = True) -> np.ndarray:
    """By how much each token's exchange (row 0) and its absence (row 1) moves the answer."""
    rest = 1 - w if rescaled else np.ones_like(w)
    left = np.where(rest > 0, (w @ v - w * v) / np.where(rest > 0, rest, 1), 0)
    return np.array([w * (o - v), left - w @ v])


def right(w: np.ndarray, v: np.ndarray, o: np.ndarray) -> np.ndarray:
    return np.abs(changes(w, v, o))


def from_the_other(w: np.ndarray, v: np.ndarray, o: np.ndarray) -> np.ndarray:
    """The other episode's token, in its place alone, all else the other's too."""
    return np.array([np.full_like(w, abs(w @ (o - v))), right(w, v, o)[1]])


MISTAKES = (
    Mistake(
        "A hidden token's share is lost. The softmax runs over what is left, so the other tokens "
        "share it: divide by what their weights sum to.",
        lambda w, v, o: np.abs(changes(w, v, o, rescaled=False)),
    ),
    Mistake(
        "All tokens are exchanged at once. Exchange one and keep the others.",
        from_the_other,
    ),
    Mistake(
        "These are changes with their sign. Asked is how far the answer moves.",
        changes,
    ),
    Mistake(
        "These are the attention weights. A token may have a large one and say the same in every "
        "episode.",
        lambda w, v, o: np.array([w, w]),
    ),
    Mistake(
        "The two rows are in the other order: first resampled, then hidden.",
        lambda w, v, o: right(w, v, o)[::-1],
    ),
    Mistake(
        "Rows and columns are swapped: a row for each intervention, a column for each token.",
        lambda w, v, o: right(w, v, o).T,
    ),
    Mistake(
        "The exchanged value is not weighted: the answer sees it only as far as it attends to it.",
        lambda w, v, o: np.array([np.abs(o - v), right(w, v, o)[1]]),
    ),
    Mistake(
        "The second row exchanges the value for 0 and keeps its weight, or the other way around. "
        "A hidden token is not there: no value, no weight.",
        lambda w, v, o: np.array([right(w, v, o)[0], np.abs(v - w @ v) * w]),
    ),
    Mistake(
        "These are the answers after the change. Asked is how far they are from the answer before.",
        lambda w, v, o: changes(w, v, o) + w @ v,
    ),
)


def read(value: Any, weights: np.ndarray, values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """What was returned as changes, (2, T)."""
    array = as_array(value, "The changes")
    if array.shape != (2, len(weights)):
        raise Failed(
            f"There are two rows, resampled and hidden, with a number for each token, shape "
            f"{(2, len(weights))}; yours has shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise Failed(
            "A change is NaN or infinite. If all attention is on one token and it is hidden, "
            "nothing is read, and the answer is 0."
        )
    return array.astype(float)


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(weights, values, others): the chapter's toy, three tokens, all on one, random."""
    yield np.array([0.8, 0.2]), np.array([0.0, 5.0]), np.array([0.0, -3.0])
    yield np.array([0.5, 0.3, 0.2]), np.array([1.0, 4.0, -2.0]), np.array([3.0, 4.0, 1.0])
    yield np.array([0.0, 1.0]), np.array([2.0, 3.0]), np.array([1.0, 1.0])
    for seed in seeds:
        draw = generator("test", "check 6.5", seed)
        for T in (4, 7):
            yield draw.dirichlet(np.ones(T)), draw.normal(size=T), draw.normal(size=T)


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right changes of both interventions."""
    compare(student, cases(seeds), right, MISTAKES, read, close)


EXERCISE = Exercise(
    id="6.5",
    title="Read, and not needed",
    name="changes",
    parameters=("weights", "values", "others"),
    objectives=("O6.4", "O6.5"),
    difficulty=2,
    minutes=20,
    judge=judge,
    shown="Right. Resampling takes away what a token says; hiding also gives its share to the "
    "others. The weight alone is neither: it says where an answer is read, not what it rests on.",
)
