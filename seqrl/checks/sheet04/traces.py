"""Exercise 4.4: a planner that promises more the wider its beam is, and keeps the promise less.

The given planner reads the best action of each round, whichever beam it belonged to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator

Rounds = list[tuple[np.ndarray, np.ndarray]]  # parent and action of the beams kept in each round


def follow(rounds: Rounds) -> list[int]:
    """The plan that ends in place 0, back from parent to parent."""
    plan, place = [], 0
    for parent, action in reversed(rounds):
        plan.append(int(action[place]))
        place = int(parent[place])
    return plan[::-1]


def best_of_each(rounds: Rounds) -> list[int]:
    """What the given planner does."""
    return [int(action[0]) for _, action in rounds]


def from_the_front(rounds: Rounds) -> list[int]:
    """Parents followed in the direction of time."""
    plan, place = [], 0
    for parent, action in rounds:
        plan.append(int(action[min(place, len(action) - 1)]))
        place = int(parent[min(place, len(parent) - 1)])
    return plan


def parent_first(rounds: Rounds) -> list[int]:
    """The step to the parent before the action is read."""
    plan, place = [], 0
    for parent, action in reversed(rounds):
        place = int(parent[min(place, len(parent) - 1)])
        plan.append(int(action[min(place, len(action) - 1)]))
    return plan[::-1]


def search(
    trace: Callable[[Rounds], list[int]], future: float = 1.0, width: int | None = None
) -> Callable[..., Any]:
    """The planner with a way to read its plan; `future` weighs the value, `width` fixes B."""

    def planned(world: Any, start: int, B: int, H: int) -> Any:
        reward, value, leads = world
        states, earned, rounds = np.array([start]), np.zeros(1), []
        for _ in range(H):
            got = earned[:, None] + reward[states]
            worth = got + future * value[states]
            order = np.argsort(-worth, axis=None, kind="stable")[: width or B]
            parent, action = np.divmod(order, reward.shape[1])
            states, earned = leads[states[parent], action], got[parent, action]
            rounds.append((parent, action))
        return np.array(trace(rounds)), float(worth.ravel()[order[0]])

    return planned


def pays(world: Any, start: int, plan: Sequence[int]) -> float:
    """What a plan earns from `start`, and the value of what follows its last action."""
    reward, value, leads = world
    total, state = 0.0, start
    for action in plan:
        total, last = total + reward[state, action], value[state, action]
        state = leads[state, action]
    return float(total + last)


right, given = search(follow), search(best_of_each)


def honest(world: Any, start: int, B: int, H: int) -> Any:
    """The given plan, with what it really pays beside it."""
    plan, _ = given(world, start, B, H)
    return plan, pays(world, start, plan)


def backward(world: Any, start: int, B: int, H: int) -> Any:
    plan, worth = right(world, start, B, H)
    return plan[::-1], worth


MISTAKES = (
    Mistake(
        "This is the planner as it was given. What it says the plan is worth is right for some "
        "plan, only not for the one it returns. Execute the plan below by hand: what does it pay?",
        given,
    ),
    Mistake(
        "Now the worth is that of the plan, but the plan is the same patchwork as before. Mend "
        "the plan, not the number beside it.",
        honest,
    ),
    Mistake(
        "A beam of one hides the fault and gives up the search: B is an argument, and the wider "
        "beam has found something better.",
        search(follow, width=1),
    ),
    Mistake(
        "Parents are followed from the first round on. `parent` points backward, to a place of "
        "the round before: begin with the last round.",
        search(from_the_front),
    ),
    Mistake(
        "The step to the parent comes too early. First read the action at this place, then go to "
        "the parent's place in the round before.",
        search(parent_first),
    ),
    Mistake(
        "The right actions in the wrong order: a trace from the end has to be turned around.",
        backward,
    ),
    Mistake(
        "The plan holds together now, but candidates are ranked without the value. That part was "
        "right as it was given: a wider beam did find plans that are worth more.",
        search(follow, future=0),
    ),
)


def read(value: Any, world: Any, start: int, B: int, H: int) -> Any:
    """What was returned as (plan (H,) integers, worth)."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise Failed(f"Return two things, `plan, worth`; this is one {type(value).__name__}.")
    plan, worth = as_array(value[0], "The plan"), as_array(value[1], "The worth")
    if plan.shape != (H,):
        raise Failed(f"The plan is one action a round, shape ({H},); yours has {plan.shape}.")
    if plan.dtype.kind not in "iu":
        raise Failed(f"A plan consists of integers, the numbers of actions, not {plan.dtype}.")
    if worth.size != 1:
        raise Failed(f"The worth is one number, that of the plan; yours has shape {worth.shape}.")
    return plan, float(worth.reshape(()))


def same(one: Any, other: Any) -> bool:
    """The same plan, said to be worth the same."""
    return np.array_equal(one[0], other[0]) and close(np.array(one[1]), np.array(other[1]))


def random_world(draw: np.random.Generator, S: int, A: int) -> tuple[np.ndarray, ...]:
    """(reward, value, leads), each (S, A): numbers without ties, edges to anywhere."""
    reward, value = draw.normal(size=(2, S, A)).round(3)
    return reward, value, draw.integers(0, S, size=(S, A))


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(world, start, B, H): a crossing that can be done by hand, then worlds drawn at random."""
    reward = np.array([[1.0, 0.5], [0.0, 0.2], [4.0, 3.0]])
    value = np.array([[1.0, 1.2], [0.3, 0.1], [0.0, 0.4]])
    crossing = reward, value, np.array([[1, 2], [1, 2], [2, 0]])
    yield crossing, 0, 2, 1
    yield crossing, 0, 2, 2
    for seed in seeds:
        draw = generator("test", "check 4.4", seed)
        for B, H in ((1, 3), (3, 3), (4, 5), (8, 4)):
            S, A = (int(n) for n in draw.integers((4, 2), (9, 4)))
            yield random_world(draw, S, A), int(draw.integers(S)), B, H


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The plan of the best beam, and its own worth."""
    compare(student, cases(seeds), right, MISTAKES, read, same)


EXERCISE = Exercise(
    id="4.4",
    title="The promise that is not kept",
    name="repaired",
    parameters=("world", "start", "B", "H"),
    objectives=("O4.3", "O4.4"),
    difficulty=3,
    minutes=30,
    judge=judge,
    shown="Right. The plan is now the one whose worth is told: it is read back from parent to "
    "parent. The same fault is common wherever beams are pruned, as in a cache of keys and values "
    "that is not reordered with its beams.",
)
