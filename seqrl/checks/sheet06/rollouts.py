"""Exercise 6.2: attention rollout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator


def chained(
    block: Callable[[np.ndarray, np.ndarray], np.ndarray], upward: bool = True
) -> Callable[[np.ndarray], np.ndarray]:
    """The product of what each block passes on; `block` gets the mean map and the identity."""

    def rollout(maps: np.ndarray) -> np.ndarray:
        eye = np.eye(maps.shape[-1])
        steps = [block(heads.mean(0), eye) for heads in maps]
        return reduce(lambda below, step: step @ below if upward else below @ step, steps)

    return rollout


def half(A: np.ndarray, eye: np.ndarray) -> np.ndarray:
    return (A + eye) / 2


right = chained(half)


def by_head(maps: np.ndarray) -> np.ndarray:
    """A rollout for each head of its own, then their mean."""
    heads = range(maps.shape[1])
    return np.array(sum(right(maps[:, [h]]) for h in heads) / len(heads))


def late_start(maps: np.ndarray) -> np.ndarray:
    """The first block without what was there."""
    return np.array(right(maps[1:]) @ maps[0].mean(0) if len(maps) > 1 else maps[0].mean(0))


def summed_heads(maps: np.ndarray) -> np.ndarray:
    return right(maps * maps.shape[1])


MISTAKES = (
    Mistake(
        "The product is in the wrong order. The map of the first block acts first, so it stands "
        "on the right, and every later block is multiplied from the left.",
        chained(half, upward=False),
    ),
    Mistake(
        "Nothing stays where it was. A block adds what it read to the token, so half of each "
        "token comes from the token itself: add the identity.",
        chained(lambda A, eye: A),
    ),
    Mistake(
        "The rows do not sum to 1: what was read and what was there are added whole. Each counts "
        "for one half.",
        chained(lambda A, eye: A + eye),
    ),
    Mistake(
        "The heads are rolled out one by one and averaged at the end. But a head reads what all "
        "heads of the block below wrote: average them first.",
        by_head,
    ),
    Mistake(
        "The first block is taken without the identity. It adds what it read to the token just as "
        "the others do.",
        late_start,
    ),
    Mistake(
        "This is what the last block passes on. By then the tokens have mixed in all the blocks "
        "below.",
        lambda maps: half(maps[-1].mean(0), np.eye(maps.shape[-1])),
    ),
    Mistake(
        "This is the mean over blocks. What arrives passes through one after the other, so the "
        "maps are multiplied.",
        lambda maps: half(maps.mean((0, 1)), np.eye(maps.shape[-1])),
    ),
    Mistake("The heads are summed; take their mean.", summed_heads),
    Mistake(
        "Rows and columns are swapped: row i says what arrives at query i.",
        lambda maps: right(maps).T,
    ),
)


def read(value: Any, maps: np.ndarray) -> np.ndarray:
    """What was returned as a map, (T, T)."""
    array = as_array(value, "The rollout")
    if array.shape != maps.shape[2:]:
        raise Failed(
            f"The rollout is one map, shape {maps.shape[2:]}, whatever the number of blocks and "
            f"heads; yours has shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise Failed("The rollout holds a NaN or an infinity.")
    return array.astype(float)


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(maps,): one block, two that do not commute, heads, random causal maps, bidirectional."""
    back = np.array([[1.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    far = np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 0]])
    yield (back[None, None],)
    yield (np.array([[back], [far]]),)
    yield (np.array([[back, far], [far, far]]),)
    for seed in seeds:
        draw = generator("test", "check 6.2", seed)
        for layers, heads, T, mask in ((2, 2, 4, True), (3, 3, 5, True), (3, 2, 4, False)):
            weights = np.exp(1.5 * draw.normal(size=(layers, heads, T, T)))
            weights = np.tril(weights) if mask else weights
            yield (weights / weights.sum(-1, keepdims=True),)


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right product, of averaged heads and halves that stay."""
    compare(student, cases(seeds), right, MISTAKES, read, close)


EXERCISE = Exercise(
    id="6.2",
    title="Through all the blocks",
    name="rollout",
    parameters=("maps",),
    objectives=("O6.5",),
    difficulty=2,
    minutes=20,
    judge=judge,
    shown="Right. Half of every token stays, half is what it read, and the blocks act one after "
    "the other, the first on the right of the product. Notice what never came in: what the tokens "
    "say.",
)
