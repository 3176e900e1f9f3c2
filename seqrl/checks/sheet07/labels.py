"""Exercise 7.4: returns without luck, as labels for a policy that is asked for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator

Pool = Callable[[np.ndarray], float]


def pooled(
    alike: Callable[[np.ndarray, np.ndarray], np.ndarray], pool: Pool = np.mean
) -> Callable[..., np.ndarray]:
    """Each episode's label from the returns of those alike; `alike` gives (N, N) bool."""

    def label(states: np.ndarray, actions: np.ndarray, returns: np.ndarray) -> np.ndarray:
        return np.array([pool(returns[row]) for row in alike(states, actions)], float)

    return label


def pairs(x: np.ndarray) -> np.ndarray:
    """Who equals whom, (N, N) bool."""
    return np.asarray(x[:, None] == x[None])


def both(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    return pairs(states) & pairs(actions)


right = pooled(both)


def without_own(states: np.ndarray, actions: np.ndarray, returns: np.ndarray) -> np.ndarray:
    others = both(states, actions) & ~np.eye(len(states), dtype=bool)
    return np.array([returns[row].mean() if row.any() else 0.0 for row in others])


def advantage(states: np.ndarray, actions: np.ndarray, returns: np.ndarray) -> np.ndarray:
    value = pooled(lambda s, a: pairs(s))(states, actions, returns)
    return right(states, actions, returns) - value


MISTAKES = (
    Mistake(
        "The returns are as they were, luck included.",
        lambda states, actions, returns: returns.astype(float),
    ),
    Mistake(
        "It does not matter in which state the action was chosen, and it should: the same action "
        "may be good in one state and bad in another.",
        pooled(lambda states, actions: pairs(actions)),
    ),
    Mistake(
        "It does not matter which action was chosen: all episodes of a state have one label, so "
        "whoever is asked for it learns nothing about actions.",
        pooled(lambda states, actions: pairs(states)),
    ),
    Mistake(
        "All episodes have the same label. Take a mean for each state and action.",
        pooled(lambda states, actions: np.ones((len(states),) * 2, bool)),
    ),
    Mistake(
        "The label is the best return of its group. That is luck at its largest; take the mean.",
        pooled(both, np.max),
    ),
    Mistake(
        "The label is the median of its group. A gamble that wins a little more often than it "
        "loses then looks like a sure win; take the mean.",
        pooled(both, np.median),
    ),
    Mistake(
        "The label is the sum over its group, so what was done often looks good. Take the mean.",
        pooled(both, np.sum),
    ),
    Mistake(
        "The episode's own return is left out of its group. With the group of all that did the "
        "same, every member gets the same label.",
        without_own,
    ),
    Mistake(
        "The state's mean is taken away. That is an advantage; the label is a return that can be "
        "asked for.",
        advantage,
    ),
    Mistake(
        "The label is what luck added, the return minus the mean of its group. Asked is the mean.",
        lambda states, actions, returns: returns - right(states, actions, returns),
    ),
)


def read(value: Any, states: np.ndarray, *_: Any) -> np.ndarray:
    """What was returned as labels, (N,)."""
    array = as_array(value, "The labels")
    if array.shape != states.shape:
        raise Failed(
            f"Each episode has a label, shape {states.shape}; yours have shape {array.shape}. Is "
            "it one for each group?"
        )
    if not np.isfinite(array).all():
        raise Failed("A label is NaN or infinite. Which group has no episodes?")
    return array.astype(float)


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(states, actions, returns): one state, two states, uneven luck, random ones."""
    yield np.array([0, 0, 0]), np.array([1, 0, 1]), np.array([4.0, 1.0, -6.0])
    yield np.array([0, 1, 0, 1]), np.array([1, 1, 0, 1]), np.array([4.0, 0.0, 1.0, 3.0])
    yield np.array([0, 0, 0, 0]), np.array([2, 2, 2, 0]), np.array([4.0, 4.0, -9.0, 1.0])
    for seed in seeds:
        draw = generator("test", "check 7.4", seed)
        states, actions = draw.integers(0, 3, size=(2, 20)) * 5
        yield states, actions, np.round(draw.normal(size=20) * 4)


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The mean return of each episode's own group."""
    compare(student, cases(seeds), right, MISTAKES, read, close)


EXERCISE = Exercise(
    id="7.4",
    title="Labels without luck",
    name="without_luck",
    parameters=("states", "actions", "returns"),
    objectives=("O7.3",),
    difficulty=2,
    minutes=20,
    judge=judge,
    shown="Right. All episodes in which the same was done in the same state have one label, what "
    "that earned on average. A label now says what an action is worth, so asking for a high one "
    "asks for a good action and not for a lucky day.",
)
