"""Exercise 2.3: one step of decoding with the keys and values of earlier tokens kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare, in_numpy
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator


def grown(kept: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The rows kept, and the new one behind them."""
    return np.vstack([kept, new[None]])


def heard(q: Any, keys: np.ndarray, values: np.ndarray, root: float = 0.5) -> np.ndarray:
    """One query's mean of the values; zeros where there are none."""
    if not len(keys):
        return np.zeros(values.shape[1])
    scores = keys.astype(float) @ q.astype(float) / len(q) ** root
    weights = np.exp(scores - scores.max())
    return (weights / weights.sum()) @ values.astype(float)


def step(
    hears: Callable[..., np.ndarray] = heard,
    seen: slice = slice(None),
    keeps: Callable[[np.ndarray], np.ndarray] = lambda rows: rows,
) -> Callable[..., Any]:
    """A rule for a step: which of the grown rows the query sees, and which are handed on."""

    def answer(q: Any, k: Any, v: Any, keys: Any, values: Any) -> Any:
        keys, values = grown(keys, k), grown(values, v)
        return hears(q, keys[seen], values[seen]), keeps(keys), keeps(values)

    return in_numpy(answer)


def remembers_answer(q: Any, k: Any, v: Any, keys: Any, values: Any) -> Any:
    """The output stored in the place of the value."""
    said = heard(q, grown(keys, k), grown(values, v))
    return said, grown(keys, k), grown(values, said)


right = step()
FORGETS = (
    "The new token is not kept: you hand back the keys and values that you were given. The next "
    "token would not know that this one was there."
)
UNSEEN = (
    "The new token does not see itself: its own key and value belong to the keys and values that "
    "it reads. Append first, then attend."
)

MISTAKES = (
    Mistake(FORGETS, step(keeps=lambda rows: rows[:-1])),
    Mistake(UNSEEN, step(seen=slice(-1))),
    Mistake(
        "The output is right, but it is kept in the place of the value. Later tokens have to read "
        "v, as they would without a cache.",
        in_numpy(remembers_answer),
    ),
    Mistake(
        "The new token reads the first one only. A causal mask of one row has its only True cell "
        "in column 0. The last token may see everything that is kept, so it needs no mask at all.",
        step(seen=slice(1)),
    ),
    Mistake("The new token reads only itself, not what was kept.", step(seen=slice(-1, None))),
    Mistake(
        "The new row stands in front. Attention does not notice, since it is a sum; but the cache "
        "is now in the wrong order for whoever hides a column or drops the oldest token.",
        step(keeps=lambda rows: np.roll(rows, 1, axis=0)),
    ),
    Mistake(
        "The oldest token was dropped. Then the outputs are no longer those of the whole sequence, "
        "and the cache is not exact.",
        step(keeps=lambda rows: rows[1:] if len(rows) > 1 else rows),
    ),
    Mistake(
        "The scores are not divided by the square root of d.",
        step(lambda q, keys, values: heard(q, keys, values, 0.0)),
    ),
    Mistake(
        "You divide the scores by d; it should be its square root.",
        step(lambda q, keys, values: heard(q, keys, values, 1.0)),
    ),
    Mistake(
        "The softmax is missing: the weights of the tokens should be positive and sum to 1.",
        step(lambda q, keys, values: keys @ q / len(q) ** 0.5 @ values),
    ),
)


def read(value: Any, q: Any, k: Any, v: Any, keys: Any, values: Any) -> Any:
    """What was returned as (output (n,), keys (t + 1 or so, d), values (t + 1 or so, n))."""
    if not isinstance(value, (tuple, list)) or len(value) != 3:
        found = f"{len(value)} things" if isinstance(value, (tuple, list)) else type(value).__name__
        raise Failed(f"Return three things, `output, keys, values`; this is {found}.")
    output, *kept = (as_array(x, w) for x, w in zip(value, ("The output", "Keys", "Values")))
    if output.shape == (1, *v.shape):
        raise Failed(
            f"The output is one row of shape {tuple(v.shape)}, not a table {output.shape}."
        )
    if output.shape != v.shape:
        raise Failed(f"The output has the shape of `v`, {tuple(v.shape)}, not {output.shape}.")
    for name, rows, new in zip(("keys", "values"), kept, (k, v)):
        if rows.ndim != 2 or rows.shape[1] != len(new):
            need = f"({len(keys) + 1}, {len(new)}), not {rows.shape}"
            swapped = rows.ndim == 2 and rows.shape[1] == len(k) + len(v) - len(new)
            why = " Are keys and values swapped?" if swapped else ""
            raise Failed(f"The {name} that you hand back should have shape {need}.{why}")
    if not np.isfinite(output).all():
        empty = " At the first token nothing is kept yet." if not len(keys) else ""
        raise Failed(f"The output holds NaN or infinity.{empty} Append first, then attend.")
    return output, *kept


def same(one: Any, other: Any) -> bool:
    """Equal outputs, keys and values."""
    return all(map(close, one, other))


def case(*arrays: Any) -> tuple[Any, ...]:
    """The arguments as tensors in single precision."""
    return tuple(torch.from_numpy(np.array(x, np.float32)) for x in arrays)


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(q, k, v, keys, values): one token kept, two, none, and many."""
    yield case([4, 1], [1, 2], [4], [[1, 0]], [[7]])
    yield case([4, 1], [1, 2], [4], [[1, 0], [0, 1]], [[7], [2]])
    yield case([4, 1], [1, 2], [4], np.zeros((0, 2)), np.zeros((0, 1)))
    for seed in seeds:
        draw = generator("test", "check 2.3", seed)
        t, d, n = (int(x) for x in draw.integers((3, 5, 2), (20, 9, 5)))
        yield case(*(draw.normal(size=x) for x in (d, d, n, (t, d), (t, n))))


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right output, and a cache that has grown by one token."""
    compare(student, cases(seeds), right, MISTAKES, read, same)


EXERCISE = Exercise(
    id="2.3",
    title="One step with a cache",
    name="cached_step",
    parameters=("q", "k", "v", "keys", "values"),
    objectives=("O2.4",),
    difficulty=2,
    minutes=15,
    judge=judge,
    shown="Right. The new token reads everything before it and itself, needs no mask for that, and "
    "is kept for the next one. Step by step this gives the last row of the whole map, exactly, at "
    "the price of one row.",
)
