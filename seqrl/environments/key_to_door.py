"""Key-to-Door: what is done in the first room decides what the last one is worth.

The task of the Decision Transformer paper's question about credit over a long time, as a MiniGrid
level. The code of that paper's version was never released; every choice of this one is listed with
`KeyToDoor`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from minigrid.core.constants import COLOR_NAMES
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Ball, Door, Key
from minigrid.minigrid_env import MiniGridEnv

from seqrl.environments.grid_observation import ACTIONS, AGENT, HEADINGS

if TYPE_CHECKING:
    from seqrl.trajectories import Trajectories

PHASES = (9, 11, 10)  # steps in the room of the key, of the balls and of the door
BALLS = 3
MISSION = "get the key, then go to the door"

_SIDE = 5  # of a room, in cells, its own walls included; the rooms stand side by side
_AROUND = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if (dx, dy) != (0, 0)]
_NOT_BEHIND = [(dx, dy) for dx, dy in _AROUND if dx >= 0]
_TOUCHING = [ACTIONS.index(name) for name in ("pickup", "drop", "toggle")]
_PICKUP, _DONE = ACTIONS.index("pickup"), ACTIONS.index("done")
_KEY_TYPE = 5


class KeyToDoor(MiniGridEnv):
    """Three rooms, one after the other: a key, three balls, a door; 30 steps at most.

    The reward is 1 on reaching the door if the key was taken in the first room; all other rewards
    are 0. The episode ends at the door, with or without the key. `info["key_taken"]` and
    `info["door_reached"]` are True on the one step that does it.

    From the paper (Chen, Lu et al., 2021, section 5.4, after Mesnard et al., 2021, and Hung et al.,
    2019): the three rooms in this order, the binary reward, data from uniformly random actions,
    which succeed 3.1 % of the time, a context that holds the whole episode.

    Chosen here, because the paper does not say:
    - Rooms of 3 x 3 cells. The agent begins in the middle of each, facing right. After 9, 11 and 10
      steps the next room begins, whatever the agent has done, so there is no way back and the time
      tells the room. With uniformly random actions (all seven of MiniGrid's) the key is taken in
      16.1 % of episodes and, independently, the door reached in 19.9 %: success in 3.2 %.
    - The key lies on one of the five cells ahead of or beside the agent, so the first view shows
      it. It is taken by `pickup` in front of it.
    - The door is in the middle of one of the last room's four walls; it is reached by standing in
      front of it and facing it, as in BabyAI's missions of going to something. It stays shut.
    - Balls of random colors stand in the second room. One that is picked up vanishes and is worth
      nothing, as an apple of Mesnard et al. without its reward.
    - `drop`, `toggle` and `done` only let time pass.

    Whether the key was taken shows in nothing that is observed after the first room, not even on
    the full map: a key that was left lying is cleared away, and where the carried object is not
    shown, only memory knows. The actions in the agent's `history` reach back 8 steps, fewer than
    the second room lasts, so they forget the `pickup` before the door comes into view.
    """

    def __init__(self, **kwargs: Any) -> None:
        space = MissionSpace(mission_func=lambda: MISSION)
        width = len(PHASES) * _SIDE
        super().__init__(space, width=width, height=_SIDE, max_steps=sum(PHASES), **kwargs)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take one of MiniGrid's seven actions; see the class for what they do here."""
        action, had_key = int(action), self.carrying is not None
        room = self._room()
        _, _, _, truncated, info = super().step(_DONE if action in _TOUCHING else action)
        if action == _PICKUP:
            self._pick_up()
        at_door = room == 2 and self._faces(Door)
        if self._room() != room:
            self._enter(self._room())
        info["key_taken"] = not had_key and self.carrying is not None
        info["door_reached"] = at_door
        reward = float(at_door and had_key)
        return self.gen_obs(), reward, at_door, truncated and not at_door, info

    def _gen_grid(self, width: int, height: int) -> None:
        self.grid = Grid(width, height)
        for room in range(len(PHASES)):
            self.grid.wall_rect(room * _SIDE, 0, _SIDE, _SIDE)
        self._put(Key("yellow"), 0, _NOT_BEHIND)
        for _ in range(BALLS):
            self._put(Ball(self._rand_elem(COLOR_NAMES)), 1, _AROUND)
        self._put(Door("yellow", is_locked=True), 2, [(2 * dx, 2 * dy) for dx, dy in HEADINGS])
        self._enter(0)
        self.mission = MISSION

    def _put(self, thing: Any, room: int, places: list[tuple[int, int]]) -> None:
        """Put something on one of these places around the middle of a room, where no ball is."""
        x, y = _middle(room)
        cells = [(x + dx, y + dy) for dx, dy in places]
        free = [cell for cell in cells if not isinstance(self.grid.get(*cell), Ball)]
        x, y = self._rand_elem(free)
        self.grid.set(x, y, thing)

    def _enter(self, room: int) -> None:
        """Stand in the middle of a room, facing right; a key that was left behind is gone."""
        self.agent_pos, self.agent_dir = _middle(room), 0
        if room:
            self.grid.grid = [None if isinstance(c, Key) else c for c in self.grid.grid]

    def _room(self) -> int:
        """The room that the present time belongs to; the last one when time is up."""
        first, second, _ = PHASES
        return (self.step_count >= first) + (self.step_count >= first + second)

    def _faces(self, kind: type) -> bool:
        return isinstance(self.grid.get(*self.front_pos), kind)

    def _pick_up(self) -> None:
        x, y = self.front_pos
        thing = self.grid.get(x, y)
        if isinstance(thing, Key):
            self.carrying: Any = thing
        if isinstance(thing, (Key, Ball)):
            self.grid.set(x, y, None)


def _middle(room: int) -> tuple[int, int]:
    return room * _SIDE + _SIDE // 2, _SIDE // 2


class Events(NamedTuple):
    """At which step of each episode something happened; -1 where it did not."""

    key: np.ndarray  # (episodes,) int64: the `pickup` that took the key
    door: np.ndarray  # (episodes,) int64: the step that reached the door, always the last one


def events(trajectories: Trajectories) -> Events:
    """When the key was taken and the door reached, in trajectories of Key-to-Door.

    Steps are counted within the episode, from 0. Raises ValueError for another environment.
    """
    env = trajectories.info.get("env")
    if env != KeyToDoor.__name__:
        raise ValueError(f"there is no key and no door in {env!r}, only in 'KeyToDoor'.")
    starts = trajectories.offsets[:-1].numpy(force=True)
    episode = trajectories.episode_of_step.numpy(force=True)
    step = np.arange(trajectories.steps) - starts[episode]
    agent = trajectories.observations["agent"].numpy(force=True)
    front = agent[np.arange(trajectories.steps) + episode, AGENT["front"]][:, 0]
    picked = trajectories.actions.numpy(force=True) == _PICKUP
    key = np.full(len(trajectories), -1)
    taken = picked & (front == _KEY_TYPE)  # once an episode: a key that was taken is gone
    key[episode[taken]] = step[taken]
    ended = trajectories.terminations.numpy(force=True)
    door = np.full(len(trajectories), -1)
    door[episode[ended]] = step[ended]
    return Events(key, door)
