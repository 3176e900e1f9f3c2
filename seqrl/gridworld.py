"""Grid worlds drawn by two hands that know the same shapes: `draw` for matplotlib, `svg` for pages.

A map is MiniGrid's encoding, (W, H, 3) integers [x, y] -> (type, color, state); a pose is
(x, y, heading) with heading 0 right, 1 down, 2 left, 3 up. One unit is a cell, y grows downward.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from seqrl.grid_shapes import (
    FLOOR,
    LINES,
    WALL,
    WHITE,
    Shape,
    agent_shapes,
    box,
    carried_shapes,
    map_shapes,
    placed,
    wall_runs,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TIME = ("#6fc7b7", "#3aa5b5", "#2a78a8", "#2f4f8f", "#2a2a63")  # a path from its start to its end
PATH_WIDTH, LINE_WIDTH = 0.12, 0.03  # of a cell


def path_points(poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A smooth line (points, 2) through the poses (T + 1, 3), and the step (points,) of each point.

    Where a stretch is walked more than once, the line keeps to its right, as traffic does, so that
    the way back does not hide the way there.
    """
    poses = np.asarray(poses, int)
    moved = np.flatnonzero((np.diff(poses[:, :2], axis=0) != 0).any(1))
    centers = np.r_[poses[:1, :2], poses[moved + 1, :2]] + 0.5
    if len(moved) == 0:
        return centers, np.zeros(1)
    ways, middles = np.diff(centers, axis=0), (centers[:-1] + centers[1:]) / 2
    _, which, times = np.unique(middles, axis=0, return_inverse=True, return_counts=True)
    shift = np.where(times[which.ravel()] > 1, 0.13, 0.0)[:, None]
    right = shift * np.c_[-ways[:, 1], ways[:, 0]] * (np.abs(ways).sum(1, keepdims=True) == 1)
    still = np.zeros((1, 2))  # the line begins and ends in the middle of a cell
    at_cell = centers + np.r_[still, (right[:-1] + right[1:]) / 2, still]
    line = np.empty((2 * len(moved) + 1, 2))
    line[::2], line[1::2] = at_cell, middles + right
    steps = np.interp(np.arange(len(line)) / 2, np.arange(len(moved) + 1), np.r_[0, moved + 1])
    for _ in range(2):  # cut the corners
        cut = 0.75 * line[:-1] + 0.25 * line[1:], 0.25 * line[:-1] + 0.75 * line[1:]
        cut_steps = 0.75 * steps[:-1] + 0.25 * steps[1:], 0.25 * steps[:-1] + 0.75 * steps[1:]
        line = np.r_[line[:1], np.stack(cut, 1).reshape(-1, 2), line[-1:]]
        steps = np.r_[steps[:1], np.stack(cut_steps, 1).ravel(), steps[-1:]]
    return line, steps


def path_strokes(poses: np.ndarray, pieces: int = 20) -> list[tuple[np.ndarray, str, int]]:
    """The path in pieces of equal time: points, color, and the step that completes the piece.

    poses (T + 1, 3); the points of a piece are (n, 2).
    """
    line, steps = path_points(poses)
    if len(line) < 2:
        return []
    last = max(len(poses) - 1, 1)
    edges = np.linspace(0, last, min(pieces, last) + 1)
    strokes = []
    for start, end in pairwise(edges):
        inside = (steps > start) & (steps < end)
        ends = np.array([[np.interp(t, steps, line[:, i]) for i in (0, 1)] for t in (start, end)])
        points = _corners(np.r_[ends[:1], line[inside], ends[1:]])
        if np.ptp(points, axis=0).max() > 1e-6:  # it moved
            strokes.append((points, time_color((start + end) / 2 / last), int(np.ceil(end))))
    return strokes


def _corners(points: np.ndarray) -> np.ndarray:
    """The points without those on a straight line between their neighbors."""
    before, after = np.diff(points[:-1], axis=0), np.diff(points[1:], axis=0)
    bends = np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]) > 1e-9
    back = (before * after).sum(1) < 0
    return points[np.r_[True, bends | back, True]]


def time_color(fraction: float) -> str:
    """The path's color after this fraction of the episode: pale teal at 0, dark indigo at 1."""
    anchors = np.array([int(c[i : i + 2], 16) for c in TIME for i in (1, 3, 5)]).reshape(-1, 3)
    at = np.linspace(0, 1, len(TIME))
    return "#" + "".join(f"{round(float(np.interp(fraction, at, a))):02x}" for a in anchors.T)


def frame(grid: np.ndarray) -> tuple[float, float, float, float]:
    """What to show of the map (left, top, width, height): outer walls are trimmed to a thin rim."""
    width, height = grid.shape[:2]
    kinds = grid[..., 0]
    edges = np.r_[kinds[0], kinds[-1], kinds[:, 0], kinds[:, -1]]
    trim = 0.6 if (edges == 2).all() else 0.0
    return trim, trim, width - 2 * trim, height - 2 * trim


def start_mark(path: np.ndarray) -> list[Shape]:
    """A ring where the path (T + 1, 3) begins."""
    x, y = path[0, :2] + 0.5
    return [Shape((x, y, 0.17), time_color(0)), Shape((x, y, 0.09), WHITE)]


def end_mark(path: np.ndarray) -> list[Shape]:
    """A dot where the path (T + 1, 3) ends."""
    x, y = path[-1, :2] + 0.5
    return [Shape((x, y, 0.13), time_color(1))]


def draw(
    ax: Axes,
    grid: np.ndarray,
    pose: Sequence[int] | None = None,
    *,
    path: np.ndarray | None = None,
    carrying: Sequence[int] | None = None,
) -> Axes:
    """Draw a map (W, H, 3), the agent at `pose`, and the path through poses (T+1, 3), on `ax`."""
    from matplotlib.collections import LineCollection
    from matplotlib.patches import PathPatch, Rectangle
    from matplotlib.path import Path

    width, height = grid.shape[:2]
    left, top, across, down = frame(grid)
    ax.set(xlim=(left, left + across), ylim=(top + down, top), aspect="equal")
    ax.axis("off")
    cell = min(ax.bbox.width / across, ax.bbox.height / down) * 72 / ax.figure.dpi
    ax.add_patch(Rectangle((0, 0), width, height, facecolor=FLOOR, zorder=1))
    _fill(ax, map_shapes(grid), zorder=2)
    ends = [((x, 0), (x, height)) for x in range(1, width)]
    ends += [((0, y), (width, y)) for y in range(1, height)]
    lines = Path(np.reshape(ends, (-1, 2)), [Path.MOVETO, Path.LINETO] * len(ends))
    ax.add_patch(PathPatch(lines, fill=False, ec=LINES, lw=LINE_WIDTH * cell, zorder=1.5))
    if walls := [_outline(box(x, y, x + n, y + 1)) for x, y, n in wall_runs(grid)]:
        ax.add_patch(PathPatch(Path.make_compound_path(*walls), facecolor=WALL, lw=0, zorder=3))
    if path is not None:
        strokes = path_strokes(path)
        pieces, paints = [points for points, *_ in strokes], [paint for _, paint, _ in strokes]
        look: dict[str, Any] = {"capstyle": "round", "zorder": 4, "clip_on": False}
        ax.add_collection(LineCollection(pieces, colors=paints, lw=PATH_WIDTH * cell, **look))
        _fill(ax, start_mark(path) + end_mark(path), zorder=5)
    if pose is not None:
        x, y, heading = (int(v) for v in pose)
        _fill(ax, placed(agent_shapes(heading), x, y) + carried_shapes(carrying, x, y), zorder=6)
    return ax


def _fill(ax: Axes, shapes: Sequence[Shape], zorder: float) -> None:
    """Draw shapes; neighbors of one color become one path, which keeps vector files small."""
    from matplotlib.collections import PathCollection
    from matplotlib.path import Path

    paths, fills = [], []
    for fill, group in groupby(shapes, key=lambda shape: shape.fill):
        paths.append(Path.make_compound_path(*(_outline(numbers) for numbers, _ in group)))
        fills.append(fill)
    ax.add_collection(
        PathCollection(paths, facecolors=fills, linewidths=0, zorder=zorder, clip_on=False)
    )


def _outline(numbers: tuple[float, ...]) -> Any:
    from matplotlib.path import Path

    if len(numbers) > 3:
        corners = np.reshape(numbers, (-1, 2))
        return Path(np.r_[corners, corners[:1]], closed=True)
    x, y, r = numbers
    k = 0.5523 * r  # four Bezier curves make a circle
    points = [(x + r, y)]
    for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1)):
        quarter = [(r, k), (k, r), (0, r)]
        points += [(x + c * a - s * b, y + s * a + c * b) for a, b in quarter]
    return Path([*points, points[-1]], [Path.MOVETO, *[Path.CURVE4] * 12, Path.CLOSEPOLY])


def svg(
    grid: np.ndarray,
    pose: Sequence[int] | None = None,
    *,
    path: np.ndarray | None = None,
    carrying: Sequence[int] | None = None,
    label: str = "a grid world",
) -> str:
    """The same drawing as one SVG element, described to screen readers by `label`.

    grid (W, H, 3), path (T + 1, 3).
    """
    parts = [svg_floor(grid), svg_shapes(map_shapes(grid)), svg_walls(grid)]
    if path is not None:
        parts += [svg_path(path), svg_shapes(start_mark(path) + end_mark(path))]
    if pose is not None:
        x, y, heading = (int(v) for v in pose)
        parts.append(svg_shapes(placed(agent_shapes(heading), x, y)))
        parts.append(svg_shapes(carried_shapes(carrying, x, y)))
    return svg_element(grid, "".join(parts), label)


def svg_element(grid: np.ndarray, content: str, label: str) -> str:
    """An SVG element with one unit a cell of the map (W, H, 3)."""
    view = " ".join(short(n) for n in frame(grid))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}" role="img" '
        f'aria-label="{escape(label)}">{content}</svg>'
    )


def svg_floor(grid: np.ndarray) -> str:
    """The floor of a map (W, H, 3) with its cell lines."""
    width, height = grid.shape[:2]
    lines = "".join(f"M{x} 0v{height}" for x in range(1, width))
    lines += "".join(f"M0 {y}h{width}" for y in range(1, height))
    return (
        f'<path fill="{FLOOR}" d="M0 0h{width}v{height}h-{width}z"/>'
        f'<path stroke="{LINES}" stroke-width="{LINE_WIDTH}" d="{lines}"/>'
    )


def svg_walls(grid: np.ndarray) -> str:
    """All walls of a map (W, H, 3) as one path."""
    runs = "".join(f"M{x} {y}h{n}v1h-{n}z" for x, y, n in wall_runs(grid))
    return f'<path fill="{WALL}" d="{runs}"/>'


def svg_shapes(shapes: Iterable[Shape]) -> str:
    """SVG paths and circles of the shapes."""
    parts = []
    for numbers, fill in shapes:
        values = [short(n) for n in numbers]
        if len(values) == 3:
            x, y, r = values
            parts.append(f'<circle cx="{x}" cy="{y}" r="{r}" fill="{fill}"/>')
        else:
            parts.append(f'<path fill="{fill}" d="M{" ".join(values)}z"/>')
    return "".join(parts)


def svg_path(path: np.ndarray, pieces: int = 20) -> str:
    """The path (T + 1, 3) as strokes; `data-at`: the step after which a stroke has been walked."""
    strokes = ""
    for points, paint, step in path_strokes(path, pieces):
        line = " ".join(short(v) for v in points.ravel())
        strokes += f'<path stroke="{paint}" data-at="{step}" d="M{line}"/>'
    return f'<g fill="none" stroke-width="{PATH_WIDTH}" stroke-linecap="round">{strokes}</g>'


def svg_text(
    x: float, y: float, words: str, paint: str, size: int = 14, anchor: str = "middle"
) -> str:
    """Words beside a drawing; anchor: where of them (x, y) is, "start", "middle" or "end"."""
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" fill="{paint}" font-size="{size}" text-anchor="{anchor}" '
        f'font-family="sans-serif">{escape(words)}</text>'
    )


def short(number: float) -> str:
    """A number with two decimals at most and no needless zeros."""
    text = f"{number:.2f}".rstrip("0").rstrip(".")
    if text in ("0", "-0"):
        return "0"
    return text.replace("0.", ".", 1) if abs(number) < 1 else text
