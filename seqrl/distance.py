"""Success by how far away the goal is, for chapter 7: from records, and the shortest ways there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from seqrl import comparison, evaluation
from seqrl.experiments import TEST_SEED
from seqrl.intervals import Interval, wilson
from seqrl.plots_verdict import AMOUNT, along
from seqrl.results import Row
from seqrl.style import WIDTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EDGES = (1, 8, 16, 32)  # steps of the shortest way: parts begin here, the last one has no end
SHOWN = ("GoToObjMazeS4", "GoToSeqS5R2")  # levels in the book's figure


def shortest(level: str, episodes: int = evaluation.EPISODES) -> np.ndarray:
    """Steps of a shortest way in the protocol's first test episodes of a level, (episodes,)."""
    steps = evaluation.shortest_lengths(level, episodes, TEST_SEED, "test", "test")
    if steps is None:
        raise ValueError(f"no shortest way is known on {level}.")
    return np.array(steps)


def by_distance(
    records: Iterable[Row], method: str, dataset: str, steps: np.ndarray
) -> list[Interval | None]:
    """Success in each part of `EDGES`, seeds pooled; None where there is no episode or no run.

    steps (E,): the shortest ways of the records' first E episodes.
    """
    runs = comparison.cells(records, method, dataset)
    solved = [np.array(run["episodes"]["success"][: len(steps)], bool) for run in runs]
    part = np.searchsorted(EDGES, steps, "right") - 1
    found: list[Interval | None] = []
    for i in range(len(EDGES)):
        here = [x for each in solved for x in each[part == i]]
        found.append(wilson(int(sum(here)), len(here)) if here else None)
    return found


def figure(
    records: Sequence[Row], ways: Mapping[str, np.ndarray] | None = None, kind: str = "mixed"
) -> Figure:
    """A panel a level, success over the shortest way.

    ways: level to `shortest`, (episodes,); of `SHOWN` where there are none.
    """
    import matplotlib.pyplot as plt

    ways = {level: shortest(level) for level in SHOWN} if ways is None else ways
    drawn, axes = plt.subplots(
        1, len(ways), figsize=(WIDTH, 3.3), layout="constrained", sharey=True, squeeze=False
    )
    ends = [*(f"{a}–{b - 1}" for a, b in pairwise(EDGES)), f"{EDGES[-1]}+"]
    for ax, (level, steps) in zip(axes[0], ways.items()):
        along(ax, {m: by_distance(records, m, f"{level}/{kind}", steps) for m in AMOUNT})
        ax.set(xlabel="steps of the shortest way", title=level, ylim=(-4, 104))
        ax.set_xticks(range(len(EDGES)), ends)
    axes[0, 0].set_ylabel("success (%)")
    drawn.legend(*axes[0, 0].get_legend_handles_labels(), ncols=6, loc="outside lower center")
    return drawn
