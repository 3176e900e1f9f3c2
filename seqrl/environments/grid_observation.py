"""What an observation of a grid world is: arrays computed from a MiniGrid level's state.

Every cell is (type, color, state) in MiniGrid's numbers, and arrays are indexed [x, y]. The map is
encoded once an episode; the partial view is cut out of it, so that no cell is visited twice.
"""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import chain
from typing import Any

import numpy as np

ACTIONS = ("left", "right", "forward", "pickup", "drop", "toggle", "done")
NO_ACTION = len(ACTIONS)  # stands in the history before the first action
HISTORY = 8
AGENT = {
    "pose": slice(0, 3),  # x, y, heading: 0 right, 1 down, 2 left, 3 up
    "start": slice(3, 6),  # the pose at the start: "on your left" means left of this one
    "carrying": slice(6, 8),  # type, color; 0, 0 = nothing
    "front": slice(8, 11),  # type, color, state of the cell in front
    "history": slice(11, 11 + HISTORY),  # the last actions, newest first; 7 = none yet
}
AGENT_SIZE = 11 + HISTORY
HEADINGS = ((1, 0), (0, 1), (-1, 0), (0, -1))

UNSEEN, EMPTY, WALL = (0, 0, 0), (1, 0, 0), (2, 5, 0)
_WALL_TYPE, _DOOR_TYPE = 2, 4


def encode_cell(cell: Any) -> tuple[int, int, int]:
    """(type, color, state) of one MiniGrid cell, an object or None."""
    return EMPTY if cell is None else cell.encode()


def encode_grid(cells: list[Any], width: int, height: int, padding: int = 0) -> np.ndarray:
    """The map of a grid, from its cells in MiniGrid's row order.

    Returns (width + 2 padding, height + 2 padding, 3) uint8, equal to MiniGrid's `Grid.encode`
    inside and wall in the padding, which is what an agent sees beyond the edge of the world.
    """
    flat = bytes(chain.from_iterable(map(encode_cell, cells)))
    grid = np.empty((width + 2 * padding, height + 2 * padding, 3), np.uint8)
    if padding:
        grid[:] = WALL
    inside = grid[padding : padding + width, padding : padding + height]
    inside[:] = np.frombuffer(flat, np.uint8).reshape(height, width, 3).transpose(1, 0, 2)
    return grid


def partial_view(
    padded: np.ndarray,
    pose: tuple[int, int, int],
    size: int,
    carried: tuple[int, int, int] | None,
    see_through_walls: bool,
) -> np.ndarray:
    """The agent's view: `size` x `size` cells ahead of it, unseen where something stands between.

    `padded` is the map with `size - 1` cells of wall around it. Returns (size, size, 3) uint8,
    equal to the image of MiniGrid's `gen_obs`: the agent stands in the middle of the last row,
    facing up, and what it carries (None = nothing) is drawn in its own cell.
    """
    x, y, heading = pose
    half, reach = size // 2, size - 1
    left, top = x + (reach, half, 0, half)[heading], y + (half, reach, half, 0)[heading]
    view = _face_up(padded[left : left + size, top : top + size], heading).copy()
    if not see_through_walls:
        view *= visible(view)[..., None]
    view[half, reach] = carried or EMPTY
    return view


def visible(view: np.ndarray) -> np.ndarray:
    """Which cells of an unmasked view are seen, (size, size) bool; as MiniGrid's `process_vis`.

    Sight spreads from the agent's row upwards, sideways and diagonally, through every cell that
    is neither a wall nor a shut door. A row is a bit mask, so spreading along it is a table
    look-up.
    """
    size = len(view)
    kind, state = view[..., 0], view[..., 2]
    clear = (kind != _WALL_TYPE) & ((kind != _DOOR_TYPE) | (state == 0))
    bits = _bits(size)
    clear_rows = (bits @ clear).tolist()
    seen_rows = [0] * size
    entering = 1 << (size // 2)
    for row in range(size - 1, -1, -1):
        seen_rows[row], entering = _spread(entering, clear_rows[row], size)
    return (np.array(seen_rows) & bits[:, None]) != 0


@cache
def _bits(size: int) -> np.ndarray:
    return 1 << np.arange(size)


@lru_cache(maxsize=1 << 15)
def _spread(seen: int, clear: int, size: int) -> tuple[int, int]:
    """Spread sight along one row, right then left: cells seen in it, cells seen in the next."""
    above = 0
    steps = [(i, i + 1) for i in range(size - 1)] + [(i, i - 1) for i in range(size - 1, 0, -1)]
    for i, beside in steps:
        if seen & clear & (1 << i):
            seen |= 1 << beside
            above |= 1 << beside | 1 << i
    return seen, above


def _face_up(view: np.ndarray, heading: int) -> np.ndarray:
    """A square cut of the map, turned so that the agent's heading points up."""
    if heading == 0:
        return view.transpose(1, 0, 2)[:, ::-1]
    if heading == 1:
        return view[::-1, ::-1]
    if heading == 2:
        return view.transpose(1, 0, 2)[::-1]
    return view
