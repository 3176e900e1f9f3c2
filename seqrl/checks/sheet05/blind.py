"""Exercise 5.4: energies that are blind in one direction.

The given terms never show an action again once it was hidden, so the mask grows with t.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.plan_tables import Table, random_table
from seqrl.seeds import generator

Hidden = Callable[[int, int], list[int]]  # (t, H) -> the positions that are hidden


def by(hidden: Hidden, sign: int = -1, row: int = 0) -> Callable[..., np.ndarray]:
    """-log p of each action, with these positions hidden; `row` reads the answer of another."""

    def terms(model: Table, plan: np.ndarray) -> np.ndarray:
        H = len(plan)
        found = []
        for t in range(H):
            mask = np.isin(np.arange(H), hidden(t, H))
            q = model(plan, mask)[(t + row) % H, plan[t]]
            found.append(sign * np.log(max(q, 1e-300)))
        return np.array(found)

    return terms


right = by(lambda t, H: [t])

MISTAKES = (
    Mistake(
        "These are the terms as it was given: an action that was hidden once stays hidden, so each "
        "is judged by later actions only. Their sum is -log p of the whole plan, by the chain rule "
        "from right to left.",
        by(lambda t, H: [*range(t + 1)]),
    ),
    Mistake(
        "Each action is visible while it is judged, so the model copies it and every energy is 0. "
        "Hide exactly the action that is asked for.",
        by(lambda t, H: []),
    ),
    Mistake(
        "All actions are hidden, so each is judged by itself. Such energies cannot see whether "
        "actions fit together.",
        by(lambda t, H: [*range(H)]),
    ),
    Mistake(
        "Now the later actions are hidden instead of the earlier ones: the map is blind on its "
        "other side, and the sum is still -log p of the whole plan.",
        by(lambda t, H: [*range(t, H)]),
    ),
    Mistake(
        "The action before is hidden as well. After a position was judged, show its action again "
        "before the next one is asked.",
        by(lambda t, H: [max(t - 1, 0), t]),
    ),
    Mistake(
        "The sign is turned around: these are log p, and an energy subtracts them.",
        by(lambda t, H: [t], sign=1),
    ),
)


def read(value: Any, model: Table, plan: np.ndarray) -> np.ndarray:
    """What was returned as terms, (H,) floats."""
    array = as_array(value, "The terms")
    if array.shape != plan.shape:
        raise Failed(
            f"There is one term for each action of the plan, shape {plan.shape}; yours has shape "
            f"{array.shape}."
        )
    if np.isnan(array).any():
        raise Failed("A term is NaN. What went into the logarithm?")
    return array.astype(float)


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(model, plan): two ways around a pillar, three positions by hand, random tables."""
    pillar = Table([[0.09, 0.01], [0.01, 0.89]])
    yield pillar, np.array([0, 0])
    yield pillar, np.array([0, 1])
    yield Table([[[4, 1], [1, 2]], [[2, 1], [1, 4]]]), np.array([0, 0, 1])
    for seed in seeds:
        draw = generator("test", "check 5.4", seed)
        for H, V in ((3, 3), (4, 2), (5, 2)):
            yield Table(random_table(draw, H, V)), draw.integers(0, V, size=H)


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """Each action judged given all others."""
    compare(student, cases(seeds), right, MISTAKES, read, close)


EXERCISE = Exercise(
    id="5.4",
    title="Half blind",
    name="repaired",
    parameters=("model", "plan"),
    objectives=("O5.1", "O5.6"),
    difficulty=3,
    minutes=30,
    judge=judge,
    shown="Right. Every action is hidden alone, so it is judged by its past and its future, and "
    "both halves of the map are filled. The faulty sum was no nonsense: it was -log p of the plan, "
    "which is why nothing looked broken.",
)
