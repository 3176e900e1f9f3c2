"""Exercise 5.1: the energy of a plan, from a table of all plans."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.plan_tables import given, random_table
from seqrl.seeds import generator


def log(x: Any) -> Any:
    """The logarithm, minus infinity at 0 without a word."""
    with np.errstate(divide="ignore"):
        return np.log(x)


def terms(p: np.ndarray, plan: np.ndarray, hidden: Callable[[int], Sequence[int]]) -> np.ndarray:
    """-log p(a_t | what is not hidden) of every position, (H,)."""
    H = range(p.ndim)
    return -log(np.array([given(p, plan, t, hidden(t))[plan[t]] for t in H]))


def right(p: np.ndarray, plan: np.ndarray) -> float:
    return float(terms(p, plan, lambda t: ()).sum())


def joint(p: np.ndarray, plan: np.ndarray) -> float:
    """-log p of the whole plan."""
    return float(-log(p[tuple(plan)] / p.sum()))


def marginals(p: np.ndarray, plan: np.ndarray) -> float:
    return float(terms(p, plan, lambda t: range(p.ndim)).sum())


def others_given_own(p: np.ndarray, plan: np.ndarray) -> float:
    """Each conditional normalized over the other actions instead of over its own."""
    rows = np.array([p.take(plan[t], axis=t).sum() for t in range(p.ndim)])
    return float(-log(p[tuple(plan)] / np.where(rows > 0, rows, 1)).sum())


def pseudo_likelihood(p: np.ndarray, plan: np.ndarray) -> float:
    return float(np.exp(-right(p, plan)))


def not_normalized(p: np.ndarray, plan: np.ndarray) -> float:
    return float(-p.ndim * log(p[tuple(plan)]))


MISTAKES = (
    Mistake(
        "That is -log p of the whole plan, the chain rule's sum of p(a_t | earlier actions). The "
        "energy asks of every action how likely it is given all others, earlier and later.",
        joint,
    ),
    Mistake(
        "Every action is judged by itself, without the others: those are marginals. They cannot "
        "see whether the actions fit together.",
        marginals,
    ),
    Mistake(
        "The conditionals are normalized over the other actions. Keep the others as they are in "
        "the plan, and divide by the sum over all actions at position t. Of two positions both "
        "give the same sum; of three they do not.",
        others_given_own,
    ),
    Mistake(
        "The sign is turned around: a plan that fits should have a low energy, so logarithms are "
        "subtracted.",
        lambda p, plan: -right(p, plan),
    ),
    Mistake(
        "The energy is a sum over positions; yours is their mean.",
        lambda p, plan: right(p, plan) / p.ndim,
    ),
    Mistake(
        "The logarithm has base 2. Energies are in nats: `np.log`.",
        lambda p, plan: right(p, plan) / np.log(2),
    ),
    Mistake(
        "The logarithm has base 10. Energies are in nats: `np.log`.",
        lambda p, plan: right(p, plan) / np.log(10),
    ),
    Mistake(
        "That is the pseudo-likelihood itself. The energy is minus its logarithm.",
        pseudo_likelihood,
    ),
    Mistake(
        "The last position is left out. Every action of the plan has a term.",
        lambda p, plan: float(terms(p, plan, lambda t: ())[:-1].sum()),
    ),
    Mistake(
        "The probability of the whole plan stands where conditionals should: divide it by the sum "
        "over all actions at position t, the others as they are.",
        not_normalized,
    ),
)


def read(value: Any, p: np.ndarray, plan: np.ndarray) -> float:
    """What was returned as one number."""
    array = as_array(value, "The energy")
    if array.size != 1:
        raise Failed(f"The energy of a plan is one number; yours has shape {array.shape}.")
    number = float(array.reshape(()))
    if np.isnan(number):
        raise Failed(
            "The energy is NaN. If nobody ever did the rest of the plan, a conditional is 0 / 0; "
            "such a plan is impossible, and its energy is infinite."
        )
    return number


def same(one: float, other: float) -> bool:
    return close(np.array(one), np.array(other))


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(p, plan): one position, the chapter's table, counts, three positions, impossible plans."""
    yield np.array([0.25, 0.75]), np.array([0])
    table = np.array([[0.2, 0.2, 0.2], [0.0, 0.4, 0.0], [0.0, 0.0, 0.0]])
    yield table, np.array([0, 1])
    yield table, np.array([1, 1])
    yield np.array([[6, 2], [1, 1]]), np.array([0, 1])
    yield np.array([[[4.0, 1.0], [1.0, 2.0]], [[2.0, 1.0], [1.0, 4.0]]]), np.array([0, 0, 1])
    yield table, np.array([1, 0])
    yield np.array([[0.5, 0.0], [0.5, 0.0]]), np.array([1, 1])
    yield table, np.array([2, 2])
    for seed in seeds:
        draw = generator("test", "check 5.1", seed)
        for H, V in ((2, 4), (3, 3), (4, 2)):
            yield random_table(draw, H, V) * float(draw.uniform(1, 9)), draw.integers(0, V, size=H)


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right energy, of impossible plans too."""
    compare(student, cases(seeds), right, MISTAKES, read, same)


EXERCISE = Exercise(
    id="5.1",
    title="An energy from a table",
    name="energy",
    parameters=("p", "plan"),
    objectives=("O5.1",),
    difficulty=1,
    minutes=15,
    judge=judge,
    shown="Right. Every action is judged given all others, whatever the table sums to, and an "
    "impossible plan has infinite energy. Where actions do not depend on each other, the energy "
    "is -log p of the plan; elsewhere it is another number.",
)
