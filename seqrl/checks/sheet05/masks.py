"""Exercise 5.3: which positions of a plan are masked in training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator

Count = Callable[[np.ndarray, np.ndarray, int], Any]  # (u, known positions, H) -> masks of a plan


def one_to_all(u: np.ndarray, n: np.ndarray, H: int) -> np.ndarray:
    return 1 + np.floor(u * n)


def places(order: np.ndarray) -> np.ndarray:
    """The place of each position when its row is sorted, (B, H), 0 the smallest."""
    return np.argsort(np.argsort(order, axis=1, kind="stable"), axis=1)


def answer(
    count: Count = one_to_all, known_first: bool = True, padding: bool = False, sign: int = 1
) -> Callable[..., np.ndarray]:
    """The right masks, or masks in which a part was changed.

    known_first: only known positions are ranked. padding: positions that are not known may be
    masked. sign: -1 for the largest numbers instead of the smallest.
    """

    def masks(known: np.ndarray, u: np.ndarray, order: np.ndarray) -> np.ndarray:
        keys = np.where(known, sign * order, np.inf) if known_first else sign * order
        wanted = count(u, known.sum(1), known.shape[1])
        hidden = places(keys) < np.asarray(wanted)[:, None]
        return hidden if padding else hidden & known

    return masks


right = answer()


def coins(known: np.ndarray, u: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Every position by itself, with probability u."""
    return (order < u[:, None]) & known


def in_front(known: np.ndarray, u: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The first positions instead of random ones."""
    return right(known, u, np.broadcast_to(np.arange(known.shape[1]), known.shape).astype(float))


MISTAKES = (
    Mistake(
        "The number of masks runs from 0 to n - 1. A plan without a mask teaches nothing, and a "
        "plan of nothing but masks, where every search begins, never occurs.",
        answer(lambda u, n, H: np.floor(u * n)),
    ),
    Mistake(
        "A plan of two or more actions is never all masks. Every search begins with masks alone, "
        "so the model must have seen them: the number of masks runs from 1 to n, n included.",
        answer(lambda u, n, H: 1 + np.floor(u * np.maximum(n - 1, 0))),
    ),
    Mistake(
        "The number of masks is drawn from 1 to H although a plan may have fewer known actions. "
        "So plans near an episode's end are all masks too often. Draw from 1 to n, the known ones.",
        answer(lambda u, n, H: 1 + np.floor(u * H)),
    ),
    Mistake(
        "Padding is masked, so the model is asked for actions that never happened. The number of "
        "masks and their places are drawn among the known actions only.",
        answer(lambda u, n, H: 1 + np.floor(u * H), known_first=False, padding=True),
    ),
    Mistake(
        "The places are drawn among all positions, padding too, and then the padding is taken "
        "away. So fewer are masked than were drawn, sometimes none. Rank the known ones only.",
        answer(known_first=False),
    ),
    Mistake(
        "The number of masks is right, but some of them fall on padding: the model is asked for "
        "actions that never happened, and known ones stay visible in their place.",
        answer(known_first=False, padding=True),
    ),
    Mistake(
        "Every position is masked by itself, like a coin. A draw may then mask nothing, and no "
        "number of masks is promised. Draw the number first, then the places.",
        coins,
    ),
    Mistake(
        "Exactly one action is masked, as in the released code. Such a model has never seen a "
        "draft: every search begins with masks alone.",
        answer(lambda u, n, H: np.ones_like(u)),
    ),
    Mistake(
        "All known actions are masked in every plan. Such a model never sees a neighbor, so its "
        "conditionals are marginals.",
        answer(lambda u, n, H: n),
    ),
    Mistake(
        "The first positions are masked instead of those with the smallest numbers in `order`.",
        in_front,
    ),
    Mistake(
        "The positions with the largest numbers in `order` are masked; asked are the smallest. As "
        "a distribution it is the same, but the check compares plan by plan.",
        answer(sign=-1),
    ),
    Mistake(
        "The masks are upside down: True marks what is hidden.",
        lambda known, u, order: known & ~right(known, u, order),
    ),
    Mistake(
        "All plans of the batch use the first one's number. Each plan has a number of its own.",
        answer(lambda u, n, H: 1 + np.floor(u[0] * n)),
    ),
    Mistake(
        "The number of masks is rounded to the nearest, so its ends do not come as often as the "
        "rest. Round u · n down, then add 1.",
        answer(lambda u, n, H: np.maximum(1, np.rint(u * n))),
    ),
)


def read(value: Any, known: np.ndarray, u: np.ndarray, order: np.ndarray) -> np.ndarray:
    """What was returned as masks, (B, H) bool."""
    array = as_array(value, "The masks")
    if array.shape != known.shape:
        raise Failed(
            f"The masks have one entry for each position of each plan, shape {known.shape}; yours "
            f"have shape {array.shape}."
        )
    if array.dtype != bool:
        raise Failed(f"The masks hold numbers ({array.dtype}). Make them bool, True where hidden.")
    return array


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(known, u, order): single plans, plans cut by an episode's end, whole batches."""
    three, order = np.ones((1, 3), bool), np.array([[0.5, 0.1, 0.9]])
    yield three, np.array([0.5]), order
    yield three, np.array([0.99]), order
    yield three, np.array([0.0]), order
    cut = np.array([[True, True, False, False]])
    yield cut, np.array([0.7]), np.array([[0.8, 0.3, 0.1, 0.2]])
    yield cut, np.array([0.4]), np.array([[0.2, 0.3, 0.1, 0.05]])
    two = np.array([[True, True, True, True], [True, True, False, False]])
    yield two, np.array([0.3, 0.8]), np.array([[0.6, 0.1, 0.4, 0.8], [0.3, 0.9, 0.2, 0.7]])
    for seed in seeds:
        draw = generator("test", "check 5.3", seed)
        lengths = draw.integers(0, 6, size=8)
        yield np.arange(5) < lengths[:, None], draw.uniform(size=8), draw.uniform(size=(8, 5))
        yield np.ones((6, 7), bool), draw.uniform(size=6), draw.uniform(size=(6, 7))


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right number of masks at the right places, never on padding."""
    compare(student, cases(seeds), right, MISTAKES, read, np.array_equal)


EXERCISE = Exercise(
    id="5.3",
    title="What a model must have seen",
    name="hide",
    parameters=("known", "u", "order"),
    objectives=("O5.2",),
    difficulty=2,
    minutes=20,
    judge=judge,
    shown="Right. Every number of masks from one to all is equally likely, whatever the length of "
    "the plan, and padding is never asked for. So the model has seen drafts of nothing but masks, "
    "and plans with a single action in doubt.",
)
