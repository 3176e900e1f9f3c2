"""Exercise 3.4: what a policy that is asked for a return earns where returns are partly luck."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator

Rule = Callable[[np.ndarray, np.ndarray, int], np.ndarray]  # behavior, outcomes, request -> (A,)


def bayes(behavior: np.ndarray, outcomes: np.ndarray, request: int) -> np.ndarray:
    """How often each action was behind the requested return, in the data."""
    together = behavior * outcomes[:, request]
    return together / together.sum()


def only(best: int, count: int) -> np.ndarray:
    """All weight on one action."""
    return np.eye(count)[best]


def shares(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum()


def earns(rule: Rule) -> Callable[..., np.ndarray]:
    """The mean return of a policy that chooses actions by `rule`."""

    def answer(behavior: Any, outcomes: Any, returns: Any, request: int) -> np.ndarray:
        return np.asarray(rule(behavior, outcomes, request) @ (outcomes @ returns), float)

    return answer


def best_mean(behavior: Any, outcomes: Any, returns: Any, request: int) -> np.ndarray:
    """The mean return of the best action."""
    return np.asarray((outcomes @ returns).max(), float)


right = earns(bayes)
MISTAKES = (
    Mistake(
        "This is the return that was asked for. The model takes the actions that came before it in "
        "the data, and then the world draws the outcome anew: luck cannot be imitated.",
        lambda behavior, outcomes, returns, request: np.asarray(returns[request], float),
    ),
    Mistake(
        "It does not matter here how often the data chose each action, and it should: of two "
        "actions that reach the return as often, the one that was chosen more is imitated more.",
        earns(lambda behavior, outcomes, request: shares(outcomes[:, request])),
    ),
    Mistake(
        "The request changes nothing: this is what the behavior earns. Of the data only those "
        "episodes are imitated that had the requested return.",
        earns(lambda behavior, outcomes, request: behavior),
    ),
    Mistake(
        "This is the best action's mean. Nobody maximizes here: the model imitates the episodes "
        "that had the requested return, and those may be lucky ones.",
        best_mean,
    ),
    Mistake(
        "You take only the likeliest action. The question is about actions that are drawn as often "
        "as they were behind the requested return.",
        earns(lambda b, o, request: only(int(bayes(b, o, request).argmax()), len(b))),
    ),
    Mistake(
        "You take only the action that reaches the return most often. The model imitates all "
        "actions that reached it, each as often as the data show it.",
        earns(lambda b, o, request: only(int(o[:, request].argmax()), len(b))),
    ),
    Mistake(
        "The weights of the actions do not sum to 1. Divide by how often the requested return "
        "occurs at all.",
        earns(lambda behavior, outcomes, request: behavior * outcomes[:, request]),
    ),
    Mistake(
        "You condition on the requested return or more. The token says the return itself, and the "
        "model imitates the episodes that had exactly this one.",
        earns(lambda b, o, request: shares(b * o[:, request:].sum(1))),
    ),
    Mistake(
        "This is the policy, one number an action's weight, at best; what does it earn?",
        lambda behavior, outcomes, returns, request: np.asarray(
            bayes(behavior, outcomes, request).max(), float
        ),
    ),
)


def read(value: Any, behavior: Any, outcomes: Any, returns: Any, request: int) -> np.ndarray:
    """What was returned as one finite number."""
    array = as_array(value, "The mean return")
    if array.shape == (len(behavior),) and len(behavior) > 1:
        raise Failed(
            "These are numbers for each action. The question is what the policy earns with them: "
            "one number."
        )
    if array.size != 1:
        raise Failed(f"The mean return is one number, not {array.shape}.")
    if not np.isfinite(array).all():
        raise Failed("The mean return is NaN or infinite. Do you divide by 0?")
    return array.astype(float).reshape(())


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(behavior, outcomes, returns, request): the gamble asked for 10, 5 and 0, then others."""
    outcomes, returns = np.array([[0, 1, 0], [0.9, 0, 0.1]]), np.array([0.0, 5.0, 10.0])
    for request in (2, 1, 0):
        yield np.array([0.5, 0.5]), outcomes, returns, request
    yield np.array([0.8, 0.2]), np.array([[0, 0.5, 0.5], [0.5, 0, 0.5]]), returns, 2
    for seed in seeds:
        draw = generator("test", "check 3.4", seed)
        A, n = (int(x) for x in draw.integers((2, 3), (5, 6)))
        behavior, outcomes = draw.dirichlet(np.ones(A)), draw.dirichlet(np.ones(n), size=A)
        yield behavior, outcomes, np.sort(draw.normal(size=n) * 5), int(draw.integers(0, n - 1))


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right mean return for each request."""
    compare(student, cases(seeds), right, MISTAKES, read, close)


EXERCISE = Exercise(
    id="3.4",
    title="Asked for luck",
    name="earned",
    parameters=("behavior", "outcomes", "returns", "request"),
    objectives=("O3.3",),
    difficulty=3,
    minutes=25,
    judge=judge,
    shown="Right. The model imitates the actions that stood before the requested return, and the "
    "world then draws the outcome anew. Where returns are luck, asking for the jackpot buys "
    "lottery tickets; where they follow from the actions, what is asked for is what comes.",
)
