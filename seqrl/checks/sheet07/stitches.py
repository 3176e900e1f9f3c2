"""Exercise 7.5: the best walk that is in the data, and the best that can be stitched from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator

Walks = list[list[int]]
NEVER = 10**6


def kept(walks: Walks, start: int, goal: int) -> float:
    """The best return of the walks from the start that reach the goal."""
    steps = [w.index(goal) for w in walks if w[0] == start and goal in w]
    return -float(min(steps)) if steps else -np.inf


def best(edges: set[tuple[int, int]], start: int, goal: int, sweeps: int = 100) -> float:
    """The best return along these steps, by dynamic programming from the goal."""
    cost = {node: NEVER for edge in edges for node in edge} | {start: NEVER, goal: 0}
    for _ in range(sweeps):
        new = {a: min([cost[a], *(1 + cost[y] for x, y in edges if x == a)]) for a in cost}
        if new == cost:
            break
        cost = new
    return -float(cost[start]) if cost[start] < NEVER else -np.inf


def steps_of(walks: Walks) -> set[tuple[int, int]]:
    return {(a, b) for walk in walks for a, b in pairwise(walk)}


def stitched(walks: Walks, start: int, goal: int) -> float:
    return best(steps_of(walks), start, goal)


def right(walks: Walks, start: int, goal: int) -> np.ndarray:
    return np.array([kept(walks, start, goal), stitched(walks, start, goal)])


def both_ways(walks: Walks, start: int, goal: int) -> float:
    edges = steps_of(walks)
    return best(edges | {(b, a) for a, b in edges}, start, goal)


def once(walks: Walks, start: int, goal: int) -> float:
    """With at most one change of walks, from a beginning at the start to an end at the goal."""
    found = [kept(walks, start, goal)]
    for one in walks:
        for two in walks:
            for i, node in enumerate(one if one[0] == start else []):
                ends = [j for j, other in enumerate(two) if other == node]
                found += [-float(i + two[j:].index(goal)) for j in ends if goal in two[j:]]
    return max(found)


def passing(walks: Walks, start: int, goal: int) -> float:
    """The best of all walks that come by the start, counted from there."""
    ways = [w[i:] for w in walks for i, node in enumerate(w) if node == start]
    return kept(ways, start, goal)


def anywhere(walks: Walks, start: int, goal: int) -> float:
    steps = [w.index(goal) for w in walks if goal in w]
    return -float(min(steps)) if steps else -np.inf


def arrive_last(walks: Walks, start: int, goal: int) -> float:
    """The whole walk is paid, also what comes after the goal."""
    steps = [len(w) - 1 for w in walks if w[0] == start and goal in w]
    return -float(min(steps)) if steps else -np.inf


def mean_kept(walks: Walks, start: int, goal: int) -> float:
    steps = [w.index(goal) for w in walks if w[0] == start and goal in w]
    return -float(np.mean(steps)) if steps else -np.inf


MISTAKES = (
    Mistake(
        "The second number is that of a single walk: nothing is stitched. A step of one walk may "
        "be followed by a step of another that begins where it ended.",
        lambda w, s, g: np.array([kept(w, s, g)] * 2),
    ),
    Mistake(
        "At most two walks are joined. A way may change from walk to walk as often as it likes.",
        lambda w, s, g: np.array([kept(w, s, g), once(w, s, g)]),
    ),
    Mistake(
        "Steps are used backward. Nobody knows whether that is possible: only what was done is in "
        "the data.",
        lambda w, s, g: np.array([kept(w, s, g), both_ways(w, s, g)]),
    ),
    Mistake(
        "The first number counts walks that only come by the start. Filtering keeps whole walks, "
        "and only those that begin there.",
        lambda w, s, g: np.array([passing(w, s, g), stitched(w, s, g)]),
    ),
    Mistake(
        "The first number counts walks from anywhere. Only those that begin at the start tell how "
        "to get from there to the goal.",
        lambda w, s, g: np.array([anywhere(w, s, g), stitched(w, s, g)]),
    ),
    Mistake(
        "Steps after the goal are paid. The walk is over when it first arrives.",
        lambda w, s, g: np.array([arrive_last(w, s, g), stitched(w, s, g)]),
    ),
    Mistake(
        "The first number is a mean over walks. A filter keeps the best.",
        lambda w, s, g: np.array([mean_kept(w, s, g), stitched(w, s, g)]),
    ),
    Mistake(
        "Nodes are counted instead of steps: from a node to its neighbor it is one step.",
        lambda w, s, g: right(w, s, g) - 1,
    ),
    Mistake(
        "The sign is missing: every step costs a point, so returns are negative.",
        lambda w, s, g: -right(w, s, g),
    ),
    Mistake(
        "The two are in the other order: first the walk that is kept, then the stitched way.",
        lambda w, s, g: right(w, s, g)[::-1],
    ),
)


def read(value: Any, *_: Any) -> np.ndarray:
    """What was returned as two returns, (2,)."""
    array = as_array(value, "The returns")
    if array.shape != (2,):
        raise Failed(
            "Two returns are asked for, of the walk that is kept and of the stitched way; yours "
            f"have shape {array.shape}."
        )
    if np.isnan(array).any():
        raise Failed("A return is NaN. What never arrives has the return minus infinity.")
    return array.astype(float)


def random_walks(draw: np.random.Generator, nodes: int, count: int) -> Walks:
    """Walks of a few steps each, on one random graph whose edges have a direction."""
    after = [draw.permutation(nodes)[:2].tolist() for _ in range(nodes)]
    walks = []
    for _ in range(count):
        walk = [int(draw.integers(0, nodes))]
        for _ in range(int(draw.integers(2, 5))):
            walk.append(after[walk[-1]][int(draw.integers(0, 2))])
        walks.append(walk)
    return walks


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(walks, start, goal): one walk, a crossing, three walks, what is no way, random walks."""
    yield [[0, 1, 2]], 0, 2
    yield [[0, 1, 2, 3, 9], [0, 4, 5, 6, 7, 9, 8]], 0, 9
    yield [[0, 1, 4, 5], [2, 3, 4, 7, 8]], 0, 8
    yield [[0, 1, 2], [5, 2, 3, 6], [7, 3, 4]], 0, 4
    yield [[1, 0], [1, 2]], 0, 2
    yield [[3, 0, 1, 2], [0, 4, 5, 1]], 0, 2
    yield [[5, 4]], 0, 4
    for seed in seeds:
        draw = generator("test", "check 7.5", seed)
        for nodes, count in ((6, 5), (9, 12)):
            yield random_walks(draw, nodes, count), 0, nodes - 1


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """Both returns, of walks and of ways made from them."""
    compare(student, cases(seeds), right, MISTAKES, read, close)


EXERCISE = Exercise(
    id="7.5",
    title="Kept, or stitched",
    name="two_returns",
    parameters=("walks", "start", "goal"),
    objectives=("O7.3", "O7.5"),
    difficulty=3,
    minutes=30,
    judge=judge,
    shown="Right. A filter can keep nothing better than the best whole walk from the start; "
    "dynamic programming joins steps of any walks, forward only. The distance between the two "
    "numbers is what stitching is worth on this data.",
)
