"""Exercise 1.5: the value of a state as an expectile of the values of the data's actions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator


def slope(v: float, values: np.ndarray, counts: np.ndarray, eta: float, power: int = 1) -> float:
    """How fast the loss falls at v, but for a factor; power 0: that of absolute differences."""
    weight = counts * np.where(values < v, 1 - eta, eta)
    return float(weight @ (np.sign(values - v) * abs(values - v) ** power))


def root(values: np.ndarray, counts: np.ndarray, eta: float, power: int = 1) -> float:
    """Where the slope is 0, by bisection: the η-expectile; with power 0 the η-quantile."""
    values = values.astype(float)
    low, high = values[counts > 0].min(), values[counts > 0].max()
    for _ in range(60):
        middle = (low + high) / 2
        above = slope(middle, values, counts, eta, power) > 0
        low, high = (middle, high) if above else (low, middle)
    return float(low + high) / 2


def loss(v: float, values: np.ndarray, counts: np.ndarray, eta: float) -> float:
    """What the expectile makes as small as can be."""
    return float((counts * np.where(values < v, 1 - eta, eta)) @ (values - v) ** 2)


def mean(values: np.ndarray, counts: np.ndarray) -> float:
    """What the data's actions are worth on average."""
    return float(counts @ values / counts.sum())


def known(rule: Callable[[np.ndarray, np.ndarray, float], float]) -> Callable[..., float]:
    """A rule that sees only the actions that the data took: (values, counts, eta)."""
    return lambda values, counts, eta: rule(values[counts > 0], counts[counts > 0], eta)


def one_round(values: np.ndarray, counts: np.ndarray, eta: float) -> float:
    """The weighted mean, with weights from the plain mean."""
    return mean(values, counts * np.where(values < mean(values, counts), 1 - eta, eta))


def lowest_of(candidates: np.ndarray, values: Any, counts: Any, eta: float) -> float:
    """The candidate with the least loss."""
    return float(min(candidates, key=lambda v: loss(v, values, counts, eta)))


QUANTILE = (
    "This is the quantile: it counts how many values lie above v and forgets how far. An "
    "expectile weighs squares, so the distances count."
)
UNSEEN = (
    "An action that the data never took has a say here. In the sum over the data it does not "
    "occur; its weight is 0."
)

MISTAKES = (
    Mistake(
        "The two sides are swapped: values above v should weigh η, and those below it 1 - η. Yours "
        "comes near the worst action as η goes to 1.",
        lambda q, n, eta: root(q, n, 1 - eta),
    ),
    Mistake(
        "η is ignored: this is the mean of the data's actions, the expectile for η = 0.5 only.",
        lambda q, n, eta: mean(q, n),
    ),
    Mistake(
        "This is the best of the data's actions, whatever η is. The expectile only comes near it "
        "as η goes to 1.",
        known(lambda q, n, eta: q.max()),
    ),
    Mistake(
        "How often an action was taken is ignored. The sum goes over the steps of the data, so an "
        "action that was taken nine times stands in it nine times.",
        known(lambda q, n, eta: root(q, np.ones(len(q)), eta)),
    ),
    Mistake(UNSEEN, lambda q, n, eta: root(q, np.maximum(n, 1), eta)),
    Mistake(UNSEEN, lambda q, n, eta: root(q, np.ones(len(q)), eta)),
    Mistake(QUANTILE, lambda q, n, eta: root(q, n, eta, power=0)),
    Mistake(QUANTILE, lambda q, n, eta: float(np.quantile(np.repeat(q, n), eta))),
    Mistake(
        "You mix the mean and the best in the shares 1 - η and η. The expectile is another curve: "
        "a good action that is rare lifts it only when η is close to 1.",
        known(lambda q, n, eta: eta * q.max() + (1 - eta) * mean(q, n)),
    ),
    Mistake(
        "You mix the worst and the best in the shares 1 - η and η, however often each was taken.",
        known(lambda q, n, eta: eta * q.max() + (1 - eta) * q.min()),
    ),
    Mistake(
        "The weights come from the plain mean and are used once. With the new v other values may "
        "lie below it: weigh and average again, until v stays where it is.",
        one_round,
    ),
    Mistake(
        "You choose the least loss among the values themselves. v may be any number between them.",
        lambda q, n, eta: lowest_of(q, q, n, eta),
    ),
    Mistake(
        "This is the loss at the expectile. Return the v that makes it least.",
        lambda q, n, eta: loss(root(q, n, eta), q, n, eta),
    ),
)


def read(value: Any, values: Any, counts: Any, eta: float) -> float:
    """What was returned as one finite number."""
    array = as_array(value, "The expectile")
    if array.size != 1:
        raise Failed(f"The expectile is one number for the state, not {array.shape}.")
    if not np.isfinite(array).all():
        raise Failed("The expectile is NaN or infinite. Is something divided by a weight of 0?")
    return float(array.reshape(()))


def near(one: float, other: float) -> bool:
    """Equal as far as a search that stops at some time can be."""
    return abs(one - other) <= 1e-3 * (1 + abs(other))


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(values, counts, eta): two actions, η one half, one that nobody took, any number.

    A drawn η cuts the counts at no border between two values, as 0.2 of 25 may. There all between
    the two is a quantile, so that an answer could be one and still not be the one of `MISTAKES`.
    """
    two = np.array([-10.0, -1.0]), np.array([9, 1])
    yield *two, 0.7
    yield *two, 0.5
    yield np.array([-10.0, -1.0, 0.0]), np.array([9, 1, 0]), 0.7
    yield np.array([-4, -2, 5]), np.array([1, 2, 1]), 0.9
    yield np.array([3.0]), np.array([4]), 0.9
    for seed in seeds:
        draw = generator("test", "check 1.5", seed)
        A = int(draw.integers(4, 9))
        counts = draw.integers(1, 20, size=A) * (np.arange(A) % 3 > 0)
        values = 4 * draw.normal(size=A) - 3
        for low, high in ((0.15, 0.25), (0.6, 0.8), (0.9, 0.97)):
            yield values, counts, float(draw.uniform(low, high))


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The v of least loss."""
    compare(student, cases(seeds), root, MISTAKES, read, near)


EXERCISE = Exercise(
    id="1.5",
    title="Between the mean and the best",
    name="expectile",
    parameters=("values", "counts", "eta"),
    objectives=("O1.9",),
    difficulty=2,
    minutes=20,
    judge=judge,
    shown="Right. The expectile asks only about actions that the data took, and moves from their "
    "mean to their best as η goes from one half to 1. It is no maximum: a good action that is "
    "rare lifts it late.",
)
