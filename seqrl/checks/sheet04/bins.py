"""Exercise 4.1: numbers to tokens and back, by bins that hold equally many of the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator

Edges = Callable[[np.ndarray, int], np.ndarray]


def masses(column: np.ndarray, bins: int) -> np.ndarray:
    """Every ⌈rows / bins⌉-th value in order, and the largest; ties are still in it."""
    x = np.sort(column).astype(float)
    return np.append(x[:: -(-len(x) // bins)], x[-1])


def widths(column: np.ndarray, bins: int) -> np.ndarray:
    """Edges of bins that are equally wide."""
    return np.linspace(column.min(), column.max(), bins + 1)


def floors(column: np.ndarray, bins: int) -> np.ndarray:
    """The step between edges rounded down."""
    x = np.sort(column).astype(float)
    return np.append(x[:: max(1, len(x) // bins)], x[-1])


def without_largest(column: np.ndarray, bins: int) -> np.ndarray:
    """The last edge forgotten; of a single one nothing can be told."""
    return masses(column, bins)[:-1]


def between(column: np.ndarray, bins: int) -> np.ndarray:
    """Quantiles as NumPy has them, which lie between the values."""
    return np.quantile(column, np.linspace(0, 1, bins + 1))


def between_by_division(column: np.ndarray, bins: int) -> np.ndarray:
    """The same but for the last digit, which decides where a value lies on an edge."""
    return np.quantile(column, np.arange(bins + 1) / bins)


def between_by_percent(column: np.ndarray, bins: int) -> np.ndarray:
    """The same once more, and again with another last digit."""
    return np.percentile(column, np.linspace(0, 100, bins + 1))


def of_distinct(column: np.ndarray, bins: int) -> np.ndarray:
    """Bins that hold equally many different values."""
    return masses(np.unique(column), bins)


def tell(edges: np.ndarray, values: np.ndarray, side: Any = "right") -> Any:
    """Tokens of values by edges, and what they mean: the middles of their bins."""
    edges = edges.repeat(2) if len(edges) == 1 else edges
    tokens = np.clip(np.searchsorted(edges, values, side) - 1, 0, len(edges) - 2)
    return tokens, (edges[tokens] + edges[tokens + 1]) / 2


def by(edges: Edges, side: Any = "right") -> Callable[..., Any]:
    """An answer from a rule for edges; equal edges are one."""
    return lambda column, bins, values: tell(np.unique(edges(column, bins)), values, side)


right = by(masses)


def meaning(at: float) -> Callable[..., Any]:
    """The right tokens, told at another place of their bins: 0 the left edge, 1 the right one."""

    def answer(column: np.ndarray, bins: int, values: np.ndarray) -> Any:
        edges = np.unique(masses(column, bins))
        edges = edges.repeat(2) if len(edges) == 1 else edges
        tokens, _ = tell(edges, values)
        return tokens, (1 - at) * edges[tokens] + at * edges[tokens + 1]

    return answer


def mean_of_data(column: np.ndarray, bins: int, values: np.ndarray) -> Any:
    """The right tokens, told as the mean of the data in the bin."""
    tokens, _ = right(column, bins, values)
    own, _ = right(column, bins, column)
    return tokens, np.array([column[own == token].mean() for token in tokens])


def shifted(column: np.ndarray, bins: int, values: np.ndarray) -> Any:
    tokens, told = right(column, bins, values)
    return tokens + 1, told


def beyond(column: np.ndarray, bins: int, values: np.ndarray) -> Any:
    """Tokens that are not held inside the vocabulary."""
    edges = np.unique(masses(column, bins))
    return np.searchsorted(edges, values, "right") - 1, right(column, bins, values)[1]


def with_ties(column: np.ndarray, bins: int, values: np.ndarray) -> Any:
    """Equal edges left side by side: bins without width, whose tokens never occur."""
    edges = masses(column, bins)
    tokens = np.clip(np.searchsorted(edges, values, "right") - 1, 0, len(edges) - 2)
    return tokens, (edges[tokens] + edges[tokens + 1]) / 2


BETWEEN = (
    "The edges lie between values, where the quantile was interpolated. Here every edge is a value "
    "of the column: every ⌈rows / bins⌉-th in order, and the largest."
)

MISTAKES = (
    Mistake(
        "The bins are equally wide. They should hold equally many values of the column, so that "
        "the words stand where the data are.",
        by(widths),
    ),
    Mistake(
        "A value that lies on an edge falls into the bin below it. Token i means edges[i] <= x < "
        "edges[i + 1]: an edge belongs to the bin above.",
        by(masses, "left"),
    ),
    Mistake("A token is told as the left edge of its bin. Tell it as the middle.", meaning(0)),
    Mistake("A token is told as the right edge of its bin. Tell it as the middle.", meaning(1)),
    Mistake(
        "A token is told as the mean of the data in its bin. That is a fine choice, and not the "
        "one of this book: the middle of the bin bounds the error of every value by half a width.",
        mean_of_data,
    ),
    Mistake(
        "The tokens count from 1. They are rows of an embedding, and those count from 0.",
        shifted,
    ),
    Mistake(
        "Some tokens do not exist: the largest value and all beyond get one too many, all below "
        "the first edge get -1. The last bin holds its right edge, and what lies outside goes to "
        "the nearest bin.",
        beyond,
    ),
    Mistake(
        "Equal edges stand side by side. Between them lies a bin without width: a word that is "
        "learned by nobody and can still be drawn. Let equal edges be one.",
        with_ties,
    ),
    *(Mistake(BETWEEN, by(f)) for f in (between, between_by_division, between_by_percent)),
    Mistake(
        "The step from edge to edge was rounded down, so there can be more bins than asked for. "
        "Round up.",
        by(floors),
    ),
    Mistake(
        "The largest value is no edge, so the last bin is lost, and all that lies in it is told "
        "too small.",
        by(without_largest),
    ),
    Mistake(
        "The bins hold equally many different values. Equal values count each time they occur: "
        "what is frequent deserves narrow bins.",
        by(of_distinct),
    ),
)


def read(value: Any, column: np.ndarray, bins: int, values: np.ndarray) -> Any:
    """What was returned as (tokens (n,) integers, told (n,) floats)."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise Failed(f"Return two things, `tokens, told`; this is one {type(value).__name__}.")
    tokens, told = as_array(value[0], "`tokens`"), as_array(value[1], "`told`")
    for name, array in (("tokens", tokens), ("told", told)):
        if array.shape != values.shape:
            need = f"shape {values.shape}; yours has shape {array.shape}."
            raise Failed(f"`{name}` has one entry for each of `values`, {need}")
    if tokens.dtype.kind not in "iu":
        raise Failed(
            f"The tokens are {tokens.dtype}. A token chooses a row of an embedding: make it an "
            "integer."
        )
    if not np.isfinite(told).all():
        raise Failed("`told` holds NaN or infinity. Every token means a number of the column.")
    if told.dtype.kind in "biu" and not close(right(column, bins, values)[1] % 1, np.zeros(1)):
        raise Failed(
            "`told` holds whole numbers, so every half is cut off. A column of integers has "
            "middles that are none: make them floats."
        )
    return tokens, told.astype(float)


def same(one: Any, other: Any) -> bool:
    """Equal tokens with equal meanings."""
    return np.array_equal(one[0], other[0]) and close(one[1], other[1])


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(column, bins, values): plain, uneven, with ties, constant, with values from outside."""
    yield np.array([1.0, 2.0, 4.0, 8.0]), 2, np.array([3.0, 5.0])
    yield np.array([8.0, 1.0, 4.0, 2.0]), 2, np.array([1.0, 4.0, 8.0])
    yield np.array([1.0, 2.0, 4.0, 8.0]), 2, np.array([-5.0, 100.0])
    yield np.array([0, 1, 2, 4, 8, 16, 32, 64]), 3, np.array([1, 5, 20, 40])
    yield np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 5.0]), 4, np.array([0.0, 1.5, 4.0])
    yield np.array([3.0, 3.0, 3.0]), 2, np.array([3.0, 4.0])
    for seed in seeds:
        draw = generator("test", "check 4.1", seed)
        for bins in (3, 10):
            column = np.round(draw.exponential(5.0, size=int(draw.integers(40, 90))), 1)
            yield column, bins, np.round(draw.uniform(-2, column.max() + 2, size=30), 1)


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right bins, the right side of every edge, and the middle as meaning."""
    compare(student, cases(seeds), right, MISTAKES, read, same)


EXERCISE = Exercise(
    id="4.1",
    title="Words for numbers",
    name="discretize",
    parameters=("column", "bins", "values"),
    objectives=("O4.1",),
    difficulty=1,
    minutes=15,
    judge=judge,
    shown="Right. The bins follow the data, ties make no empty words, an edge belongs to the bin "
    "above it, and what lies outside goes to the nearest bin. No value of the column comes back "
    "further off than half the width of its bin.",
)
