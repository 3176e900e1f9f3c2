"""Distributions over plans that are known exactly, as the exercises on energies use them.

A table `p` has an axis of V actions for each of H positions; its numbers need not sum to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def shares(row: np.ndarray) -> np.ndarray:
    """Numbers (n,) from 0 on made to sum to 1; all 0 where none is above 0."""
    total = row.sum()
    return row / total if total > 0 else np.zeros_like(row, dtype=float)


def given(p: np.ndarray, plan: Any, t: int, hidden: Sequence[int]) -> np.ndarray:
    """p(action at t | the actions that are not hidden), (V,); t itself is always hidden."""
    unknown = {t, *hidden}
    index: tuple[Any, ...] = tuple(slice(None) if i in unknown else plan[i] for i in range(p.ndim))
    left = p[index]
    axis = sorted(unknown).index(t)
    return shares(left.sum(tuple(i for i in range(left.ndim) if i != axis)).astype(float))


class Table:
    """A model that fills in masks and knows the truth: `model(plan, hidden)` gives (H, V).

    plan (H,) actions, hidden (H,) bool. A hidden position gets the probability of each action
    given the visible ones; a visible one is copied, as a network copies what it can read.
    """

    def __init__(self, p: Any) -> None:
        self.p = np.asarray(p, dtype=float)

    def __call__(self, plan: Any, hidden: Any) -> np.ndarray:
        unknown = [i for i, masked in enumerate(hidden) if masked]
        copied = np.eye(self.p.shape[0])
        rows = [
            given(self.p, plan, i, unknown) if i in unknown else copied[int(plan[i])]
            for i in range(self.p.ndim)
        ]
        return np.array(rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and np.array_equal(self.p, other.p)

    def __repr__(self) -> str:
        return f"Table({self.p.tolist()})"


def random_table(draw: np.random.Generator, H: int, V: int) -> np.ndarray:
    """Probabilities of all plans, (V, ..., V) of H axes, uneven and coupled, none of them 0."""
    p = np.exp(1.5 * draw.normal(size=(V,) * H))
    return p / p.sum()
