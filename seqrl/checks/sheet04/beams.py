"""Exercise 4.2: one round of a beam that is ranked by what it pays and what is still to come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator

Sum = Callable[[float, int], tuple[float, float]]  # (discount, t) -> weights of reward and value


def plain(discount: float, t: int) -> tuple[float, float]:
    return discount**t, discount ** (t + 1)


def best(worth: np.ndarray, B: int) -> np.ndarray:
    """The numbers of the B best, the best first; of equal ones the first."""
    return np.argsort(-worth, axis=None, kind="stable")[:B]


def answer(
    weights: Sum = plain,
    past: float = 1.0,
    future: float = 1.0,
    choose: Callable[[np.ndarray, int], np.ndarray] = best,
    place: Callable[[np.ndarray, int, int], Any] = lambda order, R, A: divmod(order, A),
    keep: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda earned, worth: earned,
) -> Callable[..., Any]:
    """The right answer, or one in which a part was changed."""

    def answered(earned: Any, reward: Any, value: Any, discount: float, t: int, B: int) -> Any:
        own, later = weights(discount, t)
        got = earned[:, None] + own * reward
        worth = got - (1 - past) * earned[:, None] + future * later * value
        order = choose(worth, B)
        parent, action = place(order, *reward.shape)
        return parent, action, keep(got, worth).ravel()[order]

    return answered


def one_each(worth: np.ndarray, B: int) -> np.ndarray:
    """The best action of every beam, then the best of these."""
    each = worth.argmax(1) + np.arange(len(worth)) * worth.shape[1]
    return each[np.argsort(-worth.max(1), kind="stable")][:B]


def worst(worth: np.ndarray, B: int) -> np.ndarray:
    return np.argsort(worth, axis=None, kind="stable")[:B]


def last_of_equals(worth: np.ndarray, B: int) -> np.ndarray:
    return np.argsort(worth, axis=None, kind="stable")[::-1][:B]


right = answer()

EACH = (
    "Every beam keeps its own best action. All candidates compete with each other: a good beam may "
    "have several children, a bad one none."
)
MISTAKES = (
    Mistake(
        "The candidates are ranked by what they have earned alone. What is still to come is worth "
        "something too: without the value, a search sees no further than its horizon.",
        answer(future=0),
    ),
    Mistake(
        "The value stays in what has been earned, so the next round counts the same future again. "
        "Rank with the value, and carry on without it.",
        answer(keep=lambda earned, worth: worth),
    ),
    Mistake(
        "The candidates are ranked by this transition alone; what their beam had earned before is "
        "forgotten.",
        answer(past=0),
    ),
    Mistake(
        "The value is discounted one step too little. V is what follows after the reward of step "
        "t, so it weighs discount^(t + 1).",
        answer(lambda g, t: (g**t, g**t)),
    ),
    Mistake(
        "The discount starts anew in every round. The reward of round t lies t steps ahead of the "
        "present: it weighs discount^t, and the value discount^(t + 1).",
        answer(lambda g, t: (1.0, g)),
    ),
    Mistake(
        "The reward is discounted one step too much. The first round is t = 0, and its reward has "
        "weight 1.",
        answer(lambda g, t: (g ** (t + 1), g ** (t + 1))),
    ),
    Mistake("The discount is ignored.", answer(lambda g, t: (1.0, 1.0))),
    Mistake(
        "Parent and action are swapped: first comes the beam that was continued, then the action.",
        answer(place=lambda order, R, A: divmod(order, A)[::-1]),
    ),
    Mistake(
        "The flat number of a candidate was divided by the number of beams. In an array (R, A) "
        "candidate n belongs to beam n // A and action n % A.",
        answer(place=lambda order, R, A: divmod(order, R)),
    ),
    Mistake(
        "`parent` is the new place of each beam, not the beam that it continues.",
        answer(place=lambda order, R, A: (np.arange(len(order)), order % A)),
    ),
    Mistake(EACH, answer(choose=one_each)),
    Mistake("The worst candidates are kept.", answer(choose=worst)),
    Mistake(
        "Of two that are worth the same, the later one is kept. Let the earlier one win: a sort "
        "turned around is turned around for ties as well.",
        answer(choose=last_of_equals),
    ),
    Mistake(
        "The right candidates are kept, but not with the best first. The plan is read from place "
        "0.",
        answer(choose=lambda worth, B: np.sort(best(worth, B))),
    ),
)


def read(
    value: Any, earned: Any, reward: Any, values: Any, discount: float, t: int, B: int
) -> tuple[np.ndarray, ...]:
    """What was returned as (parent, action, earned), each (min(B, R A),)."""
    if not isinstance(value, (tuple, list)) or len(value) != 3:
        raise Failed(
            f"Return three things, `parent, action, earned`; this is a {type(value).__name__}"
            f"{f' of {len(value)}' if isinstance(value, (tuple, list)) else ''}."
        )
    kept = min(B, reward.size)
    names = ("parent", "action", "earned")
    arrays = [as_array(part, f"`{name}`") for name, part in zip(names, value)]
    for name, array in zip(names, arrays):
        if array.shape == (min(B, len(earned)),) != (kept,):
            raise Failed(EACH)
        if array.shape != (kept,):
            raise Failed(
                f"{kept} of the {reward.size} candidates are kept, so `{name}` has shape "
                f"({kept},); yours has shape {array.shape}."
            )
    for name, array in zip(names[:2], arrays):
        if array.dtype.kind not in "iu":
            raise Failed(f"`{name}` is a number of a row: make it an integer, not {array.dtype}.")
    return arrays[0], arrays[1], arrays[2].astype(float)


def same(one: Any, other: Any) -> bool:
    """The same candidates in the same order, with the same earnings."""
    numbers = all(np.array_equal(a, b) for a, b in zip(one[:2], other[:2]))
    return numbers and close(one[2], other[2])


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(earned, reward, value, discount, t, B): one beam, several, ties, fewer than B."""
    one, two = np.zeros(1), np.array([1.0, 0.0])
    yield one, np.array([[1.0, 0.0]]), np.array([[0.0, 4.0]]), 1.0, 0, 1
    yield one, np.array([[1.0, 2.0]]), np.array([[4.0, 1.0]]), 0.5, 0, 2
    rewards, values = np.array([[1, 0, 2], [4, 3, 0]]), np.array([[2, 8, 0], [4, 1, 2]])
    yield two, rewards, values, 0.5, 1, 2
    yield two, np.array([[0.0, 1.0], [1.0, 2.0]]), np.zeros((2, 2)), 1.0, 1, 3  # all but one tie
    yield two, rewards, values, 0.5, 2, 10
    for seed in seeds:
        draw = generator("test", "check 4.2", seed)
        for t in range(4):
            R, A, B = (int(n) for n in draw.integers(2, 7, size=3))
            reward, value = draw.normal(size=(2, R, A))
            yield 2 * draw.normal(size=R), reward, 2 * value, float(draw.uniform(0.4, 1)), t, B


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right candidates in the right order, and what they have earned."""
    compare(student, cases(seeds), right, MISTAKES, read, same)


EXERCISE = Exercise(
    id="4.2",
    title="One round of the beam",
    name="beam_round",
    parameters=("earned", "reward", "value", "discount", "t", "B"),
    objectives=("O4.3",),
    difficulty=2,
    minutes=20,
    judge=judge,
    shown="Right. All candidates compete, each by what it has earned and what is still to come; "
    "what is carried on is the earned part alone, so that no reward is counted twice. Rank by "
    "log-probability instead, and this is the beam search of a language model.",
)
