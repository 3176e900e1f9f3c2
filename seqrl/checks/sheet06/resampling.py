"""Exercise 6.3: do a policy's actions depend on the return? Put another episode's in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.listeners import Listener
from seqrl.seeds import generator


def forward(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL(p | q) of the last axis, in nats."""
    return np.asarray((p * np.log(p / q)).sum(-1))


def donors(episodes: np.ndarray) -> np.ndarray:
    """For each window the next one, in a circle, that is from another episode."""
    B = len(episodes)

    def another(i: int) -> int:
        around = [(i + k) % B for k in range(1, B)]
        return next(j for j in around if episodes[j] != episodes[i])

    return np.array([another(i) for i in range(B)])


def roll(episodes: np.ndarray) -> np.ndarray:
    return (np.arange(len(episodes)) + 1) % len(episodes)


def over_steps(kl: np.ndarray, counted: np.ndarray) -> float:
    return float(kl[counted].mean())


def over_windows(kl: np.ndarray, counted: np.ndarray) -> float:
    """The mean of each window's mean."""
    return float(np.mean([row[real].mean() for row, real in zip(kl, counted) if real.any()]))


def answer(
    other: Callable[[np.ndarray], np.ndarray] = donors,
    distance: Callable[[np.ndarray, np.ndarray], np.ndarray] = forward,
    put: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda returns, donor: returns[donor],
    counted: str = "both",
    mean: Callable[[np.ndarray, np.ndarray], float] = over_steps,
    states_too: bool = False,
) -> Callable[..., float]:
    """The right effect, or one in which a part was changed."""

    def effect(
        policy: Listener, states: Any, returns: np.ndarray, valid: np.ndarray, episodes: np.ndarray
    ) -> float:
        donor = other(episodes)
        before = policy(states, returns)
        after = policy(states[donor] if states_too else states, put(returns, donor))
        real = {"both": valid & valid[donor], "own": valid, "all": np.ones_like(valid)}[counted]
        return mean(distance(before, after), real)

    return effect


right = answer()
MISTAKES = (
    Mistake(
        "The next window is taken even where it is from the same episode. Its returns are nearly "
        "the same, so the effect comes out too small. Look for one of another episode.",
        answer(other=roll),
    ),
    Mistake(
        "The divergence is turned around. The actions as they were come first, KL(before | after): "
        "it is their logarithm's loss that is asked for.",
        answer(distance=lambda p, q: forward(q, p)),
    ),
    Mistake(
        "Padding is counted. Steps that never happened have no action to be moved.",
        answer(counted="all"),
    ),
    Mistake(
        "Steps are counted to which padding of the other window was handed. Such a return of 0 "
        "occurs in no episode there; count the steps that are real in both windows.",
        answer(counted="own"),
    ),
    Mistake(
        "The returns are set to 0. That is no return of another episode, and a network may never "
        "have seen it: what it then does says little about what it uses.",
        answer(put=lambda returns, donor: np.zeros_like(returns)),
    ),
    Mistake(
        "All windows get the mean return. That is a return which perhaps no episode has; take "
        "those of another window.",
        answer(put=lambda returns, donor: np.full_like(returns, returns.mean())),
    ),
    Mistake(
        "The returns are mixed within their own window. They are still this episode's; take those "
        "of another one.",
        answer(put=lambda returns, donor: returns[:, ::-1]),
    ),
    Mistake(
        "The states are exchanged too, so you measure another episode and not the return. Change "
        "one thing.",
        answer(states_too=True),
    ),
    Mistake(
        "These are sums over steps. The effect is their mean.",
        answer(mean=lambda kl, counted: float(kl[counted].sum())),
    ),
    Mistake(
        "Each window has the same weight, however few of its steps count. Take one mean over all "
        "steps that count.",
        answer(mean=over_windows),
    ),
    Mistake(
        "The logarithm has base 2. The effect is in nats: `np.log`.",
        answer(distance=lambda p, q: forward(p, q) / np.log(2)),
    ),
    Mistake(
        "That is how much probability moves, half of the sum of |p - q|. Asked is the divergence.",
        answer(distance=lambda p, q: np.abs(p - q).sum(-1) / 2),
    ),
    Mistake(
        "The divergence is a sum over actions; yours is their mean.",
        answer(distance=lambda p, q: forward(p, q) / p.shape[-1]),
    ),
)


def read(value: Any, policy: Listener, *_: Any) -> np.ndarray:
    """What was returned as one finite number."""
    array = as_array(value, "The effect")
    if array.size != 1:
        raise Failed(f"The effect is one number, a mean over steps; yours has shape {array.shape}.")
    if not np.isfinite(array).all():
        raise Failed("The effect is NaN or infinite. What went into the logarithm?")
    return array.astype(float).reshape(())


def one_number(one: Any, other: Any) -> bool:
    return close(np.asarray(one, float), np.asarray(other, float))


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(policy, states, returns, valid, episodes): by hand, one episode twice, padding, random."""
    eager = Listener([[0, 0]], [[0, 1]])
    zeros = np.zeros((3, 2), int)
    returns = np.array([[1.0, 2.0], [1.0, 0.5], [4.0, 3.0]])
    real = np.ones((3, 2), bool)
    yield eager, zeros[:2, :1], np.array([[1.0], [3.0]]), real[:2, :1], np.array([0, 1])
    yield eager, zeros, returns, real, np.array([0, 0, 1])
    yield (
        Listener([[0, 0], [1, 0]], [[0, 1], [1, 0]]),
        np.array([[0, 1]] * 3),
        returns,
        real,
        (np.array([0, 1, 2])),
    )
    valid = np.array([[True, True], [False, True], [True, True]])
    yield eager, zeros, returns * valid, valid, np.array([0, 1, 2])
    for seed in seeds:
        draw = generator("test", "check 6.3", seed)
        B, K, S, A = 6, 4, 3, 3
        valid = np.arange(K) >= draw.integers(0, K, size=(B, 1))
        valid[0] = True
        episodes = np.sort(draw.integers(0, 4, size=B))
        episodes[-1] = 4
        policy = Listener(draw.normal(size=(S, A)), draw.normal(size=(S, A)))
        returns = draw.uniform(0.5, 2, size=(B, K)) * valid
        yield policy, draw.integers(0, S, size=(B, K)), returns, valid, episodes


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right mean divergence, with returns of other episodes."""
    compare(student, cases(seeds), right, MISTAKES, read, one_number)


EXERCISE = Exercise(
    id="6.3",
    title="Does the return matter?",
    name="effect",
    parameters=("policy", "states", "returns", "valid", "episodes"),
    objectives=("O3.5", "O6.4"),
    difficulty=2,
    minutes=30,
    judge=judge,
    shown="Right. The return is the only thing that changes, it comes from a real episode that is "
    "not this one, and only steps that happened are counted. No map was needed: this is what says "
    "whether attention to the return matters.",
)
