"""Exercise 6.1: the share of attention on some columns, beside that of even attention."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator


def rows(weights: np.ndarray) -> np.ndarray:
    """Every row made to sum to 1; a row of zeros stays."""
    total = weights.sum(1, keepdims=True)
    return weights / np.where(total > 0, total, 1)


def answer(
    ignored: bool = False,
    rescaled: bool = True,
    control: bool = True,
    counted: str = "seeing",
    over_all: bool = False,
) -> Callable[..., np.ndarray]:
    """The right pair of shares, or one in which a part was changed.

    ignored: column 0 always stays. rescaled: the map's rows sum to 1 again without it. control:
    even attention loses column 0 too. counted: the queries, "seeing", "all" or "able" (to see one
    of the keys). over_all: even attention over all keys, hidden ones too.
    """

    def shares(A: np.ndarray, mask: np.ndarray, keys: np.ndarray, first: bool) -> np.ndarray:
        kept = mask.copy()
        if not (first or ignored):
            kept[:, 0] = False
        read = rows(A * kept) if rescaled else A * kept
        even = rows((kept if control else mask).astype(float))
        if over_all:
            even = np.full(A.shape, 1 / A.shape[1])
        queries = {
            "seeing": kept.any(1),
            "all": np.ones(len(A), bool),
            "able": kept[:, keys].any(1),
        }
        which = queries[counted]
        return np.array(
            [x[:, keys].sum(1)[which].sum() / max(which.sum(), 1) for x in (read, even)]
        )

    return shares


right = answer()


def scaled(factor: Callable[..., float]) -> Callable[..., np.ndarray]:
    """The right shares times a factor of the arguments."""
    return lambda A, mask, keys, first: right(A, mask, keys, first) * factor(A, mask, keys, first)


def seeing(A: np.ndarray, mask: np.ndarray, keys: np.ndarray, first: bool) -> float:
    return float((mask if first else mask[:, 1:]).any(1).sum())


def old_control(A: np.ndarray, mask: np.ndarray, keys: np.ndarray, first: bool) -> np.ndarray:
    """Even attention as if column 0 counted, and over all queries that see something then."""
    return np.array([right(A, mask, keys, first)[0], right(A, mask, keys, True)[1]])


SINK_IN_CONTROL = (
    "Column 0 is taken out of the map, and even attention keeps it. Both must be asked the same "
    "question."
)
MISTAKES = (
    Mistake(
        "Even attention is spread over all keys, also those that the mask hides. A query that sees "
        "two keys gives each a half: the control has to know the mask.",
        answer(over_all=True),
    ),
    Mistake(
        "Without column 0 the rows of the map no longer sum to 1, so a head with a strong sink "
        "seems to look at nothing. Divide what is left of each row by its sum.",
        answer(rescaled=False),
    ),
    Mistake(SINK_IN_CONTROL, answer(control=False)),
    Mistake(SINK_IN_CONTROL, old_control),
    Mistake(
        "Column 0 is taken out of neither: `first` changes nothing.",
        answer(ignored=True),
    ),
    Mistake(
        "Queries that see nothing are counted as shares of 0. Without column 0 there is one more "
        "of them: a first token that saw only itself.",
        answer(counted="all"),
    ),
    Mistake(
        "Only the queries that can see one of the keys are counted. The others looked elsewhere, "
        "and that is part of the share.",
        answer(counted="able"),
    ),
    Mistake(
        "These are sums over the queries. A share is their mean, from 0 to 1.",
        scaled(seeing),
    ),
    Mistake(
        "These are shares a column. Asked is the attention on all of the keys together.",
        scaled(lambda A, mask, keys, first: 1 / keys.sum()),
    ),
    Mistake(
        "The two are in the other order: first the map's share, then that of even attention.",
        lambda *arguments: right(*arguments)[::-1],
    ),
)


def read(value: Any, A: np.ndarray, mask: np.ndarray, keys: np.ndarray, first: bool) -> np.ndarray:
    """What was returned as two shares, (2,)."""
    array = as_array(value, "The shares")
    if array.shape != (2,):
        raise Failed(
            "Two numbers are asked for, the map's share and that of even attention; yours have "
            f"shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise Failed("A share is NaN or infinite. Which row has nothing to be divided by?")
    return array.astype(float)


def drawn(draw: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    """A map of random scores under a mask, rows that see nothing 0."""
    return rows(np.exp(draw.normal(size=mask.shape)) * mask)


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(A, mask, keys, first): two tokens, three with a sink, padding, random maps."""
    causal = np.tril(np.ones((3, 3), bool))
    yield np.array([[1, 0], [0.8, 0.2]]), causal[:2, :2], np.array([True, False]), True
    A = np.array([[1, 0, 0], [0.6, 0.4, 0], [0.6, 0.1, 0.3]])
    for first in (True, False):
        yield A, causal, np.array([False, True, True]), first
        yield A, causal, np.array([False, False, True]), first
    padded = causal & np.array([False, True, True])
    B = np.array([[0, 0, 0], [0, 1, 0], [0, 0.3, 0.7]])
    yield B, padded, np.array([False, False, True]), True
    for seed in seeds:
        draw = generator("test", "check 6.1", seed)
        mask = np.tril(np.ones((7, 7), bool)) & (draw.random(7) < 0.8)
        mask[-1] |= np.arange(7) < 3
        for first in (True, False):
            yield drawn(draw, mask), mask, np.arange(7) % 3 == int(draw.integers(0, 3)), first


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The share and its control, with column 0 and without it."""
    compare(student, cases(seeds), right, MISTAKES, read, close)


EXERCISE = Exercise(
    id="6.1",
    title="A share and its control",
    name="shares",
    parameters=("A", "mask", "keys", "first"),
    objectives=("O6.1", "O6.2", "O2.5"),
    difficulty=1,
    minutes=15,
    judge=judge,
    shown="Right. The map and even attention are asked the same question, about the same queries "
    "and the same visible keys, with the sink and without it. Only the difference between the two "
    "says anything about the head.",
)
