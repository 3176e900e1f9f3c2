"""Exercise 3.2: the return-to-go at the wheel, counted down in many environments at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator


def right(left: Any, reward: Any, first: Any, target: float) -> np.ndarray:
    """What is asked for now, environment by environment."""
    return np.array([target if f else x - r for x, r, f in zip(left, reward, first)], float)


MISTAKES = (
    Mistake(
        "The reward is added. What has been earned no longer has to be earned: subtract it.",
        lambda left, reward, first, target: np.where(first, target, left + reward),
    ),
    Mistake(
        "An episode that begins goes on with what the last one left. Where `first` is True the "
        "request is the target again.",
        lambda left, reward, first, target: left - reward,
    ),
    Mistake(
        "A new episode pays for the last reward of the old one. Where `first` is True, `reward` "
        "belongs to the episode before: the request is the target itself.",
        lambda left, reward, first, target: np.where(first, target, left) - reward,
    ),
    Mistake(
        "It never counts down: the model keeps asking for what it already has.",
        lambda left, reward, first, target: np.where(first, target, left),
    ),
    Mistake(
        "It asks for the whole target at every step. What is asked for is what is left of it.",
        lambda left, reward, first, target: np.full(len(left), float(target)),
    ),
    Mistake(
        "It counts down from the target, not from what was left: every reward but the last is "
        "forgotten.",
        lambda left, reward, first, target: np.where(first, target, target - reward),
    ),
    Mistake(
        "`first` is upside down: True marks the environments where an episode begins.",
        lambda left, reward, first, target: np.where(first, left - reward, target),
    ),
    Mistake(
        "One environment began an episode, and all were reset. Each row has its own request.",
        lambda left, reward, first, target: (
            np.full(len(left), float(target)) if np.any(first) else left - reward
        ),
    ),
    Mistake(
        "Each row loses what all rows earned together or on average. Each row has its own reward.",
        lambda left, reward, first, target: np.where(first, target, left - np.mean(reward)),
    ),
    Mistake(
        "Each row loses what all rows earned together or on average. Each row has its own reward.",
        lambda left, reward, first, target: np.where(first, target, left - np.sum(reward)),
    ),
    Mistake(
        "The request stops at 0. Where every step costs a point it is below 0 from the start, and "
        "that is what the model was trained on.",
        lambda left, reward, first, target: np.maximum(right(left, reward, first, target), 0),
    ),
    Mistake(
        "A step is taken to cost one point. Subtract the reward that came, whatever it was.",
        lambda left, reward, first, target: np.where(first, target, left + 1.0),
    ),
)


def read(value: Any, left: Any, reward: Any, first: Any, target: float) -> np.ndarray:
    """What was returned as floats, (E,)."""
    array = as_array(value, "The request")
    if array.shape != left.shape:
        raise Failed(f"There is one request an environment: {left.shape}, not {array.shape}.")
    if array.dtype.kind in "biu" and not np.allclose(right(left, reward, first, target) % 1, 0):
        raise Failed(
            "Your array holds whole numbers, so every fraction of a reward is cut off, and the "
            "request never counts down. Make it float, whatever `left` is."
        )
    return array.astype(float)


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(left, reward, first, target): one environment, two, whole numbers, many."""
    going = np.array([False])
    yield np.array([-8.0]), np.array([-1.0]), going, -8.0
    yield np.array([1.0]), np.array([0.25]), np.array([True]), 1.0
    yield np.array([6.0, 3.0]), np.array([2.0, 1.5]), np.array([False, True]), 8.0
    yield np.array([5, 5]), np.array([0.25, 0.5]), np.array([False, False]), 5
    for seed in seeds:
        draw = generator("test", "check 3.2", seed)
        E = int(draw.integers(3, 9))
        left, reward = draw.normal(size=E) * 5, draw.normal(size=E)
        yield left, reward, draw.random(E) < 0.4, float(draw.normal() * 5)


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right request in every row."""
    compare(student, cases(seeds), right, MISTAKES, read, close)


EXERCISE = Exercise(
    id="3.2",
    title="Count down at the wheel",
    name="next_request",
    parameters=("left", "reward", "first", "target"),
    objectives=("O3.2",),
    difficulty=1,
    minutes=10,
    judge=judge,
    shown="Right. Every environment loses its own reward from its own request, an episode that "
    "begins asks for the whole target, and fractions are kept. So the request says before each "
    "step what the step itself still counts toward, as in training.",
)
