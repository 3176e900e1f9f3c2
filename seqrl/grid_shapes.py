"""What the things of a grid world look like: flat polygons and circles in the unit cell.

Each thing is written once, for matplotlib and SVG alike. A cell is MiniGrid's (type, color, state);
y grows downward.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

KINDS = (
    "unseen", "empty", "wall", "floor", "door", "key", "ball", "box", "goal", "lava", "agent",
)  # fmt: skip
HUES = ("red", "green", "blue", "purple", "yellow", "grey")
DOORS = ("open", "closed", "locked")
HEADINGS = ("right", "down", "left", "up")
STEPS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])  # one cell in each heading

# MiniGrid's color names in shades that stay apart for color-blind readers: (full, dark).
OBJECT_COLORS = {
    "red": ("#d63345", "#97182a"),
    "green": ("#2eb06a", "#13713f"),
    "blue": ("#2d5ed2", "#173f99"),
    "purple": ("#ad6fc2", "#743a8a"),
    "yellow": ("#edbf2b", "#a67c00"),
    "grey": ("#9aa3ad", "#68717b"),
}
FLOOR, LINES, WALL, UNSEEN = "#f6f5f0", "#e6e4dc", "#56606d", "#d3d5d6"
AGENT, HALO, WHITE = "#1f2933", "#ffffff", "#ffffff"


class Shape(NamedTuple):
    """A filled polygon (x0, y0, x1, y1, ...) or, with three numbers, a circle (x, y, radius)."""

    numbers: tuple[float, ...]
    fill: str


def box(left: float, top: float, right: float, bottom: float, r: float = 0.0) -> tuple[float, ...]:
    """Corner coordinates of a rectangle with corners rounded by `r`, in cells."""
    if r == 0:
        return (left, top, right, top, right, bottom, left, bottom)
    x0, y0, x1, y1 = left + r, top + r, right - r, bottom - r
    points: list[float] = []
    for quarter, (x, y) in enumerate([(x1, y0), (x1, y1), (x0, y1), (x0, y0)]):
        for angle in np.deg2rad(90.0 * (quarter - 1) + np.array([0, 45, 90])):
            points += [x + r * float(np.cos(angle)), y + r * float(np.sin(angle))]
    return tuple(points)


def _door(full: str, dark: str, state: int) -> tuple[Shape, ...]:
    if DOORS[state] == "open":  # only the frame is left
        return Shape(box(0, 0, 1, 1, 0.1), full), Shape(box(0.13, 0.13, 0.87, 0.87, 0.05), FLOOR)
    leaf = Shape(box(0, 0, 1, 1, 0.1), dark), Shape(box(0.1, 0.1, 0.9, 0.9, 0.06), full)
    if DOORS[state] == "closed":
        return (*leaf, Shape((0.74, 0.5, 0.085), WHITE))
    plate = Shape((0.5, 0.5, 0.27), WHITE)
    keyhole = Shape((0.5, 0.43, 0.1), dark)
    return (*leaf, plate, keyhole, Shape((0.46, 0.45, 0.54, 0.45, 0.59, 0.66, 0.41, 0.66), dark))


def _key(full: str, dark: str) -> tuple[Shape, ...]:
    return (
        Shape(box(0.38, 0.4, 0.52, 0.92, 0.03), full),
        Shape(box(0.45, 0.63, 0.72, 0.73, 0.02), full),
        Shape(box(0.45, 0.82, 0.67, 0.92, 0.02), full),
        Shape((0.45, 0.29, 0.22), full),
        Shape((0.45, 0.29, 0.1), FLOOR),
    )


def _box(full: str, dark: str) -> tuple[Shape, ...]:
    return (
        Shape(box(0.17, 0.2, 0.83, 0.84, 0.07), full),
        Shape(box(0.12, 0.2, 0.88, 0.4, 0.05), dark),
        Shape(box(0.45, 0.2, 0.55, 0.84), WHITE),
    )


def _goal() -> tuple[Shape, ...]:
    return (
        Shape(box(0, 0, 1, 1), "#cdebd9"),
        Shape(box(0.28, 0.16, 0.36, 0.86, 0.03), "#13713f"),
        Shape((0.36, 0.18, 0.8, 0.34, 0.36, 0.52), "#1f9d55"),
    )


def _lava() -> tuple[Shape, ...]:
    x = np.linspace(0, 1, 13)
    waves = []
    for level in (0.28, 0.5, 0.72):
        crest = level + 0.06 * np.sin(4 * np.pi * x)
        top, bottom = np.c_[x, crest - 0.035], np.c_[x, crest + 0.035][::-1]
        waves.append(Shape(tuple(map(float, np.r_[top, bottom].ravel())), "#fff1d6"))
    return Shape(box(0, 0, 1, 1), "#e8702a"), *waves


@cache
def shapes(kind: int, hue: int = 0, state: int = 0) -> tuple[Shape, ...]:
    """The shapes of one encoded cell, back to front; none for empty cells and walls."""
    if not (0 <= kind < len(KINDS) and 0 <= hue < len(HUES) and 0 <= state < 4):
        raise ValueError(f"({kind}, {hue}, {state}) is not an encoded cell (type, color, state).")
    full, dark = OBJECT_COLORS[HUES[hue]]
    match KINDS[kind]:
        case "unseen":
            return Shape(box(0, 0, 1, 1), UNSEEN), Shape((0.5, 0.5, 0.06), "#b9bdc0")
        case "floor":
            return (Shape(box(0, 0, 1, 1), _tint(full)),)
        case "door":
            return _door(full, dark, min(state, 2))
        case "key":
            return _key(full, dark)
        case "ball":
            return Shape((0.5, 0.5, 0.33), full), Shape((0.4, 0.39, 0.085), _tint(full))
        case "box":
            return _box(full, dark)
        case "goal":
            return _goal()
        case "lava":
            return _lava()
        case "agent":
            return agent_shapes(state)
    return ()


def _tint(color: str) -> str:
    channels = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(0.35 * c + 0.65 * 255):02x}" for c in channels)


@cache
def agent_shapes(heading: int = 0) -> tuple[Shape, ...]:
    """The agent: an arrowhead turned to `heading`, with a pale rim that sets it off from a cell."""
    rim = np.array([(0.97, 0.5), (0.12, 0.04), (0.27, 0.5), (0.12, 0.96)])
    head = np.array([(0.87, 0.5), (0.2, 0.13), (0.34, 0.5), (0.2, 0.87)])
    turn = np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), int(heading))
    both = ((_rounded(rim), HALO), (_rounded(head), AGENT))
    return tuple(
        Shape(tuple(map(float, ((points - 0.5) @ turn.T + 0.5).round(3).ravel())), fill)
        for points, fill in both
    )


def _rounded(points: np.ndarray) -> np.ndarray:
    """The polygon with its corners cut off twice, so that they look round."""
    for share in (0.12, 0.2):
        after = np.roll(points, -1, axis=0)
        cut = (1 - share) * points + share * after, share * points + (1 - share) * after
        points = np.stack(cut, 1)
        points = points.reshape(-1, 2)
    return points


def placed(shapes_: Iterable[Shape], x: float, y: float, scale: float = 1.0) -> list[Shape]:
    """The shapes moved to cell (x, y) and scaled."""
    moved = []
    for numbers, fill in shapes_:
        shift = (x, y, 0.0)[: 3 if len(numbers) == 3 else 2]
        values = [scale * n + shift[i % len(shift)] for i, n in enumerate(numbers)]
        moved.append(Shape(tuple(values), fill))
    return moved


def map_shapes(grid: np.ndarray) -> list[Shape]:
    """All shapes of a map (W, H, 3) without walls, back to front, in the map's coordinates."""
    found = []
    for x, y in np.argwhere((grid[..., 0] != 1) & (grid[..., 0] != 2)):
        found += placed(shapes(*map(int, grid[x, y])), int(x), int(y))
    return found


def wall_runs(grid: np.ndarray) -> list[tuple[int, int, int]]:
    """The walls as horizontal runs (x, y, length)."""
    runs = []
    for y in range(grid.shape[1]):
        row = np.r_[0, grid[:, y, 0] == 2, 0].astype(int)
        starts, ends = np.flatnonzero(np.diff(row) == 1), np.flatnonzero(np.diff(row) == -1)
        runs += [(int(a), y, int(b - a)) for a, b in zip(starts, ends)]
    return runs


def carried_shapes(carrying: Sequence[int] | None, x: float, y: float) -> list[Shape]:
    """The carried object (type, color) as a badge at the corner of cell (x, y); none for (0, 0)."""
    if carrying is None or int(carrying[0]) == 0:
        return []
    badge = Shape((x + 0.95, y + 0.05, 0.28), WHITE)
    return [badge, *placed(shapes(int(carrying[0]), int(carrying[1])), x + 0.72, y - 0.18, 0.46)]
