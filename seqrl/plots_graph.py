"""Figures of the graph toy: its nodes and edges, walks on it, and what the walks return."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from seqrl.style import COLORS, GREEN, INK, MUTED, ORANGE, PURPLE, SKY, WIDTH, colors, minus

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seqrl.trajectories import Trajectories

EDGE = "#b9bfc5"
NODE = 17  # diameter in points
GOAL = ("s", "#1f9d55", "#1f9d55", "white")  # marker, face, edge, text
WALKS = (SKY, ORANGE, PURPLE, GREEN)  # colors of walks drawn together
Walk = Sequence[int]


def graph(
    toy: Any,
    walks: Trajectories | Sequence[Walk] | None = None,
    optimal: Sequence[Walk] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The directed graph of `RandomWalkGraph`: nodes, edges as arrows, the goal as a green square.

    Each of `walks` (lists of nodes, or trajectories) has a color of its own; the walks in
    `optimal` are black. Of two walks along one edge, the later one bends further out.
    """
    import matplotlib.pyplot as plt

    if ax is None:
        ax = plt.subplots(figsize=(WIDTH, 4.1), layout="constrained")[1]
    spots = np.asarray(toy.positions, float)
    ax.set_aspect("equal")
    ax.axis("off")
    low, high = spots.min(0) - 0.07, spots.max(0) + 0.07
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    for node, targets in enumerate(toy.neighbors):
        for target in set(map(int, targets)):
            if node != toy.goal:  # an episode ends there: the goal's edges are never walked
                _arrow(ax, spots[node], spots[target], EDGE, 1.0, zorder=2)
    drawn = [(nodes, WALKS[i % len(WALKS)]) for i, nodes in enumerate(_nodes(walks))]
    drawn += [(nodes, COLORS["optimum"]) for nodes in _nodes(optimal)]
    on_edge: Counter[tuple[int, int]] = Counter()
    for i, (nodes, paint) in enumerate(drawn):
        for edge in dict.fromkeys(pairwise(nodes)):
            bend = 0.14 + 0.12 * on_edge[edge]
            start, end = spots[list(edge)]
            _arrow(ax, start, end, paint, 2.4, bend, zorder=3 + i / 100)
            on_edge[edge] += 1
    for node, (x, y) in enumerate(spots):
        goal = node == toy.goal
        marker, face, rim, text = GOAL if goal else ("o", "white", MUTED, INK)
        ax.plot(x, y, marker, ms=NODE, mfc=face, mec=rim, mew=1, zorder=5)
        look: dict[str, Any] = {"ha": "center", "va": "center_baseline", "zorder": 6}
        ax.text(x, y, str(node), fontsize=9, color=text, **look)
    return ax


def _nodes(walks: Any) -> list[list[int]]:
    """Walks as lists of nodes, whether given so or as trajectories of one-hot states."""
    if walks is None:
        return []
    if not hasattr(walks, "observations"):
        return [list(map(int, walk)) for walk in walks]
    return [walks.episode(e)["observations"]["state"].argmax(1).tolist() for e in range(len(walks))]


def _arrow(
    ax: Axes,
    start: np.ndarray,
    end: np.ndarray,
    paint: str,
    lw: float,
    bend: float = 0.14,
    zorder: float = 2,
) -> None:
    from matplotlib.patches import FancyArrowPatch

    arrow = FancyArrowPatch(
        tuple(start),
        tuple(end),
        connectionstyle=f"arc3,rad={bend:.2f}",
        arrowstyle="-|>",
        mutation_scale=6 + 3 * lw,
        color=paint,
        lw=lw,
        shrinkA=NODE / 2 + 1,
        shrinkB=NODE / 2 + 1.5,
        zorder=zorder,
        joinstyle="miter",
        capstyle="butt",
    )
    ax.add_patch(arrow)


def graph_return_histogram(
    walks: Mapping[str, Trajectories | np.ndarray | Sequence[float]], ax: Axes | None = None
) -> Axes:
    """Share of walks with each return, bars of several kinds of walks side by side.

    The values are trajectories, or the returns themselves (walks,).
    """
    import matplotlib.pyplot as plt

    if ax is None:
        ax = plt.subplots(figsize=(WIDTH, 2.7), layout="constrained")[1]
    values = {
        name: np.asarray(given.returns if hasattr(given, "returns") else given, float).round()
        for name, given in walks.items()
    }
    every = np.concatenate(list(values.values()))
    ticks = np.arange(every.min(), every.max() + 1)
    width = 0.8 / len(values)
    for i, (paint, (name, numbers)) in enumerate(zip(colors(values), values.items())):
        share = 100 * (numbers[:, None] == ticks).mean(0)
        x = ticks + (i - (len(values) - 1) / 2) * width
        ax.bar(x, share, 0.9 * width, color=paint, label=name)
    ax.set_xticks(ticks, [minus(f"{tick:.0f}") for tick in ticks])
    ax.tick_params(length=0)
    ax.spines["left"].set_visible(False)
    ax.set(xlabel="return of a walk", ylabel="share of walks (%)")
    if len(values) > 1:
        ax.legend(loc="upper center", handlelength=1, handleheight=1)
    return ax
