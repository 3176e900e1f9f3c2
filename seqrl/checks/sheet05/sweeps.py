"""Exercise 5.2: one Gibbs sweep over a plan, with the random numbers handed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.plan_tables import given, random_table
from seqrl.seeds import generator


def drawn(q: np.ndarray, u: float) -> int:
    """The first action whose cumulative probability lies above u."""
    return int(min((np.cumsum(q) <= u).sum(), len(q) - 1))


def sweep(
    draw: Callable[[np.ndarray, float], int] = drawn,
    hidden: Callable[[int, int], Sequence[int]] = lambda t, H: (),
    order: Callable[[int], Sequence[int]] = range,
    old: bool = False,
    one: bool = False,
    normalized: bool = True,
) -> Callable[..., np.ndarray]:
    """The right sweep, or one in which a part was changed.

    hidden: the positions that are not looked at. old: all look at the plan before the sweep.
    one: all use the first number. normalized: the conditionals sum to 1.
    """

    def answer(p: np.ndarray, plan: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        new = np.array(plan)
        for t in order(p.ndim):
            seen = plan if old else new
            q = given(p, seen, t, hidden(t, p.ndim))
            if not normalized:
                q = p[(*seen[:t], slice(None), *seen[t + 1 :])]
            new[t] = draw(q, numbers[0 if one else t])
        return new

    return answer


right = sweep()

MISTAKES = (
    Mistake(
        "All positions are drawn given the old plan. A Gibbs sweep uses each new action at once: "
        "the next position must see it. Drawn all at once, two halves of different plans mix.",
        sweep(old=True),
    ),
    Mistake(
        "Later actions are ignored: each is drawn given the earlier ones only, as a model from "
        "left to right would. Gibbs sampling conditions on all other actions of the plan.",
        sweep(hidden=lambda t, H: range(t + 1, H)),
    ),
    Mistake(
        "Every action is drawn by itself, from its marginal; the other actions are not looked at.",
        sweep(hidden=lambda t, H: range(H)),
    ),
    Mistake(
        "The sweep goes from the last position to the first. That is a Gibbs sweep too, but not in "
        "the order that was asked for, so its plans are others.",
        sweep(order=lambda H: range(H)[::-1]),
    ),
    Mistake(
        "The conditional does not sum to 1: a row of the table was taken as it stands. Divide it "
        "by its sum before you accumulate it.",
        sweep(normalized=False),
    ),
    Mistake(
        "The likeliest action is taken, whatever the number says. That is the released code's "
        "search, and it cannot leave a plan in which every action is the likeliest.",
        sweep(draw=lambda q, u: int(q.argmax())),
    ),
    Mistake(
        "A number that equals a cumulative probability belongs to the next action: take the first "
        "action whose cumulative probability lies above it. Otherwise the number 0 can draw an "
        "action that never occurs.",
        sweep(draw=lambda q, u: drawn(q, np.nextafter(u, -1))),
    ),
    Mistake(
        "The actions are laid out from the last to the first on the unit interval. Action 0 gets "
        "the small numbers.",
        sweep(draw=lambda q, u: len(q) - 1 - drawn(q[::-1], u)),
    ),
    Mistake(
        "Only the first position is drawn again. A sweep goes once through all of them.",
        sweep(order=lambda H: range(1)),
    ),
    Mistake(
        "The last position is not drawn again. Does the loop end one position too early?",
        sweep(order=lambda H: range(H - 1)),
    ),
    Mistake(
        "All positions use the same number. Then they are drawn together and not independently.",
        sweep(one=True),
    ),
)


def read(value: Any, p: np.ndarray, plan: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """What was returned as actions, (H,) integers."""
    array = as_array(value, "The new plan")
    if array.shape != plan.shape:
        raise Failed(f"A plan has shape {plan.shape}; the new one has shape {array.shape}.")
    if array.dtype.kind not in "iu":
        raise Failed(f"A plan consists of integers, the numbers of actions, not {array.dtype}.")
    if not ((array >= 0) & (array < len(p))).all():
        raise Failed(
            f"There are actions 0 to {len(p) - 1} and no others. Do the probabilities sum to 1 "
            "before they are accumulated?"
        )
    return array


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(p, plan, numbers): one position, ties, zeros, the chapter's table, random ones."""
    yield np.array([0.25, 0.75]), np.array([0]), np.array([0.5])
    yield np.array([1.0, 1.0, 2.0]), np.array([0]), np.array([0.25])
    yield np.array([0.0, 0.5, 0.5]), np.array([1]), np.array([0.0])
    table = np.array([[0.2, 0.2, 0.2], [0.0, 0.4, 0.0], [0.0, 0.0, 0.0]])
    yield table, np.array([0, 1]), np.array([0.6, 0.9])
    yield table, np.array([0, 1]), np.array([0.2, 0.5])
    yield np.array([[6, 2], [1, 3]]), np.array([0, 1]), np.array([0.7, 0.1])
    for seed in seeds:
        draw = generator("test", "check 5.2", seed)
        for H, V in ((2, 3), (3, 3), (3, 3), (4, 2), (4, 4)):
            p = random_table(draw, H, V) * 5
            yield p, draw.integers(0, V, size=H), draw.uniform(size=H).round(6)


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The plan after the sweep, number by number."""
    compare(student, cases(seeds), right, MISTAKES, read, np.array_equal)


EXERCISE = Exercise(
    id="5.2",
    title="One Gibbs sweep",
    name="sweep",
    parameters=("p", "plan", "numbers"),
    objectives=("O5.3",),
    difficulty=2,
    minutes=20,
    judge=judge,
    shown="Right. Each position is drawn given all others as they are at that moment. Repeated, "
    "this visits plans as often as the table says; nobody ever had to compute a distribution over "
    "whole plans.",
)
