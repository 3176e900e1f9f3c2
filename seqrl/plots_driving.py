"""Figures of agents that were asked for a return: what they reached, and how training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqrl.intervals import bootstrap
from seqrl.style import COLORS, INK, MUTED, WIDTH, color, minus

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from seqrl.animations import Player
    from seqrl.trajectories import Trajectories

MARKERS = ("o", "s", "^", "d", "X", "v")


def reached(
    asked: Sequence[float],
    returns: Mapping[str, Sequence[ArrayLike]],
    data: ArrayLike | None = None,
    ax: Axes | None = None,
    paints: Mapping[str, str] | None = None,
) -> Axes:
    """Achieved over requested return: means with 95 % intervals, on the diagonal of obedience.

    returns: for each line, the episodes' returns at each target. data: the returns in the data,
    along the bottom with square roots of their shares as heights; the dotted line is the best.
    Raises ValueError for a line that has not as many runs as there are targets.
    """
    import matplotlib.pyplot as plt

    if ax is None:
        ax = plt.subplots(figsize=(WIDTH, 3.6), layout="constrained")[1]
    x = np.asarray(asked, float)
    low, high = x.min(), x.max()
    ax.plot([low, high], [low, high], color=COLORS["optimum"], ls="--", lw=1.2, zorder=1)
    ax.annotate("as asked", (low, low), (6, 2), textcoords="offset points", color=INK, fontsize=9)
    for i, (name, runs) in enumerate(returns.items()):
        if len(runs) != len(x):
            raise ValueError(f"{name} has {len(runs)} targets, not {len(x)}.")
        points = np.array([bootstrap([np.asarray(run, float)]) for run in runs])  # (targets, 3)
        paint = (paints or {}).get(name) or color(name, i)
        marker = MARKERS[i % len(MARKERS)]
        ax.plot(x, points[:, 0], marker + "-", ms=6, color=paint, label=name, zorder=3)
        ax.fill_between(x, points[:, 1], points[:, 2], color=paint, alpha=0.2, lw=0)
    if data is not None:
        _under(ax, np.asarray(data, float))
    ax.set(xlabel="return asked for", ylabel="return achieved")
    ax.legend(loc="center left", bbox_to_anchor=(0.02, 0.62))
    return ax


def _under(ax: Axes, values: np.ndarray) -> None:
    """Along the bottom, how often each return was in the data; a dotted line at the best.

    Heights are square roots, or rare returns would be too low to be seen.
    """
    bottom, top = ax.get_ylim()
    left, right = ax.get_xlim()
    inside = values[(values >= left) & (values <= right)]
    counts, edges = np.histogram(inside, np.linspace(left, right, 41))
    base = bottom - 0.22 * (top - bottom)
    heights = base + 0.2 * (top - bottom) * np.sqrt(counts / max(1, counts.max()))
    ax.stairs(heights, edges, baseline=base, fill=True, color=COLORS["mixed"], alpha=0.45)
    ax.axvline(values.max(), color=MUTED, ls=":", lw=1.2, zorder=1)
    ax.set(ylim=(base, top), xlim=(left, right))
    where: dict[str, Any] = {"color": MUTED, "fontsize": 9, "textcoords": "offset points"}
    ax.annotate("best in the data", (values.max(), base), (-4, 3), ha="right", **where)


def curves(
    runs: Mapping[str, ArrayLike],
    smooth: int = 1,
    ylabel: str = "loss (nats)",
    ax: Axes | None = None,
    paints: Mapping[str, str] | None = None,
) -> Axes:
    """Training curves over updates, each a running mean of `smooth` values."""
    import matplotlib.pyplot as plt

    if ax is None:
        ax = plt.subplots(figsize=(WIDTH, 2.8), layout="constrained")[1]
    lowest = 0.0
    for i, (name, values) in enumerate(runs.items()):
        y = np.asarray(values, float)
        width = max(1, min(smooth, len(y)))
        mean = np.convolve(y, np.ones(width) / width, "valid")
        lowest = min(lowest, mean.min())
        paint = (paints or {}).get(name) or color(name, i)
        ax.plot(np.arange(width, len(y) + 1), mean, color=paint, label=name)
    ax.set(xlabel="update", ylabel=ylabel)
    if lowest >= 0:  # a likelihood of real numbers may have a loss below 0
        ax.set_ylim(bottom=0)
    if len(runs) > 1:
        ax.legend()
    return ax


def shares(
    rows: Mapping[str, Mapping[str, tuple[int, int]]], ax: Axes | None = None, xlabel: str = ""
) -> Axes:
    """Bars of counted shares, (successes, trials), grouped by row, with Wilson's intervals."""
    import matplotlib.pyplot as plt

    from seqrl.intervals import wilson

    groups = list(dict.fromkeys(group for row in rows.values() for group in row))
    if ax is None:
        height = 0.9 + 0.24 * len(rows) * len(groups)
        ax = plt.subplots(figsize=(WIDTH, height), layout="constrained")[1]
    paints = [COLORS[name] for name in ("DT", "mixed", "random", "LEAP", "TT", "expert")]
    depth, named = 0.8 / len(groups), set[str]()
    for i, row in enumerate(rows.values()):
        for j, group in enumerate(groups):
            if group not in row:
                continue
            mean, low, high = wilson(*row[group])
            y = -i - (j - (len(groups) - 1) / 2) * depth
            label = group * (group not in named)  # once, wherever it comes first
            named.add(group)
            ax.barh(y, 100 * mean, 0.85 * depth, color=paints[j % len(paints)], label=label)
            ax.plot([100 * low, 100 * high], [y, y], color=INK, lw=1.2)
    ax.set_yticks(-np.arange(len(rows)), list(rows))
    ax.set(xlim=(0, 102), xlabel=xlabel)
    ax.grid(axis="x")
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)
    if len(groups) > 1:
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(groups), handlelength=1)
    return ax


def over_steps(
    lines: Mapping[str, ArrayLike],
    rooms: Mapping[str, int],
    ylabel: str = "",
    ax: Axes | None = None,
    paints: Mapping[str, str] | None = None,
    dashed: Sequence[str] = (),
    marks: Mapping[str, int] | None = None,
) -> Axes:
    """Percent at each step of episodes that are spent in rooms, one after the other.

    rooms: how many steps each takes. marks: of a line, a step that is marked on it.
    """
    import matplotlib.pyplot as plt

    if ax is None:
        ax = plt.subplots(figsize=(WIDTH, 2.6), layout="constrained")[1]
    for i, (name, values) in enumerate(lines.items()):
        y = 100 * np.asarray(values, float)
        paint = (paints or {}).get(name) or color(name, i)
        style = "--" if name in dashed else "-"
        ax.plot(np.arange(len(y)), y, style, color=paint, label=name, lw=1.6, zorder=3)
        if name in (marks or {}):
            x = marks[name]  # type: ignore[index]
            ax.plot(x, y[x], "o", ms=8, mfc="none", mec=paint, mew=1.6, zorder=4)
    ax.set_ylim(bottom=0)
    first = 0
    for i, (room, steps) in enumerate(rooms.items()):
        if i % 2:
            ax.axvspan(first - 0.5, first + steps - 0.5, color="#f0f2f3", lw=0, zorder=0)
        middle = first + (steps - 1) / 2
        ax.annotate(
            room, (middle, 1), (0, -12), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", color=MUTED, fontsize=9,
        )  # fmt: skip
        first += steps
    ax.set(xlabel="step", ylabel=ylabel, xlim=(-0.5, first - 0.5))
    ax.legend(loc="upper left", bbox_to_anchor=(0, 0.9))
    return ax


def countdown(driven: Mapping[float, Trajectories], e: int) -> Player:
    """The same episode under several targets, playing; above each world what it was asked for."""
    from seqrl.animations import play

    captions = [minus(f"asked for {target:g}") for target in driven]
    return play(list(driven.values()), e, captions=captions, targets=list(driven))
