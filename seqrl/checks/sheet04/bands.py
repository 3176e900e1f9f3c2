"""Exercise 4.5: how much attention falls into the last transition, and how much by chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator


def band(T: int, C: int, first: int = 0) -> np.ndarray:
    """(T, T) bool: the keys from `first` to `first + C - 1` tokens before the query."""
    distance = np.arange(T)[:, None] - np.arange(T)
    return (distance >= first) & (distance < first + C)


def share(
    weights: np.ndarray, keys: np.ndarray, visible: np.ndarray, queries: np.ndarray
) -> tuple[np.ndarray, float]:
    """Attention (heads,) to `keys`, and that of even attention, means over the queries."""
    inside = (weights * keys).sum(-1)[:, queries]
    even = (visible & keys).sum(-1)[queries] / visible.sum(-1)[queries]
    return inside.mean(1), float(even.mean())


def right(weights: np.ndarray, mask: np.ndarray, C: int) -> Any:
    """Mean over the queries from C on of their attention to the C tokens that end with them."""
    return share(weights, band(len(mask), C), mask, np.arange(len(mask)) >= C)


def changed(first: int = 0, longer: int = 0, since: int = 0) -> Any:
    """The band moved or lengthened, or more queries counted."""

    def answer(weights: np.ndarray, mask: np.ndarray, C: int) -> Any:
        queries = np.arange(len(mask)) >= C + (since if since >= 0 else -C)
        return share(weights, band(len(mask), C + longer, first), mask, queries)

    return answer


def columns(weights: np.ndarray, mask: np.ndarray, C: int) -> Any:
    """Rows taken for keys and columns for queries."""
    measured, _ = right(np.swapaxes(weights, 1, 2), mask, C)
    return measured, right(weights, mask, C)[1]


def averaged(weights: np.ndarray, mask: np.ndarray, C: int) -> Any:
    """The mean weight of a key in the band, not the sum."""
    return right(weights, mask, C)[0] / C, right(weights, mask, C)[1]


def all_causal(weights: np.ndarray, mask: np.ndarray, C: int) -> Any:
    """Even attention over all earlier tokens, hidden ones too."""
    causal = np.tri(len(mask), dtype=bool)
    return right(weights, mask, C)[0], right(weights, causal, C)[1]


def all_keys(weights: np.ndarray, mask: np.ndarray, C: int) -> Any:
    """Even attention over all T tokens, the future too."""
    everything = np.ones_like(mask)
    return right(weights, mask, C)[0], right(weights, everything, C)[1]


def width_over_visible(weights: np.ndarray, mask: np.ndarray, C: int) -> Any:
    """C keys of the visible ones, though some of the C may be hidden."""
    even = float((C / mask.sum(-1)[C:]).mean())
    return right(weights, mask, C)[0], even


def ratio_of_sums(weights: np.ndarray, mask: np.ndarray, C: int) -> Any:
    """All pairs in the band over all pairs."""
    keys = (mask & band(len(mask), C))[C:]
    return right(weights, mask, C)[0], float(keys.sum() / mask[C:].sum())


def all_heads(weights: np.ndarray, mask: np.ndarray, C: int) -> Any:
    """Right, but for the mean over heads."""
    measured, even = right(weights, mask, C)
    return np.full_like(measured, measured.mean()), even


MISTAKES = (
    Mistake(
        "The first C queries are counted too. Their whole past lies within one transition, so "
        "they get 1 whatever the model does, and every model looks Markov.",
        changed(since=-1),
    ),
    Mistake(
        "One query is left out: token C is the first that can look further back than one "
        "transition.",
        changed(since=1),
    ),
    Mistake(
        "The band leaves out the query itself and begins one token too early. The last transition "
        "is the C tokens that end with the query: i - C < j <= i.",
        changed(first=1),
    ),
    Mistake(
        "The band is one token too long: C tokens that end with the query are i - C < j <= i.",
        changed(longer=1),
    ),
    Mistake(
        "The band is one token too short: C tokens that end with the query are i - C < j <= i.",
        changed(longer=-1),
    ),
    Mistake(
        "Rows and columns are mixed up: a row of the weights is one query, and sums to 1 over its "
        "keys.",
        columns,
    ),
    Mistake(
        "`measured` is the mean weight of a key in the band. Its share of a query's attention is "
        "the sum over the band; the mean is taken over queries.",
        averaged,
    ),
    Mistake(
        "`even` spreads attention over hidden keys as well. Nobody can attend to those, so chance "
        "would look smaller or larger than it is. Count the keys that the mask shows.",
        all_causal,
    ),
    Mistake(
        "`even` spreads attention over the future, which a causal model cannot see. A query late "
        "in the window has more keys than an early one: count what the mask shows it.",
        all_keys,
    ),
    Mistake(
        "`even` counts all C keys of the band as visible. Some of them are hidden by the mask.",
        width_over_visible,
    ),
    Mistake(
        "`even` is all pairs of the band over all pairs. `measured` gives every query the same "
        "weight, so `even` must too: first the share of each query, then the mean.",
        ratio_of_sums,
    ),
    Mistake(
        "All heads got the same number, their mean. Heads differ, and the mean hides it.",
        all_heads,
    ),
)


def read(value: Any, weights: np.ndarray, mask: np.ndarray, C: int) -> Any:
    """What was returned as (measured (heads,), even)."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise Failed(f"Return two things, `measured, even`; this is one {type(value).__name__}.")
    measured, even = as_array(value[0], "`measured`"), as_array(value[1], "`even`")
    if measured.shape != (len(weights),):
        need = f"shape ({len(weights)},); yours has shape {measured.shape}."
        raise Failed(f"`measured` has one number a head, {need}")
    if even.size != 1:
        raise Failed(
            f"`even` is one number, since even attention is alike in all heads; yours has shape "
            f"{even.shape}."
        )
    if not (np.isfinite(measured).all() and np.isfinite(even).all()):
        raise Failed("The answer holds NaN. Are there queries left to take the mean over?")
    return measured.astype(float), float(even.reshape(()))


def same(one: Any, other: Any) -> bool:
    """Equal shares, measured and even."""
    return close(one[0], other[0]) and close(np.array(one[1]), np.array(other[1]))


def attention(draw: np.random.Generator, heads: int, steps: int, C: int, hide: bool) -> Any:
    """Weights (heads, T, T) of random scores, and a causal mask without the last column of each."""
    T = steps * C
    mask = np.tri(T, dtype=bool)
    if hide:
        mask &= np.arange(T) % C != C - 1  # the column of values
    scores = np.where(mask, draw.normal(size=(heads, T, T)) * 2, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True), mask, C


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(weights, mask, C): four tokens by hand, then random maps, with and without hidden keys."""
    one = [[1, 0, 0, 0], [1, 0, 0, 0], [0.5, 0, 0.5, 0], [0.25, 0, 0, 0.75]]
    other = [[1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0.5, 0, 0.5, 0]]
    causal = np.tri(4, dtype=bool)
    hidden = causal & (np.arange(4) != 1)  # token 1
    yield np.array([one]), causal, 2
    yield np.array([one, other]), causal, 2
    yield np.array([one, other]), hidden, 1
    for seed in seeds:
        draw = generator("test", "check 4.5", seed)
        yield attention(draw, 2, 2, 3, False)
        yield attention(draw, 3, 3, 4, True)
        yield attention(draw, 4, 5, 3, True)


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right keys, the right queries, and the right chance level."""
    compare(student, cases(seeds), right, MISTAKES, read, same)


EXERCISE = Exercise(
    id="4.5",
    title="A band, counted",
    name="band_mass",
    parameters=("weights", "mask", "C"),
    objectives=("O4.5",),
    difficulty=2,
    minutes=20,
    judge=judge,
    shown="Right. The band is counted over the queries that have a choice, and beside it stands "
    "what attention without any preference would give. Only the difference of the two is about "
    "the model.",
)
