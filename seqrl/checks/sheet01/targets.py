"""Exercise 1.4: two targets for one step, with a maximum over all actions or the data's alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator

Pair = tuple[np.ndarray, np.ndarray]


def best(Q: np.ndarray, taken: np.ndarray) -> Pair:
    """The largest value of each state, over all actions and over those of the data; 0 for none."""
    known = [max(row[seen], default=0.0) for row, seen in zip(Q, taken > 0)]
    return Q.max(1), np.array(known, float)


def backed(
    rule: Callable[..., Pair] = best,
    join: Callable[..., np.ndarray] = lambda r, goes_on, g, v: r + goes_on * g * v,
) -> Callable[..., Pair]:
    """Both targets, of what `rule(Q, taken)` says of each state, by `join(r, goes_on, g, v)`."""

    def answer(Q: Any, taken: Any, rewards: Any, over: Any, following: Any, discount: float) -> Any:
        values = rule(Q.astype(float), taken)
        one, other = (join(rewards, 1.0 - over, discount, v[following]) for v in values)
        return one, other

    return answer


def of_all(Q: np.ndarray, taken: np.ndarray) -> Pair:
    """The largest values of any state, at every state."""
    everywhere, known = best(Q, taken)
    return np.full(len(Q), everywhere.max()), np.full(len(Q), known.max())


def second(of_state: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[..., Pair]:
    """The right first target, and a second one from another value of each state."""
    return backed(lambda Q, taken: (Q.max(1), of_state(Q, taken)))


def swapped(*arguments: Any) -> Pair:
    """The right targets, the second one first."""
    fitted, careful = right(*arguments)
    return careful, fitted


right = backed()
NOTHING_FOLLOWS = (
    "After a termination nothing follows: there the target is the reward alone. Yours goes on to "
    "ask what the state after the end is worth."
)

MISTAKES = (
    Mistake(NOTHING_FOLLOWS, backed(join=lambda r, goes_on, g, v: r + g * v)),
    Mistake(
        "The last reward of an episode is lost: after a termination nothing follows, but the step "
        "itself is still paid.",
        backed(join=lambda r, goes_on, g, v: goes_on * (r + g * v)),
    ),
    Mistake(
        "`over` is upside down: it is True where the episode ended, and there nothing follows.",
        backed(join=lambda r, goes_on, g, v: r + (1 - goes_on) * g * v),
    ),
    Mistake("Both targets are right and stand in the wrong order: first fitted Q's.", swapped),
    Mistake(
        "The discount is forgotten: what comes one step later is worth γ as much.",
        backed(join=lambda r, goes_on, g, v: r + goes_on * v),
    ),
    Mistake(
        "The reward is discounted too. It is paid now, so it has weight 1.",
        backed(join=lambda r, goes_on, g, v: g * (r + goes_on * v)),
    ),
    Mistake(
        "The reward of the step is missing: these are the discounted values of what follows.",
        backed(join=lambda r, goes_on, g, v: goes_on * g * v),
    ),
    Mistake(
        "The maximum goes over all states together. Each step has its own following state, and "
        "only that row of `Q` counts.",
        backed(of_all),
    ),
    Mistake(
        "Your second target is the first one again: it still believes what is said of actions that "
        "no data has.",
        second(lambda Q, taken: Q.max(1)),
    ),
    Mistake(
        "An action that no data has counts as 0 instead of being left out. Where every step costs "
        "a point, 0 is the best value there is, so the maximum picks just these actions. A mask "
        "for a maximum puts -inf where it hides.",
        second(lambda Q, taken: (Q * (taken > 0)).max(1)),
    ),
    Mistake(
        "The values are multiplied by how often an action was taken. How often does not say how "
        "good: choose among the taken ones by `Q` alone.",
        second(lambda Q, taken: np.where(taken > 0, Q * taken, -1e9).max(1)),
    ),
    Mistake(
        "Your second target follows the action that was taken most often: that is cloning. Of the "
        "actions that the data took, ask for the best, however rare it is.",
        second(lambda Q, taken: Q[np.arange(len(Q)), taken.argmax(1)]),
    ),
    Mistake(
        "Your second target is the mean over the data's actions: the value of the policy that made "
        "the data. The maximum asks for the best of them.",
        second(lambda Q, taken: (Q * taken).sum(1) / np.maximum(taken.sum(1), 1)),
    ),
    Mistake(
        "Your second target asks for the actions that the data did not take. It is the other way "
        "round.",
        second(lambda Q, taken: best(Q, taken == 0)[1]),
    ),
)


def read(value: Any, Q: Any, taken: Any, rewards: Any, *rest: Any) -> Pair:
    """What was returned as two float arrays, (S,) each."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise Failed(f"Return two arrays, first fitted Q's targets; not {type(value).__name__}.")
    pair = as_array(value[0], "The first target"), as_array(value[1], "The second target")
    for array in pair:
        if array.shape != rewards.shape:
            raise Failed(
                f"Each target has one number a step, shape {rewards.shape}, not {array.shape}. "
                "Does the maximum go over the actions, the last axis?"
            )
        if not np.isfinite(array).all():
            raise Failed(
                "A target is NaN or infinite. Where an episode ended, the data took no action in "
                "the state after it, so its maximum is -inf, and 0 times -inf is NaN. Choose with "
                "`np.where(over, ...)` instead of multiplying."
            )
        if array.dtype.kind in "biu":
            raise Failed("Your targets hold whole numbers, so every fraction is cut off.")
    return pair[0].astype(float), pair[1].astype(float)


def same(one: Pair, other: Pair) -> bool:
    """Equal first and equal second targets."""
    return close(one[0], other[0]) and close(one[1], other[1])


def table(Q: Any, taken: Any, steps: Any, discount: float) -> tuple[Any, ...]:
    """The arguments, of steps (reward, over, following)."""
    rewards, over, following = zip(*steps)
    return (
        np.array(Q, float),
        np.array(taken, np.int64),
        np.array(rewards),
        np.array(over, bool),
        np.array(following, np.int64),
        discount,
    )


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(Q, taken, rewards, over, following, discount): one step, an end, more states, any size."""
    yield table([[-6, -5, -0.4]], [[3, 1, 0]], [(-1, 0, 0)], 0.9)
    three = [[-6, -5, -0.4], [-2, -3, -1], [1, 2, 3]], [[3, 1, 0], [1, 0, 0], [0, 0, 0]]
    yield table(*three, [(-1, 0, 1), (-2, 1, 2)], 0.9)
    yield table(*three, [(-1.0, 1, 0), (0.5, 0, 0), (4.0, 0, 1)], 0.5)
    for seed in seeds:
        draw = generator("test", "check 1.4", seed)
        states, actions, S = (int(n) for n in draw.integers((4, 3, 8), (9, 6, 30)))
        taken = draw.integers(0, 4, size=(states, actions)) * draw.integers(0, 2, (states, actions))
        taken[np.arange(states - 1), draw.integers(0, actions, states - 1)] += 1
        taken[-1] = 0  # nobody acts behind the goal
        following = draw.integers(0, states, S)
        over = (following == states - 1) | (draw.random(S) < 0.2)
        Q = 3 * draw.normal(size=(states, actions)) - 2
        yield Q, taken, draw.normal(size=S), over, following, float(draw.uniform(0.5, 0.99))


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """Both targets of every step."""
    compare(student, cases(seeds), right, MISTAKES, read, same)


EXERCISE = Exercise(
    id="1.4",
    title="The best of what nobody tried",
    name="targets",
    parameters=("Q", "taken", "rewards", "over", "following", "discount"),
    objectives=("O1.6", "O1.7", "O1.8"),
    difficulty=2,
    minutes=20,
    judge=judge,
    shown="Right. The two targets differ in one thing: whom the maximum may ask. Where the data "
    "took every action they are the same number; elsewhere the first one is a guess, and the next "
    "round is trained on it.",
)
