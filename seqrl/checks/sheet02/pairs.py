"""Exercise 2.5: a silent bug in how inputs and answers are cut from sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from seqrl.checks.core import Exercise, Mistake, as_array, compare, in_numpy
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator

NONE = -1  # an answer that is not asked for


def unasked(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Without the last column, where no answer of it is asked for."""
    if x.shape == y.shape and x.shape[1] and (y[:, -1] == NONE).all():
        return x[:, :-1], y[:, :-1]
    return x, y


def whole(answers: Callable[[np.ndarray], np.ndarray]) -> Callable[..., Any]:
    """All throws as inputs, and some answers to them."""
    return in_numpy(lambda throws: unasked(throws, answers(throws)))


right = in_numpy(lambda throws: (throws[:, :-1], throws[:, 1:]))
LEAK = (
    "The last answer is the last throw itself, so the last place has only to look at its own "
    "input. There is no next throw to ask for: leave the last place out."
)

MISTAKES = (
    Mistake(
        "This is the function as it was given. Its bug shows in one row of the map: what does that "
        "row read, and which answer was it asked for?",
        whole(lambda throws: np.roll(throws, -1, axis=1)),
    ),
    Mistake(
        "The last answer is now the first throw of the next row: without a dimension, `roll` runs "
        "through the whole batch. Nobody can peek, but the last place learns noise. Leave it out.",
        whole(lambda throws: np.roll(throws, -1)),
    ),
    Mistake(
        "`roll` along dimension 0 moves the rows: the answers are throws of another row.",
        whole(lambda throws: np.roll(throws, -1, axis=0)),
    ),
    Mistake(LEAK, whole(lambda throws: np.hstack([throws[:, 1:], throws[:, -1:]]))),
    Mistake(
        "The last answer is 0, which is a throw like any other: the last place learns that a 0 "
        "always follows. Leave the last place out, or mark its answer with -1.",
        whole(lambda throws: np.hstack([throws[:, 1:], 0 * throws[:, -1:]])),
    ),
    Mistake("The answers are the inputs themselves: nothing is shifted.", whole(np.copy)),
    Mistake(
        "The answers are the inputs themselves: nothing is shifted.",
        in_numpy(lambda throws: (throws[:, :-1], throws[:, :-1])),
    ),
    Mistake(
        "You shifted the wrong way: each place is asked for the throw before it, which it can see.",
        in_numpy(lambda throws: (throws[:, 1:], throws[:, :-1])),
    ),
    Mistake(
        "You shifted the wrong way: each place is asked for the throw before it, which it can see.",
        whole(lambda throws: np.roll(throws, 1, axis=1)),
    ),
    Mistake(
        "The answers are two throws ahead. Each place is asked for the next one.",
        in_numpy(lambda throws: (throws[:, :-2], throws[:, 2:])),
    ),
    Mistake(
        "One place too many was left out: throw 0 is the first input, and throw 1 the answer to "
        "it.",
        in_numpy(lambda throws: (throws[:, 1:-1], throws[:, 2:])),
    ),
    Mistake(
        "One place too many was left out: the last throw is the answer of the place before it.",
        in_numpy(lambda throws: (throws[:, :-2], throws[:, 1:-1])),
    ),
)


def read(value: Any, throws: Any) -> Any:
    """What was returned as (inputs, answers), both (B, places) int."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise Failed(f"Return two things, `inputs, answers`; this is {type(value).__name__}.")
    x, y = as_array(value[0], "The inputs"), as_array(value[1], "The answers")
    for name, array in (("inputs", x), ("answers", y)):
        if array.ndim != 2 or len(array) != len(throws):
            raise Failed(f"The {name} should have {len(throws)} rows, not shape {array.shape}.")
        if array.dtype.kind not in "iu":
            raise Failed(f"The {name} should stay whole numbers, not {array.dtype}.")
    if x.shape != y.shape:
        raise Failed(
            f"There are {x.shape[1]} inputs and {y.shape[1]} answers a row. Every place that is "
            "read needs an answer, or -1 where none is asked for."
        )
    return unasked(x, y)


def same(one: Any, other: Any) -> bool:
    """Equal inputs and equal answers."""
    return all(map(np.array_equal, one, other))


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(throws,): three of them, then rows of any length."""
    yield (torch.tensor([[1, 2, 3]]),)
    yield (torch.tensor([[1, 2, 3, 4], [5, 3, 1, 2]]),)
    for seed in seeds:
        draw = generator("test", "check 2.5", seed)
        size = [int(n) for n in draw.integers((2, 5), (6, 12))]
        yield (torch.from_numpy(draw.integers(0, 6, size=size)),)


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """Each answer is the throw after its input, and no place is asked that has none."""
    compare(student, cases(seeds), right, MISTAKES, read, same)


EXERCISE = Exercise(
    id="2.5",
    title="The loss is a little too good",
    name="pairs",
    parameters=("throws",),
    objectives=("O2.5", "O2.6"),
    difficulty=2,
    minutes=20,
    judge=judge,
    shown="Right. Every place is asked for the throw after it, and the last throw is only an "
    "answer. The mask was innocent: a causal mask hides what comes later, not an answer that was "
    "moved to the front.",
)
