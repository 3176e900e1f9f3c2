"""Exercise 2.1: a causal mask with hidden columns, as a table of truth values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator


def itself(mask: np.ndarray) -> np.ndarray:
    """Empty rows see themselves."""
    return mask | np.diag(np.logical_not(mask.any(axis=1)))


def drawn(
    sees: Callable[[Any, Any], Any] = lambda i, j: j <= i,
    hides: Callable[[Any, Any, np.ndarray], Any] = lambda i, j, hidden: np.isin(j, hidden),
    empty: Callable[[np.ndarray], np.ndarray] = itself,
) -> Callable[..., np.ndarray]:
    """A rule for masks: who sees whom by place, what is hidden, what becomes of empty rows."""

    def mask(T: int, hidden: Sequence[int]) -> np.ndarray:
        i, j = np.indices((T, T))
        return empty(sees(i, j) & ~hides(i, j, np.array(hidden, int)))

    return mask


def anything(mask: np.ndarray, columns: slice) -> np.ndarray:
    """Empty rows see these columns."""
    filled = mask.copy()
    filled[~mask.any(1), columns] = True
    return filled


right = drawn()
TRANSPOSED = (
    "The mask is turned around: a query sees what comes after it. Row i is the query, column j the "
    "key, so the True cells lie on and below the diagonal."
)
BLIND = (
    "A token does not see itself. Under the causal mask it sees itself and what came before, so "
    "the diagonal is True wherever the column is not hidden."
)

MISTAKES = (
    Mistake(TRANSPOSED, drawn(lambda i, j: j >= i)),
    Mistake(TRANSPOSED, lambda T, hidden: right(T, hidden).T),
    Mistake(BLIND, drawn(lambda i, j: j < i)),
    Mistake(BLIND, drawn(lambda i, j: j < i, empty=lambda mask: mask)),
    Mistake(
        "The mask peeks: it reaches one column too far to the right, so that every token also sees "
        "the next. A model trained with it has a wonderful loss and knows nothing.",
        drawn(lambda i, j: j <= i + 1),
    ),
    Mistake(
        "The columns are hidden, but nothing is causal: a query also sees what comes after it.",
        drawn(lambda i, j: j >= 0),
    ),
    Mistake("`hidden` is ignored.", drawn(hides=lambda i, j, hidden: np.zeros(i.shape, bool))),
    Mistake(
        "You hid rows, not columns. A hidden token may still ask; what must not happen is that "
        "anybody reads it.",
        drawn(hides=lambda i, j, hidden: np.isin(i, hidden)),
    ),
    Mistake(
        "You hid rows and columns. A hidden token may still ask, so its row stays.",
        drawn(hides=lambda i, j, hidden: np.isin(i, hidden) | np.isin(j, hidden)),
    ),
    Mistake(
        "A hidden token still sees itself. Its column is hidden from every query, its own "
        "included; only where a row would be empty does a token see itself.",
        drawn(hides=lambda i, j, hidden: np.isin(j, hidden) & (i != j)),
    ),
    Mistake(
        "Some row is empty. The softmax of nothing is not a number, and one such row spoils the "
        "whole loss. Let a query that would see nothing see itself.",
        drawn(empty=lambda mask: mask),
    ),
    Mistake(
        "A query that would see nothing sees everything now, the future too. Let it see itself.",
        drawn(empty=lambda mask: anything(mask, slice(None))),
    ),
    Mistake(
        "A query that would see nothing sees column 0 now, and with it the future or a hidden "
        "token. Let it see itself.",
        drawn(empty=lambda mask: anything(mask, slice(1))),
    ),
    Mistake(
        "The mask is upside down: True is where a query may look.",
        lambda T, hidden: ~right(T, hidden),
    ),
)


def read(value: Any, T: int, hidden: Sequence[int]) -> np.ndarray:
    """What was returned as (T, T) bool."""
    array = as_array(value, "The mask")
    if array.shape != (T, T):
        need = f"({T}, {T}), not {array.shape}"
        raise Failed(f"The mask has a row for each query and a column for each key: {need}.")
    if array.dtype == bool:
        return array
    if np.isneginf(array).any():
        raise Failed(
            "This is what one adds to the scores, 0 and minus infinity. The mask says it with True "
            "and False."
        )
    raise Failed(
        f"The mask holds numbers ({array.dtype}). Make it bool: PyTorch adds a mask of numbers to "
        "the scores, and then 0 and 1 hide hardly anything."
    )


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(T, hidden): nothing hidden, a column, the first, all."""
    yield 2, []
    yield 3, []
    yield 1, []
    yield 3, [1]
    yield 3, [0]
    yield 3, [0, 1, 2]
    for seed in seeds:
        draw = generator("test", "check 2.1", seed)
        T = int(draw.integers(5, 13))
        yield T, draw.permutation(T)[: draw.integers(1, T // 2 + 1)].tolist()


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right cells, and no row left empty."""
    compare(student, cases(seeds), right, MISTAKES, read, np.array_equal)


EXERCISE = Exercise(
    id="2.1",
    title="Draw the mask",
    name="draw_mask",
    parameters=("T", "hidden"),
    objectives=("O2.2",),
    difficulty=1,
    minutes=10,
    judge=judge,
    shown="Right. No query sees the future, nobody reads a hidden token, and no row is empty. With "
    "every sixth column hidden this is Trajectory Transformer's mask.",
)
