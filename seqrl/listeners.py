"""Policies that heed a return in a known way, as an exercise on interventions uses them."""

from __future__ import annotations

from typing import Any

import numpy as np


class Listener:
    """Probabilities of actions from a state and a return: `policy(states, returns)`.

    states (B, K) integers, returns (B, K); gives (B, K, A). `habit` (S, A) are the scores of
    actions in each state, `wish` (S, A) what a point of return adds to them.
    """

    def __init__(self, habit: Any, wish: Any) -> None:
        self.habit, self.wish = np.asarray(habit, float), np.asarray(wish, float)

    def __call__(self, states: Any, returns: Any) -> np.ndarray:
        states, returns = np.asarray(states), np.asarray(returns, float)
        scores = self.habit[states] + returns[..., None] * self.wish[states]
        p = np.exp(scores - scores.max(-1, keepdims=True))
        return np.asarray(p / p.sum(-1, keepdims=True))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Listener) and all(
            np.array_equal(one, two)
            for one, two in ((self.habit, other.habit), (self.wish, other.wish))
        )

    def __repr__(self) -> str:
        return f"Listener({self.habit.round(2).tolist()}, {self.wish.round(2).tolist()})"
