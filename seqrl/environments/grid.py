"""Grid worlds: BabyAI and MiniGrid levels behind one observation, one reward and one split.

MiniGrid computes the agent's view cell by cell at every step, which is most of its cost. Here the
level only moves; the observation is cut from a map that is encoded at reset and kept up to date.
"""

from __future__ import annotations

import contextlib
import io
from collections import deque
from functools import cache
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from seqrl import seeds
from seqrl.environments import levels
from seqrl.environments.batch import Envs, Observation
from seqrl.environments.grid_observation import (
    ACTIONS,
    AGENT,
    AGENT_SIZE,
    HEADINGS,
    HISTORY,
    NO_ACTION,
    encode_cell,
    encode_grid,
    partial_view,
)
from seqrl.environments.levels import LEVELS
from seqrl.environments.missions import (
    MISSION_LENGTH,
    VOCABULARY,
    decode_mission,
    encode_mission,
)

__all__ = [
    "ACTIONS",
    "AGENT",
    "LEVELS",
    "MISSION_LENGTH",
    "VOCABULARY",
    "GridEnv",
    "decode_mission",
    "encode_mission",
    "make_env",
    "make_envs",
]

Reward = Literal["step", "end"]
View = Literal["full", "partial"]
Split = Literal["data", "test"]
MAX_DRAWS = 1000  # maps drawn at reset before a level is said to have none in its split
PROBES = 60  # maps drawn once to see how many a level has


def make_env(
    name: str,
    reward: Reward | None = None,
    view: View | None = None,
    split: Split = "data",
    show_carried: bool | None = None,
) -> GridEnv:
    """A grid world by name: `LEVELS`, KeyToDoor, any BabyAI or MiniGrid id (`levels.resolve`).

    reward: "step" is -1 a step and 0 on the step that succeeds; "end" is the level's own, in
        BabyAI and MiniGrid 1 - 0.9 t / t_max at success.
    view: "full" observes the whole map, "partial" MiniGrid's 7 x 7 cells ahead of the agent.
    split: "data" or "test"; the two never share a map, whatever seeds they are given (`split_by`).
    show_carried: False leaves what the agent carries out of the observation.
    None takes the level's default: "step", "full", True; for KeyToDoor "end", "partial", False.
    Raises ValueError for an unknown name (it names the nearest ones) or an unknown choice.
    """
    usual = levels.defaults(name)
    reward = usual["reward"] if reward is None else reward
    view = usual["view"] if view is None else view
    show_carried = usual["show_carried"] if show_carried is None else show_carried
    for given, choices in ((reward, Reward), (view, View), (split, Split)):
        if given not in get_args(choices):
            allowed = " or ".join(map(repr, get_args(choices)))
            raise ValueError(f"{given!r} is no choice here; it must be {allowed}.")
    full_name, level = levels.make_level(name)
    return GridEnv(full_name, level, reward, view, split, show_carried)


def make_envs(name: str, num_envs: int, **kwargs: Any) -> Envs:
    """`num_envs` environments of one level, side by side; `kwargs` as for `make_env`."""
    return Envs([make_env(name, **kwargs) for _ in range(num_envs)])


class GridEnv(gym.Wrapper):
    """A MiniGrid level with symbolic observations; `.unwrapped` is the level itself.

    Observation, W and H the sides of the grid, cells (type, color, state), indexed [x, y]:
        "map"      (W, H, 3) uint8, without the agent and without what it carries
        "agent"    (19,) uint8, its fields in `AGENT`
        "mission"  (72,) uint8 word tokens, 0 = padding, 1 = unknown word
    With the partial view, "view" (7, 7, 3) uint8 is in place of "map", and of "pose" and "start"
    only the headings are given. Actions: `ACTIONS`. `info["success"]` says at every step whether
    the mission has just been accomplished; an episode may also end without it (lava).
    """

    def __init__(
        self,
        name: str,
        level: Any,
        reward: Reward,
        view: View,
        split: Split,
        show_carried: bool,
    ) -> None:
        super().__init__(level)
        self.name, self.level = name, level
        self.width, self.height = int(level.width), int(level.height)
        self.reward, self.view, self.split, self.show_carried = reward, view, split, show_carried
        self._padding = level.agent_view_size - 1 if view == "partial" else 0
        self._map = np.empty((0, 0, 3), np.uint8)  # empty until the first reset
        self.action_space = spaces.Discrete(len(ACTIONS))
        size = level.agent_view_size
        sides = (size, size) if view == "partial" else (self.width, self.height)
        words = spaces.Box(0, len(VOCABULARY) - 1, (MISSION_LENGTH,), np.uint8)
        self.observation_space = spaces.Dict(
            {
                "view" if view == "partial" else "map": spaces.Box(0, 255, (*sides, 3), np.uint8),
                "agent": spaces.Box(0, 255, (AGENT_SIZE,), np.uint8),
                "mission": words,
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode on the first map of this split among those that follow from `seed`.

        Without a seed, one is drawn from the level's own generator. `info["seed"]` is the seed
        of the map in the end, `info["mission"]` the mission's text. `options` are not used.
        Raises RuntimeError where 1,000 draws give no map of the split.
        """
        if seed is None:
            seed = int(self.level.np_random.integers(2**63))
        drawn, by = seed, split_by(self.name)
        if by is None and self.split == "test":
            raise RuntimeError(
                f"{self.name} has a single map, so none can be kept for tests; all of it is data."
            )
        for draw in range(MAX_DRAWS):
            drawn = seed if draw == 0 else seeds.derive(self.split, "redraw", seed, draw)
            self._generate(drawn)
            if by is None or seeds.held_out(self._content(by)) == (self.split == "test"):
                break
        else:
            raise RuntimeError(
                f"{self.name} gave no map of the {self.split!r} split in {MAX_DRAWS:,} draws."
            )
        self._start = self._pose()
        self._history = deque([NO_ACTION] * HISTORY, maxlen=HISTORY)
        self._mission = encode_mission(self.level.mission)
        return self._observe(), {"mission": self.level.mission, "seed": drawn}

    def step(
        self, action: int | np.integer
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take one action; `info["success"]` is True on the step that accomplishes the mission."""
        if not self._map.size:
            raise gym.error.ResetNeeded("call reset before the first step.")
        action, front = int(action), self._front()
        with _no_view(self.level):
            _, own_reward, terminated, truncated, info = self.level.step(action)
        self._update_map(front, action)
        self._history.appendleft(action)
        success = bool(terminated and own_reward > 0)
        reward = float(success) - 1.0 if self.reward == "step" else float(own_reward)
        info = {**info, "success": success}
        return self._observe(), reward, bool(terminated), bool(truncated), info

    def _generate(self, seed: int) -> None:
        """Let the level make a map, without its view and without what it prints."""
        with contextlib.redirect_stdout(io.StringIO()), _no_view(self.level):
            self.level.reset(seed=seed)
        self._cells = list(self.level.grid.grid)
        self._map = encode_grid(self._cells, self.width, self.height, self._padding)

    def _content(self, by: str) -> bytes:
        """What makes a map this map, for the split: its cells, or how the episode starts too."""
        grid = self._inside().tobytes()
        if by == "grid":
            return grid
        state = bytes([*self._pose(), *encode_cell(self.level.carrying)])
        return grid + state + self.level.mission.encode()

    def _update_map(self, front: tuple[int, int], action: int) -> None:
        """Re-encode the cells that the step has changed: the one in front, or any that moved."""
        cells = self.level.grid.grid
        changed = set()
        if cells != self._cells:  # compares by identity, so it is cheap
            pairs = enumerate(zip(cells, self._cells))
            changed = {divmod(i, self.width)[::-1] for i, (new, old) in pairs if new is not old}
            self._cells = list(cells)
        if action >= ACTIONS.index("pickup"):  # a door stays the same object when it opens
            changed.add(front)
        for x, y in changed:
            code = encode_cell(cells[y * self.width + x])
            self._map[x + self._padding, y + self._padding] = code

    def _inside(self) -> np.ndarray:
        """The map without its padding."""
        pad = self._padding
        return self._map[pad : pad + self.width, pad : pad + self.height]

    def _pose(self) -> tuple[int, int, int]:
        x, y = self.level.agent_pos
        return int(x), int(y), int(self.level.agent_dir)

    def _front(self) -> tuple[int, int]:
        x, y, heading = self._pose()
        dx, dy = HEADINGS[heading]
        return x + dx, y + dy

    def _observe(self) -> Observation:
        grid, pad = self._map, self._padding
        pose, start = self._pose(), self._start
        carried = None
        if self.show_carried and self.level.carrying is not None:
            carried = encode_cell(self.level.carrying)
        x, y = self._front()
        front = grid[x + pad, y + pad].tolist()
        if self.view == "full":
            world = {"map": grid.copy()}
        else:
            size, transparent = self.level.agent_view_size, self.level.see_through_walls
            world = {"view": partial_view(grid, pose, size, carried, transparent)}
            pose, start = (0, 0, pose[2]), (0, 0, start[2])
        fields = [*pose, *start, *(carried or (0, 0))[:2], *front, *self._history]
        return {**world, "agent": np.array(fields, np.uint8), "mission": self._mission.copy()}


@cache
def split_by(name: str) -> str | None:
    """What decides whether a map of this level is for data or for tests; found by drawing some.

    "grid": its cells, whatever the start and the mission. "start": cells, pose and mission, where
    a level has too few grids to keep some of them apart, like an empty room. None: a single map.
    """
    env = GridEnv(name, levels.make_level(name)[1], "step", "full", "data", True)
    found: dict[str, set[bytes]] = {"grid": set(), "start": set()}
    for probe in range(PROBES):
        env._generate(seeds.derive("data", "probe", probe))
        for by, contents in found.items():
            contents.add(env._content(by))
    for by, contents in found.items():
        if len(contents) >= PROBES / 4:
            return by
    return "start" if len(found["start"]) > 1 else None


@contextlib.contextmanager
def _no_view(level: Any):
    """Within it, the level computes no view of its own."""
    level.gen_obs = dict
    try:
        yield
    finally:
        del level.gen_obs


levels.register()
