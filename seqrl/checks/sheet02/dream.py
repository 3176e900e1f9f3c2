"""Exercise 2.4: the loss that a wrong mask can reach on dice that nobody can predict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator


def reach(mask: np.ndarray, layers: int, keeps: bool = True) -> np.ndarray:
    """(T, T) bool, True where what token i says after some layers can hang on token j."""
    one = mask | np.eye(len(mask), dtype=bool) if keeps else mask
    known = one
    for _ in range(layers - 1):
        known = (one.astype(int) @ known.astype(int)) > 0
    return known


def guesses(
    known: Callable[[np.ndarray, int], np.ndarray] = reach, ahead: int = 1, last: float = 1.0
) -> Callable[[np.ndarray, int], np.ndarray]:
    """Which places must guess: `last` is what the place counts whose answer is not there."""

    def of(mask: np.ndarray, layers: int) -> np.ndarray:
        known_there = np.diagonal(known(mask, layers), offset=ahead)
        return np.append(~known_there, [last] * abs(ahead)).astype(float)

    return of


def loss(
    places: Callable[[np.ndarray, int], np.ndarray] = guesses(),  # noqa: B008  (a function)
    price: Callable[[float], float] = np.log,
    join: Callable[[np.ndarray], float] = np.mean,
) -> Callable[..., np.ndarray]:
    """A rule: which places must guess, what a guess costs, how places are joined."""

    def answer(mask: np.ndarray, layers: int, sides: int) -> np.ndarray:
        return np.asarray(join(places(mask, layers)) * price(sides), float)

    return answer


right = loss()
MISTAKES = (
    Mistake(
        "The number of layers is ignored. Token i may read its neighbor, which has read its own "
        "neighbor in the layer before: what two layers know lies two steps of the mask away.",
        loss(guesses(lambda mask, layers: reach(mask, 1))),
    ),
    Mistake(
        "You count one layer too many: one layer reaches as far as the mask itself.",
        loss(guesses(lambda mask, layers: reach(mask, layers + 1))),
    ),
    Mistake(
        "You count one layer too few: one layer reaches as far as the mask itself, and not only to "
        "the token's own place.",
        loss(guesses(lambda m, layers: reach(m, layers - 1) if layers > 1 else np.eye(len(m)) > 0)),
    ),
    Mistake(
        "A token forgets what it knew before the layer. A block adds what it read to the token, so "
        "each token also passes itself on, even where the mask hides it from itself.",
        loss(guesses(lambda mask, layers: reach(mask, layers, keeps=False))),
    ),
    Mistake(
        "You ask whether a place knows the throw before its own, or you read the mask by columns. "
        "Row i says what token i may look at, and its answer is throw i + 1.",
        loss(guesses(lambda mask, layers: reach(mask.T, layers))),
    ),
    Mistake(
        "The last place is counted as known. Its answer is not among the inputs, so it must be "
        "guessed whatever the mask shows.",
        loss(guesses(last=0.0)),
    ),
    Mistake(
        "The last place is left out of the mean. It is asked too, and must be guessed.",
        loss(join=lambda places: places[:-1].mean() if len(places) > 1 else 0.0),
    ),
    Mistake("This is the sum over the places; the loss is their mean.", loss(join=np.sum)),
    Mistake(
        "These are bits. The loss of this book is in nats: take the natural log.",
        loss(price=np.log2),
    ),
    Mistake(
        "You count the places that know the answer. Those cost nothing; the others pay.",
        loss(join=lambda places: 1 - places.mean()),
    ),
    Mistake(
        "This is the share of places that must guess. What does one guess cost, in nats?",
        loss(price=lambda sides: 1.0),
    ),
    Mistake(
        "This is the loss of an honest model, whatever the mask. Where token i can reach throw "
        "i + 1, it need not guess.",
        loss(lambda mask, layers: np.ones(len(mask))),
    ),
    Mistake(
        "You ask whether token i knows its own throw, which it always does. Its answer is the next "
        "one.",
        loss(guesses(ahead=0)),
    ),
)


def read(value: Any, mask: np.ndarray, layers: int, sides: int) -> np.ndarray:
    """What was returned as one finite number."""
    array = as_array(value, "The loss")
    if array.size != 1:
        raise Failed(f"The loss is one number, the mean over all places, not {array.shape}.")
    if not np.isfinite(array).all():
        raise Failed("The loss is NaN or infinite. Do you take the log of 0?")
    return array.astype(float).reshape(())


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(mask, layers, sides): causal, peeking, blocks, one place ahead, anything."""
    all_of_it = np.ones((4, 4), bool)
    yield np.tril(all_of_it), 1, 6
    yield np.tril(all_of_it, 1), 1, 6
    yield np.kron(np.eye(2), np.ones((2, 2))) > 0, 1, 6
    yield np.eye(4, k=1) > 0, 2, 6
    yield np.roll(np.eye(4), -1, 0) > 0, 3, 2
    yield np.roll(np.eye(4), 1, 0) > 0, 3, 2
    yield all_of_it, 1, 6
    for seed in seeds:
        draw = generator("test", "check 2.4", seed)
        T = int(draw.integers(6, 13))
        for layers in (1, 2, 3):
            yield draw.random((T, T)) < 1.2 / T, layers, int(draw.integers(2, 20))


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right number of nats for every mask and depth."""
    compare(student, cases(seeds), right, MISTAKES, read, close)


EXERCISE = Exercise(
    id="2.4",
    title="Predict the loss of a dream",
    name="lowest_loss",
    parameters=("mask", "layers", "sides"),
    objectives=("O2.2", "O2.6"),
    difficulty=3,
    minutes=25,
    judge=judge,
    shown="Right. What several layers know is what several steps of the mask can reach, the token "
    "itself included, and every place that cannot reach its answer pays ln(sides). A loss below "
    "this number is impossible, and a loss below that of the right mask is a leak.",
)
