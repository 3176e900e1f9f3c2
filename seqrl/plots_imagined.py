"""Figures of a model that imagines: a column and its bins, dreams over a grid, their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from seqrl.intervals import bootstrap, wilson
from seqrl.style import COLORS, INK, MUTED, PAPER, TOKEN_COLORS, WIDTH, color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from seqrl.tokens import Bins


def columns(values: ArrayLike, kinds: Mapping[str, Bins], xlabel: str = "") -> Figure:
    """A column's values above, and below them the bins of each kind, told at their centers.

    Beside each stands how far a value comes back from where it was, on average.
    """
    import matplotlib.pyplot as plt

    x = np.asarray(values, float)
    heights = [1.5, *[0.42] * len(kinds)]
    size = (WIDTH, 1.1 + sum(heights))
    axes: Any
    figure, axes = plt.subplots(
        len(heights), 1, figsize=size, height_ratios=heights, sharex=True, layout="constrained"
    )
    axes[0].hist(x, bins=80, color=COLORS["mixed"], alpha=0.7)
    axes[0].set(ylabel="steps", yticks=[])
    for ax, (name, bins) in zip(axes[1:], kinds.items()):
        _strip(ax, bins)
        error = np.abs(x - round_trip(x, bins)).mean()
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
        ax.set_title(f"comes back {error:.2f} off, on average", fontsize=9, color=MUTED, loc="left")
    axes[-1].set_xlabel(xlabel)
    return figure


def round_trip(values: np.ndarray, bins: Bins) -> np.ndarray:
    """The values, of any shape, as they come back from their tokens."""
    token = np.searchsorted(np.array(bins.edges[1:-1]), values, side="right")
    return np.array(bins.centers)[token]


def _strip(ax: Axes, bins: Bins) -> None:
    from matplotlib.patches import Rectangle

    paper, ink = TOKEN_COLORS["value"]
    edges = np.array(bins.edges)
    for i, (low, high) in enumerate(pairwise(edges)):
        look: dict[str, Any] = {"fc": paper if i % 2 else PAPER, "ec": ink, "lw": 0.6}
        ax.add_patch(Rectangle((low, 0), high - low, 1, **look))
    ax.plot(bins.centers, [0.5] * len(bins), ".", ms=3, color=ink)
    ax.set(ylim=(0, 1), yticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(False)


def horizons(
    lines: Mapping[str, ArrayLike],
    ylabel: str,
    ax: Axes | None = None,
    first: int = 1,
    paints: Mapping[str, str] | None = None,
) -> Axes:
    """Errors (windows, K) over imagined steps, each with its 95 % interval; yes or no in percent.

    first: the first column that is shown; those before it were not imagined.
    """
    import matplotlib.pyplot as plt

    if ax is None:
        ax = plt.subplots(figsize=(WIDTH, 2.9), layout="constrained")[1]
    for i, (name, values) in enumerate(lines.items()):
        rows = np.asarray(values)
        if rows.dtype == bool:
            points = np.array([wilson(int(x.sum()), len(x)) for x in rows.T[first:]]) * 100
        else:
            points = np.array([bootstrap([x.astype(float)]) for x in rows.T[first:]])
        x = np.arange(1, len(points) + 1)
        paint, marker = (paints or {}).get(name) or color(name, i), "os^dX"[i % 5]
        ax.plot(x, points[:, 0], marker + "-", ms=5, color=paint, label=name)
        ax.fill_between(x, points[:, 1], points[:, 2], color=paint, alpha=0.2, lw=0)
    ax.set(xlabel="imagined steps", ylabel=ylabel, ylim=(0, None))
    ax.set_xticks(x)
    ax.legend()
    return ax


def dreams(
    grids: Sequence[np.ndarray], paths: Mapping[str, Sequence[np.ndarray]], per_row: int = 3
) -> Figure:
    """Maps (W, H, 3) with paths of poses (K, 3) over them: the first kind is what happened.

    The agent stands where all begin. A path ends in a mark that points where the agent looks.
    """
    import matplotlib.pyplot as plt

    from seqrl.gridworld import draw

    rows = -(-len(grids) // per_row)
    side = WIDTH / per_row
    axes: Any
    size = (WIDTH, rows * side + 0.4)
    figure, axes = plt.subplots(rows, per_row, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat[len(grids) :]:
        ax.axis("off")
    shifts = np.linspace(-0.16, 0.16, len(paths))
    for i, (ax, grid) in enumerate(zip(axes.flat, grids)):
        draw(ax, grid, next(iter(paths.values()))[i][0])
        for (name, each), shift in zip(paths.items(), shifts):
            _path(ax, each[i], name, shift, i == 0)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(paths))
    return figure


def _path(ax: Axes, poses: np.ndarray, name: str, shift: float, labeled: bool) -> None:
    paint = INK if name == "real" else color(name)
    points = np.asarray(poses)[:, :2] + 0.5 + shift
    ax.plot(*points.T, color=paint, lw=2, zorder=7, label=name if labeled else None)
    marker = (3, 0, {0: -90, 1: 180, 2: 90, 3: 0}[int(poses[-1][2])])
    ax.plot(*points[-1], marker=marker, ms=8, color=paint, zorder=8, ls="")
