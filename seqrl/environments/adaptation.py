"""Levels that no model was trained on: lava in the way, and rooms become mazes.

LEAP (Chen et al., 2023) tests what an energy added at test time is good for on levels of three
difficulties, which neither paper nor code defines by numbers. These are ours, after what its code
has of them; their scores are no measure of the paper's.
"""

from __future__ import annotations

from typing import Any

from minigrid.core.world_object import Lava
from minigrid.envs.babyai.core.roomgrid_level import RejectSampling, RoomGridLevel
from minigrid.envs.babyai.core.verifier import GoToInstr, ObjDesc

from seqrl.environments.grid_observation import HEADINGS

Cell = tuple[int, int]


class LavaLevel(RoomGridLevel):
    """A level of going to an object in which entering lava ends the episode without success.

    So it does where the target is in front after that step, which BabyAI would count. There is
    always a way to the target that enters no lava.
    """

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As BabyAI's, but lava is failure."""
        observation, reward, terminated, truncated, info = super().step(action)
        if isinstance(self.grid.get(*self.agent_pos), Lava):
            reward, terminated = 0, True
        return observation, reward, terminated, truncated, info

    def _add_lava(self, cells: list[Cell]) -> None:
        """Lava on those of the cells that are empty; another map where this leaves no way."""
        here = int(self.agent_pos[0]), int(self.agent_pos[1])
        for cell in cells:
            if self.grid.get(*cell) is None and cell != here:
                self.grid.set(*cell, Lava())
        target = tuple(int(x) for x in self.target.init_pos)
        if target not in _reached(self.grid, here):
            raise RejectSampling("the lava leaves no way to the target")

    def _go_to(self, target: Any) -> None:
        self.target = target
        self.instrs = GoToInstr(ObjDesc(target.type, target.color))


class GoToLocalLava(LavaLevel):
    """One room, one target, and lava across both straight legs of the way there.

    The target is at least three columns and three rows away. In the middle of the leg along the
    agent's row and of the leg along its column lies a bar of lava across it, `width` cells long
    (1: one cell to walk around; 3: a wall to walk around). The other two legs are free, so that
    of the two ways with a single turn neither is.
    """

    def __init__(self, room_size: int = 8, width: int = 1, **kwargs: Any) -> None:
        self.bar = width
        super().__init__(num_rows=1, num_cols=1, room_size=room_size, **kwargs)

    def gen_mission(self) -> None:
        """A map with its target and its lava."""
        self.place_agent()
        target, (tx, ty) = self.add_object(0, 0)
        x, y = (int(n) for n in self.agent_pos)
        dx, dy = int(tx) - x, int(ty) - y
        if min(abs(dx), abs(dy)) < 3:
            raise RejectSampling("the target is too near")
        self._go_to(target)
        across = range(-(self.bar // 2), self.bar // 2 + 1)
        half_x, half_y = ((abs(d) + 1) // 2 * (1 if d > 0 else -1) for d in (dx, dy))
        on_row = [(x + half_x, y + k) for k in across]
        on_column = [(x + k, y + half_y) for k in across]
        self._add_lava([*on_row, *on_column])


class MazeLava(LavaLevel):
    """The maze of GoToObjMazeS4, all doors open, with some cells of lava anywhere but in doors."""

    def __init__(
        self, room_size: int = 4, num_rows: int = 3, num_cols: int = 3, lava: int = 4, **kwargs: Any
    ) -> None:
        self.lava = lava
        super().__init__(room_size=room_size, num_rows=num_rows, num_cols=num_cols, **kwargs)

    def gen_mission(self) -> None:
        """A maze with its target and its lava."""
        self.place_agent()
        self.connect_all()
        self._go_to(self.add_distractors(num_distractors=1, all_unique=False)[0])
        self.check_objs_reachable()
        self.open_all_doors()
        cells = [(x, y) for x in range(self.width) for y in range(self.height)]
        here = tuple(int(x) for x in self.agent_pos)
        empty = [cell for cell in cells if self.grid.get(*cell) is None and cell != here]
        self._add_lava(self._rand_subset(empty, self.lava))


class GoToLocalComposition(LavaLevel):
    """A room of 10 x 10, the target three columns and three rows away, four cells of lava.

    One lies on each leg of the two ways with a single turn: the second cell of the first legs, the
    first one of the second legs. So the way is a staircase between them. `num_dists` other objects
    stand in the room.
    """

    def __init__(self, num_dists: int = 0, **kwargs: Any) -> None:
        self.num_dists = num_dists
        super().__init__(num_rows=1, num_cols=1, room_size=10, **kwargs)

    def gen_mission(self) -> None:
        """A map with its target and its lava."""
        self.place_agent()
        target, (tx, ty) = self.add_object(0, 0)
        x, y = (int(n) for n in self.agent_pos)
        dx, dy = int(tx) - x, int(ty) - y
        if abs(dx) != 3 or abs(dy) != 3:
            raise RejectSampling("the target is at another distance")
        self._go_to(target)
        sx, sy = dx // 3, dy // 3
        self._add_lava([(x + 2 * sx, y), (x + dx, y + sy), (x, y + 2 * sy), (x + sx, y + dy)])
        self.add_distractors(num_distractors=self.num_dists, all_unique=False)
        self.check_objs_reachable()
        self._add_lava([])  # the others leave a way, too
        if len(self.instrs.desc.find_matching_objs(self)[0]) != 1:
            raise RejectSampling("there is a second target")


def _reached(grid: Any, start: Cell) -> set[Cell]:
    """The cells that can be entered, or stood in front of, from a start without entering lava."""
    seen, left = {start}, [start]
    while left:
        x, y = left.pop()
        thing = grid.get(x, y)
        if thing is not None and (isinstance(thing, Lava) or not thing.can_overlap()):
            continue
        for dx, dy in HEADINGS:
            cell = (x + dx, y + dy)
            if cell not in seen and 0 <= cell[0] < grid.width and 0 <= cell[1] < grid.height:
                seen.add(cell)
                left.append(cell)
    return seen
