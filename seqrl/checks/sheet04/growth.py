"""Exercise 4.3: how the errors of a simulator would grow if every step missed independently."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator


def stepwise(step: Callable[[float, float, float], float]) -> Callable[..., np.ndarray]:
    """Shares from w_0 = 0 and w_{t+1} = step(w_t, miss, heal)."""

    def answer(miss: float, heal: float, steps: int) -> np.ndarray:
        shares = [0.0]
        for _ in range(steps):
            shares.append(step(shares[-1], miss, heal))
        return np.array(shares[1:])

    return answer


right = stepwise(lambda w, miss, heal: w * (1 - heal) + (1 - w) * miss)


def limit(miss: float, heal: float, steps: int) -> np.ndarray:
    total = miss + heal
    return np.full(steps, miss / total if total else 0.0)


MISTAKES = (
    Mistake(
        "The misses of all steps are added up. A window can go wrong only while it is still right, "
        "so the share of the right ones has to stand beside `miss`.",
        lambda miss, heal, steps: np.minimum(1, miss * np.arange(1, steps + 1)),
    ),
    Mistake(
        "`miss` is added for all windows, also for those that are wrong already. Only the share "
        "that is still right can go wrong.",
        stepwise(lambda w, miss, heal: w * (1 - heal) + miss),
    ),
    Mistake(
        "Healing is ignored: of the wrong windows, the share `heal` is right again one step later.",
        stepwise(lambda w, miss, heal: w + (1 - w) * miss),
    ),
    Mistake(
        "That is the share that goes wrong at exactly this step for the first time. Asked is the "
        "share that is wrong after it.",
        lambda miss, heal, steps: miss * (1.0 - miss) ** np.arange(steps),
    ),
    Mistake(
        "These are the shares that are right; asked are those that are wrong.",
        lambda miss, heal, steps: 1 - right(miss, heal, steps),
    ),
    Mistake(
        "The answer begins at the present, before any step. Its first entry is the share after one "
        "step, which is `miss`.",
        lambda miss, heal, steps: np.append(0.0, right(miss, heal, steps))[:-1],
    ),
    Mistake(
        "A window that went wrong may heal in the same step. It can heal one step later at the "
        "earliest: use the share as it was before the step for both parts.",
        stepwise(lambda w, miss, heal: (w + (1 - w) * miss) * (1 - heal)),
    ),
    Mistake(
        "That is where the share ends up after very many steps. Asked is the way there.", limit
    ),
    Mistake(
        "`miss` and `heal` are swapped.",
        lambda miss, heal, steps: right(heal, miss, steps),
    ),
    Mistake(
        "What healed is subtracted from all windows. Only a wrong window can heal: the share of "
        "the wrong ones has to stand beside `heal`.",
        stepwise(lambda w, miss, heal: w + (1 - w) * miss - heal),
    ),
)


def read(value: Any, miss: float, heal: float, steps: int) -> np.ndarray:
    """What was returned as a float array, (steps,)."""
    array = as_array(value, "The shares")
    if array.shape == (steps + 1,):
        raise Failed(
            f"There are {steps + 1} entries for {steps} steps. The share before the first step is "
            "0 and is not asked for."
        )
    if array.shape != (steps,):
        raise Failed(f"There should be one share a step, shape ({steps},), not {array.shape}.")
    if not np.isfinite(array).all():
        raise Failed(
            "The answer holds NaN or infinity. Do you divide by miss + heal? Both can be 0, and "
            "then nothing ever goes wrong."
        )
    return array.astype(float)


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(miss, heal, steps): without healing, with it, and the ends of the scale."""
    yield 0.25, 0.0, 1
    yield 0.5, 0.0, 3
    yield 0.5, 0.25, 3
    yield 0.0, 0.0, 3
    yield 1.0, 1.0, 4
    yield 0.0, 0.5, 2
    for seed in seeds:
        draw = generator("test", "check 4.3", seed)
        for steps in (5, 40):
            miss, heal = draw.uniform(0.01, 0.4, size=2)
            yield float(miss), float(heal), steps


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right share after every step."""
    compare(student, cases(seeds), right, MISTAKES, read, close)


EXERCISE = Exercise(
    id="4.3",
    title="Predict how errors grow",
    name="wrong_after",
    parameters=("miss", "heal", "steps"),
    objectives=("O4.2",),
    difficulty=2,
    minutes=20,
    judge=judge,
    shown="Right. The share follows m / (m + h) · (1 - (1 - m - h)^t): it rises fastest at first "
    "and levels off. A measured curve of another form says that its misses are not alike from step "
    "to step.",
)
