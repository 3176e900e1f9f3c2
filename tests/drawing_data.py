"""Small trajectories made by hand, for the tests of everything that draws."""

from __future__ import annotations

import numpy as np

from seqrl.environments.grid import encode_mission
from seqrl.trajectories import Trajectories, pack

WALL, EMPTY, BALL, KEY = (2, 5, 0), (1, 0, 0), (6, 0, 0), (5, 4, 0)
DOOR_CLOSED, DOOR_OPEN = (4, 2, 1), (4, 2, 0)
TURNS = {0: -1, 1: 1}


def room(width: int = 6, height: int = 5) -> np.ndarray:
    """An empty room with a red ball and, in its outer wall, nothing else; (W, H, 3)."""
    grid = np.tile(np.array(WALL, np.uint8), (width, height, 1))
    grid[1:-1, 1:-1] = EMPTY
    grid[width - 2, height - 2] = BALL
    return grid


def episode(poses, actions, maps, index, success=True, carrying=None, mission="go to the red ball"):
    """One episode for `pack`, reward -1 a step and 0 at success."""
    count = len(actions)
    agent = np.zeros((count + 1, 19), np.uint8)
    agent[:, :3], agent[:, 3:6] = poses, poses[0]
    if carrying is not None:
        agent[:, 6:8] = carrying
    rewards = np.full(count, -1.0, np.float32)
    rewards[-1] += success
    ends = np.arange(count) == count - 1
    return {
        "observations": {"agent": agent, "map": np.array(index, np.int32)},
        "actions": np.array(actions),
        "rewards": rewards,
        "terminations": ends & success,
        "truncations": ends & (not success),
        "maps": np.stack(maps),
        "context": {"mission": encode_mission(mission), "success": np.array(success)},
    }


def walk(actions, start=(1, 1, 0), size=(6, 5), success=True) -> Trajectories:
    """One episode of turns and steps forward through an empty room."""
    poses = [np.array(start)]
    for action in actions:
        x, y, heading = poses[-1]
        if action == 2:
            x, y = np.array((x, y)) + ((1, 0), (0, 1), (-1, 0), (0, -1))[heading]
        poses.append(np.array((x, y, (heading + TURNS.get(action, 0)) % 4)))
    still = [0] * (len(actions) + 1)
    return pack([episode(np.array(poses), actions, [room(*size)], still, success)])


def through_a_door() -> Trajectories:
    """Take a yellow key, open a door, walk through it: the map changes after steps 1 and 2."""
    closed = room(7, 4)
    closed[3, 1:3] = WALL
    closed[3, 1], closed[1, 2] = DOOR_CLOSED, KEY
    taken, opened = closed.copy(), closed.copy()
    taken[1, 2] = opened[1, 2] = EMPTY
    opened[3, 1] = DOOR_OPEN
    poses = [(2, 1, 0), (2, 1, 0), (2, 1, 0), (3, 1, 0), (4, 1, 0)]
    carrying = [(0, 0), (5, 4), (5, 4), (5, 4), (5, 4)]
    steps = episode(
        poses, [3, 5, 2, 2], [closed, taken, opened], [0, 1, 2, 2, 2], carrying=carrying
    )
    return pack([steps])
