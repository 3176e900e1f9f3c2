"""Figures of robots: gaits as on a stroboscope's plate, two motions over one another, returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqrl.robot_drawing import Motion, meters
from seqrl.style import COLORS, INK, MUTED, PAPER, WIDTH, color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from seqrl.trajectories import Trajectories

GROUND, REAL = "#eff1f2", "#b3bac1"
THIN = 0.45  # what was imagined, times the width of what happened
PAINTS = {
    "random": COLORS["random"],
    "medium-replay": "#9a86b8",  # between random and medium
    "medium": COLORS["mixed"],
    "medium-expert": "#92a7d2",  # between medium and expert
    "expert": COLORS["expert"],
}
MARGIN, LEAST = 0.4, 4.5  # meters beside the first and the last pose; and in all
CORNERS = 9  # of each round end


def pale(paint: str, share: float = 0.6) -> str:
    """A color mixed with so much paper, so that it hides what is behind it."""
    own, paper = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (paint, PAPER))
    return "#" + "".join(f"{round(x):02x}" for x in (1 - share) * own + share * paper)


def pose(
    ax: Axes, shown: Motion, t: int, paint: str, torso: str = INK, shift: float = 0.0,
    width: float = 1.0,
) -> None:  # fmt: skip
    """One moment of a robot, moved by `shift` meters, its capsules so many times as wide."""
    from matplotlib.patches import Polygon

    body = shown.skeleton
    for radius, part, ends in zip(body.radii, body.parts, shown.limbs[t]):
        ink = {"torso": torso, "near": paint, "far": pale(paint)}[part]
        outline = capsule(ends, width * float(radius)) + np.array([shift, 0])
        ax.add_patch(Polygon(outline, fc=ink, ec=PAPER, lw=0.7, zorder=3))


def capsule(ends: np.ndarray, radius: float) -> np.ndarray:
    """The outline (points, 2) of what is within `radius` of the line between two ends (2, 2)."""
    way = ends[1] - ends[0]
    turn = np.arctan2(way[1], way[0]) + np.pi / 2
    angles = turn + np.linspace(0, np.pi, CORNERS)
    half = radius * np.c_[np.cos(angles), np.sin(angles)]
    return np.r_[ends[0] + half, ends[1] - half]


def last_word(name: str) -> str:
    """The last word of a name such as "hopper/medium" or "hopper, medium": what has a color."""
    return name.replace("/", " ").replace(",", " ").split()[-1]


def gait(
    motions: Mapping[str, Motion], every: float = 0.2, count: int = 8, start: float = 0.0
) -> Figure:
    """Each motion in a row, at most `count` moments `every` seconds apart, where they happened.

    A robot that fell before ends with its last moment. All rows have one scale; the last word of a
    name is its color.
    """
    import matplotlib.pyplot as plt

    rows = {name: _moments(m, start + every * np.arange(count)) for name, m in motions.items()}
    ends = [m.limbs[rows[name], ..., 0] for name, m in motions.items()]
    froms = [x[0].mean() for x in ends]  # every row begins at the same place
    low = min(float(x.min() - f) for x, f in zip(ends, froms)) - MARGIN
    high = max(*(float(x.max() - f) + MARGIN for x, f in zip(ends, froms)), low + LEAST)
    tops = [max(1.0, float(m.limbs[rows[name], ..., 1].max()) + 0.1) for name, m in motions.items()]
    scale = (WIDTH - 0.2) / (high - low)
    size = (WIDTH, sum(scale * (top + 0.12) + 0.32 for top in tops) + 0.2)
    axes: Any
    figure, axes = plt.subplots(
        len(rows), 1, figsize=size, squeeze=False, height_ratios=tops, layout="constrained"
    )
    for ax, (name, shown), begin, top in zip(axes.flat, motions.items(), froms, tops):
        paint = PAINTS.get(last_word(name)) or color(name)
        at = rows[name]
        for i, t in enumerate(at):
            faint = 0.75 * (1 - (i + 1) / len(at))
            pose(ax, shown, t, pale(paint, faint), pale(INK, faint), -begin)
        _ground(ax, (low, high), top)
        went = meters(shown.x[at[-1]] - shown.x[at[0]])
        lasted = shown.times[at[-1]] - shown.times[at[0]]
        fell = " and fell" * (shown.fell and at[-1] == len(shown.times) - 1)
        words = f"{name}: {went} in {lasted:.1f} s{fell}"
        ax.set_title(words, fontsize=10, loc="left", color=INK)
    return figure


def _moments(shown: Motion, times: np.ndarray) -> list[int]:
    """The moments nearest to some times, and where the motion is over the last one, once."""
    near = np.abs(shown.times[:, None] - times).argmin(0)
    return sorted(set(near.tolist()))


def _ground(ax: Axes, across: tuple[float, float], top: float) -> None:
    """The ground with a mark every meter; meters are as long up as along."""
    ax.axhspan(-0.12, 0, color=GROUND, lw=0, zorder=0)
    ax.axhline(0, color=MUTED, lw=0.8, zorder=1)
    marks = np.arange(np.ceil(across[0]), across[1])
    ax.vlines(marks, -0.08, 0, color=MUTED, lw=0.8, zorder=1)
    ax.set(xlim=across, ylim=(-0.12, top), xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_visible(False)
    ax.grid(False)


def overlaid(
    real: Motion, imagined: Mapping[str, Motion], steps: Sequence[int], apart: float = 0.95
) -> Figure:
    """What happened, pale and broad, and over it what was imagined, at steps after their start.

    Every step has a place of its own, in which the real robot's middle stands still.
    """
    import matplotlib.pyplot as plt

    top = max(float(m.limbs[..., 1].max()) for m in (real, *imagined.values())) + 0.15
    wide = apart * len(steps)
    size = (WIDTH, WIDTH / wide * (top + 0.2) + 0.75)
    ax = plt.subplots(figsize=size, layout="constrained")[1]
    for i, step in enumerate(steps):
        shift = apart * (i + 0.5) - float(real.limbs[step, ..., 0].mean())
        pose(ax, real, step, REAL, REAL, shift)
        for name, shown in imagined.items():
            last = min(step, len(shown.times) - 1)
            pose(ax, shown, last, color(name), color(name), shift, THIN)
        words = "now" if step == 0 else f"{step} steps"
        ax.text(apart * (i + 0.5), -0.2, words, ha="center", va="top", fontsize=9, color=MUTED)
    _ground(ax, (0, wide), top)
    ax.set_ylim(-0.36, top)
    names = {"real": REAL} | {name: color(name) for name in imagined}
    marks = [plt.Line2D([], [], color=paint, lw=6, label=name) for name, paint in names.items()]
    ax.legend(handles=marks, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(marks))
    return ax.figure  # type: ignore[return-value]


def returns(datasets: Mapping[str, Trajectories]) -> Axes:
    """Distributions of a robot's returns, a row a dataset, between D4RL's two reference returns.

    Raises ValueError where the first dataset is no robot's.
    """
    from seqrl import plots
    from seqrl.environments.locomotion import robot_of

    env = str(next(iter(datasets.values())).info.get("env"))
    robot = robot_of(env)
    if robot is None:
        raise ValueError(f"{env!r} has no reference returns: it is no robot of D4RL's.")
    ax = plots.returns(datasets, paints=PAINTS)
    top = ax.get_ylim()[1] + 0.12
    for name, value in (("random, 0", robot.random), ("expert, 100", robot.expert)):
        ax.axvline(value, color=MUTED, ls=":", lw=1.4, zorder=0)
        ax.text(value, top, name, ha="center", va="bottom", fontsize=9, color=MUTED)
    ax.set_ylim(top=top)
    return ax
