"""Figures of episodes and of datasets, all in the house style.

Each function returns what it drew on, so that a page can add to it. Figures carry no title:
the page's caption says what to see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from seqrl.gridworld import draw, frame
from seqrl.plots_graph import graph, graph_return_histogram
from seqrl.plots_tokens import token_layouts
from seqrl.scenes import scene
from seqrl.style import COLORS, INK, MUTED, TOKEN_COLORS, WIDTH, colors, minus, use_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from seqrl.trajectories import Trajectories

HEAT = ("#9cc9d9", "#3f8fb8", "#255a93", "#1c2f5c")  # few visits to many, from nearly white

__all__ = [
    "COLORS",
    "TOKEN_COLORS",
    "actions",
    "coverage",
    "episode",
    "episodes",
    "graph",
    "graph_return_histogram",
    "lengths",
    "returns",
    "returns_to_go",
    "token_layouts",
    "use_style",
]


def episode(trajectories: Trajectories, e: int, ax: Axes | None = None, label: bool = True) -> Axes:
    """Map of episode e at its start, the agent where it ended, and its path from pale to dark.

    Below stand mission and number of steps, unless `label` is False.
    """
    import matplotlib.pyplot as plt

    shown = scene(trajectories, e)
    if ax is None:
        width, height = frame(shown.maps[0])[2:]
        ax = plt.subplots(figsize=(3.2, 3.2 * height / width + 0.4), layout="constrained")[1]
    path = shown.poses if "map" in trajectories.observations else None
    at = len(shown.poses) - 1 if path is not None else 0
    draw(ax, shown.maps[0], shown.poses[at], path=path, carrying=shown.carrying[at])
    if label:
        count = len(shown.actions)
        steps = f"{count} step{'s' * (count != 1)}"
        outcome = "" if shown.success is not False else ", not solved"
        _below(ax, f"{fill(shown.mission, 24)}\n{steps}{outcome}".strip())
    return ax


def episodes(trajectories: Trajectories, chosen: Sequence[int], columns: int = 4) -> Figure:
    """Small multiples of `episode`, `columns` in a row."""
    import matplotlib.pyplot as plt

    chosen = list(chosen)
    columns = min(columns, len(chosen))
    rows = -(-len(chosen) // columns)
    side = WIDTH / max(columns, 2)
    size = (side * columns, rows * (side + 0.45))
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat:
        ax.axis("off")
    for ax, e in zip(axes.flat, chosen):
        episode(trajectories, e, ax)
    return figure


def _below(ax: Axes, text: str) -> None:
    ax.annotate(
        text, (0.5, 0), (0, -5), xycoords="axes fraction", textcoords="offset points",
        ha="center", va="top", color=INK, fontsize=9, linespacing=1.35,
    )  # fmt: skip


def returns(
    datasets: Mapping[str, Trajectories],
    ax: Axes | None = None,
    paints: Mapping[str, str] | None = None,
) -> Axes:
    """Distribution of the episodes' returns, one row a dataset, with the median of each marked.

    Heights are shares of episodes, scaled to the tallest bar of each row.
    """
    values = {name: t.returns.numpy(force=True) for name, t in datasets.items()}
    return _distributions(values, "return of an episode", ax, paints or {})


def lengths(datasets: Mapping[str, Trajectories], ax: Axes | None = None) -> Axes:
    """Distribution of the episodes' lengths in steps, drawn as `returns` draws returns."""
    values = {name: t.lengths.numpy(force=True) for name, t in datasets.items()}
    return _distributions(values, "length of an episode (steps)", ax)


def _distributions(
    values: Mapping[str, np.ndarray],
    xlabel: str,
    ax: Axes | None,
    paints: Mapping[str, str] = MappingProxyType({}),
) -> Axes:
    import matplotlib.pyplot as plt

    if ax is None:
        size = (WIDTH, 0.75 + 0.85 * len(values))
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    edges = _bins(np.concatenate(list(values.values())))
    for row, (paint, (name, numbers)) in enumerate(zip(colors(values), values.items())):
        base = len(values) - 1 - row
        heights = np.histogram(numbers, edges)[0]
        tops = base + 0.62 * heights / heights.max()
        ax.stairs(tops, edges, baseline=base, fill=True, color=paints.get(name, paint))
        ax.axhline(base, color="#b4b8bd", lw=0.8, zorder=3)
        middle = float(np.median(numbers))
        ax.plot([middle, middle], [base, base + 0.68], color=INK, lw=1.2, solid_capstyle="butt")
        text = minus(f"median {middle:.4g}")
        ax.text(middle, base + 0.71, text, ha="center", va="bottom", fontsize=9, color=INK)
    ax.set_yticks(np.arange(len(values))[::-1] + 0.38, list(values))
    for row, numbers in enumerate(values.values()):
        where: dict[str, Any] = {
            "xycoords": ("axes fraction", "data"),
            "textcoords": "offset points",
        }
        at = (0, len(values) - 1 - row + 0.38)
        count = f"{len(numbers):,} episodes"
        ax.annotate(count, at, (-3.5, -7), ha="right", va="top", fontsize=9, color=MUTED, **where)
    ax.set(xlabel=xlabel, ylim=(-0.01, len(values)))
    ax.tick_params(axis="y", length=0)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.grid(False)
    return ax


def _bins(values: np.ndarray) -> np.ndarray:
    """One bin an integer (or a few), centered on it; 40 equal bins for other numbers."""
    low, high = float(values.min()), float(values.max())
    if not np.allclose(values, np.round(values)):
        return np.linspace(low, high, 41)
    width = max(1, int(np.ceil((high - low) / 80)))
    return np.arange(low - 0.5, high + 0.5 + width, width)


def coverage(datasets: Mapping[str, Trajectories]) -> Figure:
    """Heat map over the cells for each dataset: the share of all steps taken from that cell.

    All panels share one color scale. Dark gray cells are walls in every map of the dataset.
    Raises ValueError where the maps of two datasets differ in size.
    """
    import matplotlib.pyplot as plt

    shares = {name: _visits(t) for name, t in datasets.items()}
    if len({share.shape for share in shares.values()}) > 1:
        sizes = ", ".join(f"{name} {share.shape}" for name, share in shares.items())
        raise ValueError(f"coverage compares maps of one size; these are {sizes}.")
    highest = max(np.nanmax(share) for share in shares.values())
    side = min(WIDTH / max(len(shares), 2), 2.6)
    size = (side * len(shares) + 0.7, side + 0.4)
    figure, axes = plt.subplots(1, len(shares), figsize=size, squeeze=False, layout="constrained")
    image: Any = None
    for ax, (name, share) in zip(axes.flat, shares.items()):
        image = _heat(ax, share, 100 * highest)
        _below(ax, name)
    bar = figure.colorbar(image, ax=axes, shrink=0.82, aspect=18, pad=0.02)
    bar.set_label("share of steps (%)")
    bar.outline.set_visible(False)
    return figure


def _visits(trajectories: Trajectories) -> np.ndarray:
    """Share of steps taken from each cell, (W, H); NaN where every map has a wall."""
    from seqrl.environments.grid import AGENT

    if trajectories.maps is None:
        raise ValueError("coverage needs maps and poses; these trajectories have no maps.")
    poses = trajectories.observations["agent"][:, AGENT["pose"]].numpy(force=True)
    final = trajectories.offsets.numpy(force=True)[1:] + np.arange(len(trajectories))
    x, y = np.delete(poses, final, axis=0)[:, :2].astype(int).T
    maps = trajectories.maps.numpy(force=True)
    share = np.zeros(maps.shape[1:3])
    np.add.at(share, (x, y), 1 / len(x))
    share[(maps[..., 0] == 2).all(0)] = np.nan
    return share


def _heat(ax: Axes, share: np.ndarray, highest: float) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    from seqrl.grid_shapes import LINES, WALL

    visits = LinearSegmentedColormap.from_list("visits", ["#f3f6f7", *HEAT])
    ramp = visits.with_extremes(bad=WALL)
    width, height = share.shape
    image = ax.imshow(100 * share.T, cmap=ramp, vmin=0, vmax=highest, extent=(0, width, height, 0))
    lines: dict[str, Any] = {"color": LINES, "lw": 0.5}
    ax.vlines(range(1, width), 1, height - 1, **lines)
    ax.hlines(range(1, height), 1, width - 1, **lines)
    left, top, across, down = frame(np.where(np.isnan(share), 2, 1)[..., None])
    ax.set(xlim=(left, left + across), ylim=(top + down, top))
    ax.axis("off")
    return image


def actions(datasets: Mapping[str, Trajectories], ax: Axes | None = None) -> Axes:
    """How often each action is taken: bars grouped by action, one color a dataset."""
    import matplotlib.pyplot as plt

    from seqrl.environments.grid import ACTIONS

    if ax is None:
        ax = plt.subplots(figsize=(WIDTH, 2.7), layout="constrained")[1]
    counts = {
        name: np.bincount(t.actions.numpy(force=True), minlength=len(ACTIONS))
        for name, t in datasets.items()
    }
    width = 0.8 / len(counts)
    for i, (paint, (name, count)) in enumerate(zip(colors(counts), counts.items())):
        x = np.arange(len(count)) + (i - (len(counts) - 1) / 2) * width
        ax.bar(x, 100 * count / count.sum(), 0.9 * width, color=paint, label=name)
    ax.set_xticks(range(len(ACTIONS)), ACTIONS)
    ax.tick_params(axis="x", length=0)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.set(ylabel="share of steps (%)")
    if len(counts) > 1:
        ax.legend(loc="upper right", handlelength=1, handleheight=1)
    return ax


def returns_to_go(trajectories: Trajectories, e: int, frames: int = 6) -> Figure:
    """Return-to-go of every step of episode e as a staircase, under frames of the episode.

    Each frame stands over its own timestep, and a thin line ties it to its return-to-go.
    """
    import matplotlib.pyplot as plt

    shown = scene(trajectories, e)
    count = len(shown.actions)
    frames = max(2, min(frames, count + 1))
    at = np.unique(np.linspace(0, count, frames).round().astype(int))
    across, down = frame(shown.maps[0])[2:]
    left, width, slot = 0.09, 0.9, 0.9 / len(at)
    strip = 0.92 * slot * WIDTH * down / across  # inches
    height = 2.9 + strip
    figure = plt.figure(figsize=(WIDTH, height))
    ax = figure.add_axes((left, 0.55 / height, width, 2.2 / height))
    _staircase(ax, shown.returns_to_go, at)
    for i, t in enumerate(at):
        spot = (left + (i + 0.04) * slot, 2.8 / height, 0.92 * slot, strip / height)
        draw(figure.add_axes(spot), shown.maps[t], shown.poses[t], carrying=shown.carrying[t])
    return figure


def _staircase(ax: Axes, values: np.ndarray, marked: np.ndarray) -> None:
    """Return-to-go (T,) over t = 0 to T - 1, with the numbers at the marked steps written out."""
    from matplotlib.ticker import MaxNLocator

    count, paint = len(values), TOKEN_COLORS["return"][1]
    margin = count / (2 * (len(marked) - 1))  # so that the first frame stands over the first step
    room = 0.16 * (np.ptp(values) or 1.0)
    top = values.max() + room
    ax.set(xlim=(-margin, count + margin), ylim=(values.min() - 1.6 * room, top))
    ax.set(xlabel="timestep t", ylabel=r"return-to-go $\hat R_t$")
    ax.stairs(values, np.arange(count + 1), baseline=None, color=paint, lw=2)
    ax.plot(np.arange(count), values, "o", ms=4, color=paint)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ticks = [t for t in ax.get_xticks() if 0 <= t < count]
    ax.set_xticks(sorted({0, *ticks, count - 1}) if count < 12 else ticks)
    whole = bool((values == values.round()).all())
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=whole))
    for t in marked[marked < count]:
        ax.plot([t, t], [values[t], top], color="#b4b8bd", lw=0.8, zorder=0)
        text = minus(f"{values[t]:.3g}")
        ax.annotate(
            text, (t, values[t]), (3, -5), textcoords="offset points",
            va="top", color=INK, fontsize=9,
        )  # fmt: skip
