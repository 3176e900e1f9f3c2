"""Exercise 3.1: returns-to-go, states and actions as one row of tokens, and where to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare, in_numpy
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator


def ordered(*order: int) -> Callable[..., np.ndarray]:
    """The three tokens of each step in some order: 0 the return, 1 the state, 2 the action."""

    def tokens(*parts: np.ndarray) -> np.ndarray:
        B, K, D = parts[0].shape
        row = np.empty((B, 3 * K, D))
        for place, kind in enumerate(order):
            row[:, place::3] = parts[kind]
        return row

    return in_numpy(tokens)


def stacked(axis: int) -> Callable[..., np.ndarray]:
    """The parts stacked along a new axis and poured into the right shape."""

    def tokens(*parts: np.ndarray) -> np.ndarray:
        B, K, D = parts[0].shape
        return np.stack(parts, axis).reshape(B, 3 * K, D)

    return in_numpy(tokens)


def at(first: int) -> Callable[..., np.ndarray]:
    """Every third place from `first` on, as many as there are steps."""
    return lambda returns, states, actions: first + 3 * np.arange(returns.shape[1])


LEAK = (
    "The action stands before the state of its own step, so the state token can read the answer. "
    "The loss would fall to nothing, and at the wheel there is no answer yet. The order is "
    "return, state, action."
)
LATE = (
    "The return-to-go stands behind the state of its own step, so the token that the action is "
    "read from cannot see it. The order is return, state, action."
)
TOKENS = (
    Mistake(LEAK, ordered(0, 2, 1)),
    Mistake(LEAK, ordered(2, 0, 1)),
    Mistake(LEAK, ordered(2, 1, 0)),
    Mistake(LATE, ordered(1, 0, 2)),
    Mistake(LATE, ordered(1, 2, 0)),
    Mistake(
        "The three kinds stand one behind the other: first all returns, then all states, then all "
        "actions. Under a causal mask the first action could see every later state. The tokens of "
        "one step belong side by side.",
        stacked(1),
    ),
    Mistake(
        "The numbers inside the tokens are mixed. The new dimension that you stack along has to "
        "stand right behind K, so that joining it with K keeps each token whole.",
        stacked(3),
    ),
    Mistake(
        "The rows of the batch are mixed: tokens of one window stand in another. The new dimension "
        "has to stand behind K, not in front of B.",
        stacked(0),
    ),
)
PLACES = (
    Mistake(
        "You read at the tokens of the actions, where the answer itself stands. The loss would "
        "fall to nothing. The action is read at the token of its state.",
        at(2),
    ),
    Mistake(
        "You read at the tokens of the returns-to-go. They stand before the state, so the action "
        "would be chosen without having seen it.",
        at(0),
    ),
    Mistake(
        "You read each action one step late, at the state that follows it, and that token has seen "
        "the action.",
        at(4),
    ),
    Mistake(
        "These are the numbers of the steps. The question is where their state tokens stand among "
        "the 3K tokens.",
        lambda returns, states, actions: np.arange(returns.shape[1]),
    ),
)


def two(value: Any) -> Any:
    """The two things returned."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise Failed(f"Return two things, `tokens, read`; this is {type(value).__name__}.")
    return value


def read_tokens(value: Any, returns: Any, states: Any, actions: Any) -> np.ndarray:
    """The tokens that were returned, (B, 3K, D)."""
    tokens = as_array(two(value)[0], "The tokens")
    B, K, D = returns.shape
    if tokens.shape == (B, K, 3 * D):
        raise Failed(
            f"You made one wide token a step, {tokens.shape}. There are three tokens a step: "
            f"({B}, {3 * K}, {D})."
        )
    if tokens.shape != (B, 3 * K, D):
        raise Failed(f"The tokens should have shape ({B}, {3 * K}, {D}), not {tokens.shape}.")
    return tokens


def read_places(value: Any, returns: Any, states: Any, actions: Any) -> np.ndarray:
    """The places that were returned, (K,) int; a slice or a mask of the tokens serves too."""
    places, K = two(value)[1], returns.shape[1]
    if isinstance(places, slice):
        return np.arange(3 * K)[places]
    array = as_array(places, "What comes second")
    if array.dtype == bool and array.shape == (3 * K,):
        return np.flatnonzero(array)
    if array.shape != (K,):
        raise Failed(f"An action is read for each of {K} steps: ({K},) places, not {array.shape}.")
    return array


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(returns, states, actions), each (B, K, D): two steps, then batches."""
    pair = torch.arange(1.0, 3.0).reshape(1, 2, 1)
    yield 10 * pair, 10 * pair + 1, 10 * pair + 2
    for seed in seeds:
        draw = generator("test", "check 3.1", seed)
        shape = tuple(int(n) for n in draw.integers(2, 6, size=3))
        r, s, a = (torch.from_numpy(draw.normal(size=shape).astype(np.float32)) for _ in range(3))
        yield r, s, a


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right order, and the right places to read at."""
    compare(student, cases(seeds), ordered(0, 1, 2), TOKENS, read_tokens, close)
    compare(student, cases(seeds), at(1), PLACES, read_places, np.array_equal)


EXERCISE = Exercise(
    id="3.1",
    title="A trajectory as a sentence",
    name="interleave",
    parameters=("returns", "states", "actions"),
    objectives=("O3.1",),
    difficulty=1,
    minutes=15,
    judge=judge,
    shown="Right. Each step is return, state, action, side by side, and the action is read at the "
    "token of its state: the last place that has seen all but the answer.",
)
