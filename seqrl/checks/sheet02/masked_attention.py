"""Exercise 2.2: attention of one head, causal, over keys of which some are padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare, in_numpy
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator

Weigh = Callable[[np.ndarray, np.ndarray], np.ndarray]  # scores, mask (T, T) -> weights (T, T)


def over(axis: int) -> Weigh:
    """A softmax along an axis over what the mask shows; zeros where it shows nothing."""

    def weights(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
        top = np.where(mask, scores, -1e30).max(axis, keepdims=True)
        shares = np.where(mask, np.exp(np.minimum(scores - top, 0)), 0.0)
        return shares / np.maximum(shares.sum(axis, keepdims=True), 1e-300)

    return weights


rows = over(1)


def everywhere(scores: np.ndarray) -> np.ndarray:
    """A softmax over all keys, hidden or not."""
    return rows(scores, np.ones(scores.shape, bool))


def before(i: Any, j: Any, valid: np.ndarray) -> Any:
    """The right mask: no later keys, and no padding among the earlier ones."""
    return (j <= i) & valid[j]


def attend(
    weigh: Weigh = rows,
    sees: Callable[[Any, Any, np.ndarray], Any] = before,
    scale: Callable[[int], float] = np.sqrt,
) -> Callable[..., np.ndarray]:
    """A rule for attention: how scores become weights, who sees whom, the divisor of scores."""

    def outputs(q: Any, k: Any, v: Any, valid: Any) -> np.ndarray:
        scores = np.einsum("id,jd->ij", q.astype(float), k.astype(float)) / scale(q.shape[1])
        i, j = np.indices(scores.shape)
        return weigh(scores, sees(i, j, valid)) @ v.astype(float)

    return in_numpy(outputs)


def lonely(instead: Callable[[np.ndarray], np.ndarray]) -> Weigh:
    """The right weights, but `instead(scores)` in rows that see nothing."""

    def weights(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.where(mask.any(axis=1, keepdims=True), rows(scores, mask), instead(scores))

    return weights


right = attend()
AFTER = (
    "You hide after the softmax, so the weights of a row no longer sum to 1, and the hidden keys "
    "still count in the sum below. The future leaks through that sum. Hide the scores first."
)
OVERFLOWS = (
    "Your answer holds NaN or infinity where scores are large: exp overflows. Take the softmax of "
    "PyTorch, or subtract the largest score of each row before you take exp."
)
ALL_HIDDEN = (
    "Your answer holds NaN in a row that has a key to look at. Every real token sees itself: does "
    "your mask hide the diagonal, or are True and False swapped?"
)
SPREADS = (
    "Where a query sees nothing, your softmax spreads over all keys, the future too. A large "
    "negative number hides a key only beside one that is not hidden. Set such an output to zeros."
)

MISTAKES = (
    Mistake(
        "The scores are not divided by the square root of d, the width of a query.",
        attend(scale=lambda d: 1.0),
    ),
    Mistake("You divide by d; it should be its square root.", attend(scale=float)),
    Mistake(
        "You divide by the square root of the number of tokens. It should be that of d, the width "
        "of a query.",
        lambda q, k, v, valid: attend(scale=lambda d: len(q) ** 0.5)(q, k, v, valid),
    ),
    Mistake(AFTER, attend(lambda scores, mask: everywhere(scores) * mask)),
    Mistake(
        "The softmax runs over the queries. Each query shares out its own attention, so every row "
        "of weights sums to 1, not every column.",
        attend(over(0)),
    ),
    Mistake(
        "Hidden keys get a score of 0, and exp(0) is 1, so they are read. A hidden score is minus "
        "infinity.",
        attend(lambda scores, mask: everywhere(scores * mask)),
    ),
    Mistake("The softmax is missing.", attend(lambda scores, mask: scores * mask)),
    Mistake(
        "The mask peeks: each token also sees the next one.",
        attend(sees=lambda i, j, valid: (j <= i + 1) & valid[j]),
    ),
    Mistake(
        "A token does not see itself. It sees itself and what came before, where that is real.",
        attend(sees=lambda i, j, valid: (j < i) & valid[j]),
    ),
    Mistake(
        "The mask is turned around: a token sees what comes after it.",
        attend(sees=lambda i, j, valid: (j >= i) & valid[j]),
    ),
    Mistake(
        "Nothing is causal: a token sees all real tokens, later ones too.",
        attend(sees=lambda i, j, valid: valid[j]),
    ),
    Mistake(
        "`valid` is ignored: padding is read as if it were data.",
        attend(sees=lambda i, j, valid: j <= i),
    ),
    Mistake(
        "`valid` hides queries here. It should hide keys: nobody may read padding, and what a "
        "padded token says does not matter.",
        attend(sees=lambda i, j, valid: (j <= i) & valid[i]),
    ),
    Mistake(
        "`valid` hides queries as well as keys. Here a padded token may ask; nobody reads it.",
        attend(sees=lambda i, j, valid: (j <= i) & valid[i] & valid[j]),
    ),
    Mistake(
        "`valid` is upside down: True marks the tokens that are real.",
        attend(sees=lambda i, j, valid: (j <= i) & ~valid[j]),
    ),
    Mistake(SPREADS, attend(lonely(lambda scores: np.full(scores.shape, 1 / len(scores))))),
    Mistake(SPREADS, attend(lonely(everywhere))),
    Mistake(
        "A query that sees nothing reads itself here, and it is padding. Set its output to zeros.",
        attend(lonely(lambda scores: np.eye(len(scores)))),
    ),
)


def read(value: Any, q: Any, k: Any, v: Any, valid: Any) -> np.ndarray:
    """What was returned as a finite array, (T, n)."""
    if isinstance(value, (tuple, list)) and len(value) == 2 and len(q) != 2:
        raise Failed("Return the outputs alone; these are two things.")
    array = as_array(value, "The output")
    if array.shape != tuple(v.shape):
        need = f"a row of the width of `v` for each query, {tuple(v.shape)}, not {array.shape}."
        raise Failed(f"There should be {need}")
    if np.isfinite(array).all():
        return array
    empty = (valid.cumsum(0) == 0).numpy()
    if not np.isfinite(array[~empty]).all():
        raise Failed(OVERFLOWS if float((q @ k.mT).max()) > 80 else ALL_HIDDEN)
    raise Failed(
        "Your answer holds NaN where a query has no key to look at: the softmax of nothing is 0/0. "
        "Set those outputs to zeros."
    )


def case(q: Any, k: Any, v: Any, valid: Any) -> tuple[Any, ...]:
    """The arguments as tensors, numbers in single precision."""
    numbers = (torch.from_numpy(np.array(x, np.float32)) for x in (q, k, v))
    return *numbers, torch.from_numpy(np.array(valid, bool))


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(q, k, v, valid) of a token, of three balls, with padding on either side, of any size."""
    one = [[1.0, 0.0]]
    yield case(one, one, [[5.0, 6.0]], [True])
    q, k, v = [[4.0, 1.0]] * 3, [[1.0, 0.0], [0.0, 1.0], [1.0, 2.0]], [[7.0], [2.0], [4.0]]
    yield case(q, k, v, [True] * 3)
    yield case(q, k, v, [True, False, True])
    yield case(q, k, v, [False, True, True])
    yield case(np.multiply(q, 60), k, v, [True] * 3)
    for seed in seeds:
        draw = generator("test", "check 2.2", seed)
        T, d, n = (int(x) for x in draw.integers((5, 3, 2), (10, 8, 6)))
        valid = draw.random(T) < 0.7
        valid[[0, 1, -1]] = False, True, True
        queries, keys, values = (draw.normal(size=(T, x)) for x in (d, d, n))
        yield case(queries, keys, values, valid)


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right outputs, zeros where nothing can be read."""
    compare(student, cases(seeds), right, MISTAKES, read, close)


EXERCISE = Exercise(
    id="2.2",
    title="Masked attention",
    name="masked_attention",
    parameters=("q", "k", "v", "valid"),
    objectives=("O2.1", "O2.2"),
    difficulty=2,
    minutes=20,
    judge=judge,
    shown="Right. Scores are scaled and hidden before the softmax, each row shares out its own "
    "attention, nobody reads the future or padding, and a query with nothing to read says nothing "
    "instead of NaN.",
)
