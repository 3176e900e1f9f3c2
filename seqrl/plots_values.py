"""Figures of value functions: what they claim beside what is true, and how their policies do.

What no policy can reach lies on gray: a claim there is false, whatever the policy is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from seqrl.style import COLORS, GRID, INK, MUTED, PAPER, WIDTH, color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike


class Claims(NamedTuple):
    """One run: what a value function promised during training, and what its policy then earned."""

    updates: ArrayLike  # (n,)
    claimed: ArrayLike  # (n,)
    earned: ArrayLike  # (n,)


def claims(
    runs: Mapping[str, Mapping[str, Sequence[Claims]]], optimum: float, lowest: float | None = None
) -> Figure:
    """A row for each method, a panel for each dataset, a line for each run (seed).

    Solid: claimed, dashed: earned, both over updates; black: `optimum`, above it nobody can be.
    `lowest`: where the axis of values begins, by default below all lines.
    """
    import matplotlib.pyplot as plt

    kinds = list(dict.fromkeys(kind for row in runs.values() for kind in row))
    size = (WIDTH, 0.9 + 1.75 * len(runs))
    figure, axes = plt.subplots(
        len(runs), len(kinds), figsize=size, squeeze=False, sharex=True, sharey=True,
        layout="constrained",
    )  # fmt: skip
    for (method, row), line in zip(runs.items(), axes):
        for kind, ax in zip(kinds, line):
            _panel(ax, row.get(kind, ()), optimum, color(method))
        line[0].set_ylabel(f"{method}\ndiscounted return" if len(runs) > 1 else "discounted return")
    bottom, top = axes[0, 0].get_ylim()
    bottom = bottom if lowest is None else lowest
    top = max(top, optimum + 0.15 * (optimum - bottom))
    for ax in axes.flat:
        ax.axhspan(optimum, top, color=GRID, lw=0, zorder=0)
        ax.set_ylim(bottom, top)
    for kind, ax in zip(kinds, axes[-1]):
        ax.set_xlabel(f"updates\n{kind} data")
    _legend(figure, [color(method) for method in runs])
    return figure


def _panel(ax: Axes, runs: Sequence[Claims], optimum: float, paint: str) -> None:
    for run in runs:
        ax.plot(run.updates, run.claimed, color=paint, lw=1.6)
        ax.plot(run.updates, run.earned, color=paint, lw=1.4, ls=(0, (2, 1.6)), alpha=0.8)
    ax.axhline(optimum, color=COLORS["optimum"], lw=1, zorder=1)


def _legend(figure: Figure, paints: Sequence[str]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    paint = paints[0] if len(paints) == 1 else MUTED
    lines = [
        Line2D([], [], color=paint, lw=1.6, label="claimed"),
        Line2D([], [], color=paint, lw=1.4, ls=(0, (2, 1.6)), label="earned"),
        Line2D([], [], color=COLORS["optimum"], lw=1, label="optimum"),
        Patch(color=GRID, label="impossible"),
    ]
    figure.legend(handles=lines, loc="outside upper center", ncols=4, columnspacing=1.4)


def pairs(
    panels: Mapping[str, tuple[ArrayLike, ArrayLike]], true: ArrayLike, label: str = "true value"
) -> Figure:
    """Every state and action, a panel a dataset: the value claimed for it over its true one.

    panels: values (n,), and whether the data have that state and action, (n,) bool. Filled where
    they have, hollow where they do not; on the line a claim is right.
    """
    import matplotlib.pyplot as plt

    x = np.asarray(true, float)
    figure, axes = plt.subplots(
        1, len(panels), figsize=(WIDTH, 2.9), squeeze=False, sharex=True, sharey=True,
        layout="constrained",
    )  # fmt: skip
    for ax, (kind, (claimed, seen)) in zip(axes.flat, panels.items()):
        y, known = np.asarray(claimed, float), np.asarray(seen, bool)
        paint = color(kind)
        ax.plot([x.min(), x.max()], [x.min(), x.max()], color=COLORS["optimum"], lw=1, zorder=1)
        ax.plot(x[known], y[known], "o", ms=5.5, color=paint, mec=PAPER, mew=0.5, zorder=3)
        hollow: dict[str, Any] = {"mfc": PAPER, "mec": INK, "mew": 1.0, "zorder": 2}
        ax.plot(x[~known], y[~known], "o", ms=5.5, **hollow)
        ax.set_xlabel(f"{label}\n{kind} data")
        count = f"{known.sum()} of {known.size} seen"
        place: dict[str, Any] = {"xycoords": "axes fraction", "ha": "right"}
        ax.annotate(count, (0.97, 0.04), color=INK, fontsize=9, **place)
        ax.grid(True, axis="both")
    axes[0, 0].set_ylabel("value claimed")
    return figure


def outcomes(
    values: Mapping[str, Mapping[str, Sequence[float]]],
    label: str,
    marks: Mapping[str, float] | None = None,
    best: float | None = None,
) -> Figure:
    """A panel a dataset, a row a method, a point a run (seed); the bar is the mean of the runs.

    label: of the axis. marks: the value of each dataset's own policy, a dashed line. best: the
    value of the best policy, a black line.
    """
    import matplotlib.pyplot as plt

    methods = list(dict.fromkeys(method for row in values.values() for method in row))
    size = (WIDTH, 1.15 + 0.36 * len(methods))
    figure, axes = plt.subplots(
        1, len(values), figsize=size, squeeze=False, sharex=True, sharey=True, layout="constrained"
    )
    for ax, (kind, row) in zip(axes.flat, values.items()):
        if best is not None:
            ax.axvline(best, color=COLORS["optimum"], lw=1, zorder=1)
        if marks is not None:
            ax.axvline(marks[kind], color=color(kind), lw=1.6, ls=(0, (2, 1.6)), zorder=1)
        for y, method in enumerate(methods):
            runs = np.asarray(row.get(method, ()), float)
            _points(ax, runs, -y, color(method))
        ax.set_xlabel(f"{label}\n{kind} data")
        ax.margins(x=0.1)
        ax.grid(True, axis="x")
        ax.grid(False, axis="y")
        ax.spines["left"].set_visible(False)
    axes[0, 0].set_yticks(-np.arange(len(methods)), methods)
    axes[0, 0].set_ylim(-len(methods) + 0.4, 0.6)
    for ax in axes.flat:
        ax.tick_params(axis="y", length=0)
    return figure


def _points(ax: Axes, runs: np.ndarray, y: float, paint: str) -> None:
    if len(runs):
        beside = y + 0.2 * (np.arange(len(runs)) - (len(runs) - 1) / 2) / max(len(runs) - 1, 1)
        ax.plot([runs.mean()] * 2, [y - 0.3, y + 0.3], color=paint, lw=2.5, zorder=2)
        ax.plot(runs, beside, "o", ms=6, color=paint, mec=PAPER, mew=0.6, zorder=3, clip_on=False)
