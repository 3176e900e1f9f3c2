"""Exercise 3.5: a silent bug in the returns-to-go of windows cut from packed episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator


def summed(stop: Callable[[int, int, int, int], int], own: bool = True) -> Callable[..., Any]:
    """Each real step's sum of rewards up to `stop(first, end, K, all)`, with or without its own."""

    def answer(rewards: Any, first: int, end: int, K: int) -> np.ndarray:
        window, last = np.zeros(K), stop(first, end, K, len(rewards))
        for place, t in enumerate(range(first, min(first + K, end))):
            window[place] = rewards[t + (not own) : last].sum()
        return window

    return answer


right = summed(lambda first, end, K, n: end)


def repeated(rewards: Any, first: int, end: int, K: int) -> np.ndarray:
    """The right numbers, padded with the last of them."""
    window, real = right(rewards, first, end, K), min(K, end - first)
    return np.where(np.arange(K) < real, window, window[real - 1])


def past(rewards: Any, first: int, end: int, K: int) -> np.ndarray:
    """Reward collected so far in the window."""
    real = np.zeros(K)
    real[: min(K, end - first)] = np.cumsum(rewards[first : min(first + K, end)])
    return real


def raw(rewards: Any, first: int, end: int, K: int) -> np.ndarray:
    """The rewards themselves."""
    return np.diff(past(rewards, first, end, K), prepend=0) * (np.arange(K) < end - first)


def constant(rewards: Any, first: int, end: int, K: int) -> np.ndarray:
    """The return-to-go of the window's first step, everywhere."""
    window = right(rewards, first, end, K)
    return np.where(np.arange(K) < end - first, window[0], 0.0)


MISTAKES = (
    Mistake(
        "This is the function as it was given: its sum ends with the window, and the episode does "
        "not. What should the last step of a window be told, if ten steps are still to come?",
        summed(lambda first, end, K, n: min(first + K, end)),
    ),
    Mistake(
        "The sum runs on into the next episode: it ends at `end`, not where the array ends.",
        summed(lambda first, end, K, n: n),
    ),
    Mistake(
        "The sum goes one step beyond the end of the episode: `end` is the first step that no "
        "longer belongs to it.",
        summed(lambda first, end, K, n: end + 1),
    ),
    Mistake(
        "The last reward of the episode is lost: step `end - 1` still belongs to it.",
        summed(lambda first, end, K, n: end - 1),
    ),
    Mistake(
        "The sum ends one step after the window. It has to go on to the end of the episode.",
        summed(lambda first, end, K, n: min(first + K + 1, end)),
    ),
    Mistake(
        "The reward of the step itself is left out. In training and at the wheel the return-to-go "
        "includes it.",
        summed(lambda first, end, K, n: end, own=False),
    ),
    Mistake(
        "The numbers are right, but the padding is not 0: past the end nothing is left to earn.",
        repeated,
    ),
    Mistake(
        "All steps of the window are told the same. Each step has what is left from itself on.",
        constant,
    ),
    Mistake("This is the reward collected so far in the window, not what is to come.", past),
    Mistake("These are the rewards themselves, not sums of what is to come.", raw),
)


def read(value: Any, rewards: Any, first: int, end: int, K: int) -> np.ndarray:
    """What was returned as floats, (K,)."""
    array = as_array(value, "The window")
    if array.shape != (K,):
        raise Failed(f"The window has K numbers, shape ({K},), not {array.shape}.")
    if not np.isfinite(array).all():
        raise Failed("The window holds NaN or infinity.")
    if array.dtype.kind in "biu" and not np.allclose(right(rewards, first, end, K) % 1, 0):
        raise Failed("Your window holds whole numbers, so every fraction is cut off.")
    return array.astype(float)


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(rewards, first, end, K): inside an episode, at its end, padded, of any size."""
    packed = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0])  # two episodes: five steps, two
    yield packed, 0, 5, 2
    yield packed, 3, 5, 2
    yield packed, 3, 5, 4
    for seed in seeds:
        draw = generator("test", "check 3.5", seed)
        ends = np.cumsum(draw.integers(3, 12, size=4))
        rewards = draw.normal(size=int(ends[-1]))
        for end, begin in zip(ends.tolist(), [0, *ends[:-1].tolist()]):
            yield rewards, int(draw.integers(begin, end)), end, int(draw.integers(1, 9))


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """Sums to the end of the episode, zeros behind it."""
    compare(student, cases(seeds), right, MISTAKES, read, close)


EXERCISE = Exercise(
    id="3.5",
    title="The loss is fine, the driving is not",
    name="window_returns",
    parameters=("rewards", "first", "end", "K"),
    objectives=("O3.4",),
    difficulty=2,
    minutes=25,
    judge=judge,
    shown="Right. A window shows a part of the steps, and the return-to-go at each of them still "
    "counts all that comes in the episode. Returns first, windows second: then a window cannot cut "
    "the future off.",
)
