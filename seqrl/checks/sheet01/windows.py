"""Exercise 1.2: a window of K steps out of packed episodes, padded on the right, with a mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator


def masked(values: np.ndarray, index: np.ndarray, keep: np.ndarray, mask: Any = None) -> Any:
    """The rows `index` (K,) where `keep`, zeros elsewhere; and a mask, by default `keep`."""
    rows = values[np.clip(index, 0, len(values) - 1)]
    blank = keep.reshape(-1, *[1] * (values.ndim - 1))
    return np.where(blank, rows, 0).astype(values.dtype), keep if mask is None else mask


def cut(values: np.ndarray, start: int, end: int, K: int, shift: int = 0, more: int = 0) -> Any:
    """A window of K rows from `start + shift`, of which those before `end + more` are real."""
    index = start + shift + np.arange(K)
    return masked(values, index, index < min(end + more, len(values)))


def left(values: np.ndarray, start: int, end: int, K: int) -> Any:
    """The same window with its padding in front."""
    window, mask = cut(values, start, end, K)
    return np.roll(window, K - mask.sum(), axis=0), np.roll(mask, K - mask.sum())


def moved_back(values: np.ndarray, start: int, end: int, K: int) -> Any:
    """The K rows that end where the episode ends, or those from `start` if they fit."""
    first = max(min(start, end - K), 0)
    return masked(values, first + np.arange(K), np.ones(K, bool))


def repeated(values: np.ndarray, start: int, end: int, K: int, honest: bool = True) -> Any:
    """The last step of the episode repeated instead of zeros."""
    index = start + np.arange(K)
    mask = index < end if honest else np.ones(K, bool)
    return masked(values, np.minimum(index, end - 1), np.ones(K, bool), mask)


def from_values(real: Callable[..., np.ndarray]) -> Callable[..., Any]:
    """The right window with a mask made from its values: `real` of the (K, columns) rows."""

    def answer(values: np.ndarray, start: int, end: int, K: int) -> Any:
        window, _ = cut(values, start, end, K)
        return window, real(window.reshape(K, -1) != 0)

    return answer


CROSSES = (
    "The window runs past the end of its episode and shows the next one's first steps. No error, "
    "no warning: the model would learn that one episode turns into another."
)
REPEATS = "The padding repeats the last step. Pad with zeros, so that no step is seen twice."
FROM_VALUES = (
    "The mask is made from the values, so a real step that is all zeros counts as padding. Zero is "
    'data too: action 0 is "turn left". Make the mask from `start`, `end` and `K` alone.'
)

MISTAKES = (
    Mistake(CROSSES, lambda v, s, e, K: cut(v, s, len(v), K)),
    Mistake(
        "The mask is right, but the padded rows still hold the next episode's steps. Fill them "
        "with zeros: a mask that somebody forgets must not turn into a leak.",
        lambda v, s, e, K: (cut(v, s, len(v), K)[0], cut(v, s, e, K)[1]),
    ),
    Mistake(
        "The padding stands on the left. In this book it stands on the right, where a causal model "
        "never looks back at it.",
        left,
    ),
    Mistake(
        "The mask is upside down: True marks real steps, False marks padding.",
        lambda v, s, e, K: (cut(v, s, e, K)[0], ~cut(v, s, e, K)[1]),
    ),
    Mistake(
        "The mask is True everywhere, so padding would be trained on as if it were data.",
        lambda v, s, e, K: (cut(v, s, e, K)[0], np.ones(K, bool)),
    ),
    Mistake(
        "The window was moved back so that it fits. It must begin at `start`: otherwise the last "
        "steps of an episode never stand at the front of a window.",
        moved_back,
    ),
    Mistake(REPEATS, repeated),
    Mistake(REPEATS, lambda v, s, e, K: repeated(v, s, e, K, honest=False)),
    Mistake(
        "The window begins one step late: its first row is the step `start` itself.",
        lambda v, s, e, K: cut(v, s, e, K, shift=1),
    ),
    Mistake(
        "Your window keeps one step too many: `end` is the first step that does not belong to the "
        "episode.",
        lambda v, s, e, K: cut(v, s, e, K, more=1),
    ),
    Mistake(
        "Your window loses the last step of the episode: `end` is one past the last step, so "
        "step `end - 1` is still real.",
        lambda v, s, e, K: cut(v, s, e, K, more=-1),
    ),
    Mistake(FROM_VALUES, from_values(lambda filled: filled.any(1))),
    Mistake(FROM_VALUES, from_values(lambda filled: filled.all(1))),
    Mistake(FROM_VALUES, from_values(lambda filled: filled[:, 0])),
)


def read(value: Any, values: np.ndarray, start: int, end: int, K: int) -> Any:
    """What was returned as (window (K, ...), mask (K,) bool)."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise Failed(f"Return two things, `window, mask`; this is one {type(value).__name__}.")
    window, mask = as_array(value[0], "The window"), as_array(value[1], "The mask")
    if window.shape != (K, *values.shape[1:]):
        short = len(window) == end - start if window.ndim else False
        why = " The end of an episode has to be filled up with zeros." if short else ""
        need = f"{(K, *values.shape[1:])}, not {window.shape}"
        raise Failed(f"The window should have shape {need}.{why}")
    if mask.shape != (K,):
        raise Failed(f"The mask has one entry a step: shape ({K},), not {mask.shape}.")
    if mask.dtype != bool:
        raise Failed(
            f"The mask holds numbers ({mask.dtype}). Make it bool: with the numbers 1 and 0, "
            "`window[mask]` would pick rows 1 and 0 instead of the rows that are real."
        )
    judge_type(value[0], window.dtype, values.dtype)
    return window, mask


def judge_type(given: Any, got: np.dtype, wanted: np.dtype) -> None:
    """The type of the values, with its size unless the window is a plain list, which has none."""
    came_out = f"The values are {wanted} and the window came out as {got}."
    if got.kind != wanted.kind:
        raise Failed(
            f"{came_out} Keep the type: an action that turned into a float can no longer choose a "
            "row of an embedding."
        )
    if got != wanted and hasattr(given, "dtype"):
        raise Failed(
            f"{came_out} Keep the size of the numbers too: a smaller type cuts digits off, and a "
            "larger one does not fit the weights of a model."
        )


def same(one: Any, other: Any) -> bool:
    """Equal windows and equal masks."""
    return close(one[0], other[0]) and np.array_equal(one[1], other[1])


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(values, start, end, K): inside, past the end, in the last episode, several columns."""
    packed = np.array([11, 12, 13, 21, 22])  # two episodes: three steps, then two
    yield packed, 0, 3, 2
    yield packed, 1, 3, 3
    yield packed, 4, 5, 3
    yield np.array([1, 0, 2, 2, 0]), 1, 3, 3  # zero is a value like any other
    yield packed.astype(np.float32).reshape(-1, 1) * np.array([[1, -1]], np.float32), 2, 3, 4
    yield np.array([[3, 1], [0, 0], [0, 2], [4, 0]]), 0, 3, 5
    for seed in seeds:
        draw = generator("test", "check 1.2", seed)
        ends = np.cumsum(draw.integers(2, 9, size=4))
        values = draw.integers(0, 4, size=(int(ends[-1]), 3))
        for end, begin in zip(ends, [0, *ends[:-1]]):
            start = int(draw.integers(begin, end))
            yield values, start, int(end), int(draw.integers(1, 9))


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right rows, zeros after them, and a mask that says which is which."""
    compare(student, cases(seeds), cut, MISTAKES, read, same)


EXERCISE = Exercise(
    id="1.2",
    title="A window with a mask",
    name="cut_window",
    parameters=("values", "start", "end", "K"),
    objectives=("O1.3", "O1.4"),
    difficulty=2,
    minutes=15,
    judge=judge,
    shown="Right. The window stays inside its episode, is filled up on the right with zeros, "
    "keeps its type, and the mask says which rows are real. Every model of this book is trained "
    "on windows like these.",
)
