"""What stands where in a grid world, and the number of actions to success from every pose.

A pose is (cell, heading) as one integer, 4 * (y * width + x) + heading, headings as in MiniGrid: 0
right, 1 down, 2 left, 3 up.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from seqrl.shortest_path.clauses import Clauses

FAR = 1 << 30


class World:
    """What stands where, as far as actions can change it, and what the agent carries.

    `things`: cell to portable object. `shut`: cells of closed, unlocked doors. `facing`: cell to
    the bits of the go-to clauses that facing it satisfies. `free`: may the agent enter this cell?
    """

    __slots__ = ("carried", "facing", "free", "key", "shut", "things")

    def __init__(
        self,
        things: dict[int, Any],
        shut: frozenset[int],
        carried: Any,
        facing: dict[int, int],
        free: list[bool],
    ) -> None:
        self.things, self.shut, self.carried = things, shut, carried
        self.facing, self.free = facing, free
        placed = frozenset((cell, id(thing)) for cell, thing in things.items())
        self.key = (placed, shut, id(carried), frozenset(facing.items()))  # equal for equal worlds

    def toggled(self, door: int) -> World:
        """The world after opening or shutting the door in that cell."""
        free = self.free.copy()
        free[door] = not free[door]
        return World(self.things, self.shut ^ {door}, self.carried, self.facing, free)

    def lifted(self, cell: int) -> World:
        """The world after picking up what lies in that cell."""
        things, free = self.things.copy(), self.free.copy()
        carried = things.pop(cell)
        free[cell] = True
        return World(things, self.shut, carried, self.facing, free)

    def dropped(self, cell: int, clauses: Clauses, doors: dict[int, Any]) -> World:
        """The world after dropping into that cell; the verifier looks for all objects anew."""
        things, free = self.things | {cell: self.carried}, self.free.copy()
        free[cell] = False
        facing = {
            at: clauses.go_to[id(thing)]
            for at, thing in (things | doors).items()
            if id(thing) in clauses.go_to
        }
        return World(things, self.shut, None, facing, free)


class Grid:
    """What no action changes: step[heading] to the next cell, doors, goals, and covered cells."""

    def __init__(self, level: Any) -> None:
        self.width = level.width
        self.step = (1, level.width, -1, -level.width)
        self.doors: dict[int, Any] = {}
        self.goals: set[int] = set()
        self.covered: set[int] = set()  # by something that one can walk on but not drop things on
        for cell, thing in enumerate(level.grid.grid):
            if thing is None or thing.type == "wall":
                continue
            if thing.type == "door":
                self.doors[cell] = thing
            elif thing.type == "goal":
                self.goals.add(cell)
            if not thing.can_pickup():
                self.covered.add(cell)


def read_world(level: Any, clauses: Clauses) -> World:
    """The present state of a MiniGrid level; locked doors, lava and walls are never free."""
    things, shut, free = {}, [], []
    for cell, thing in enumerate(level.grid.grid):
        free.append(thing is None or (thing.can_overlap() and thing.type != "lava"))
        if thing is None or thing.type == "wall":
            continue
        if thing.can_pickup():
            things[cell] = thing
        elif thing.type == "door" and not thing.is_open and not thing.is_locked:
            shut.append(cell)
    facing = clauses.facing(level.width)
    return World(things, frozenset(shut), level.carrying, facing, free)


class CostToGo:
    """The number of actions to success from every pose while no object moves.

    Exact, a shut door costs the action that opens it. Else the cost is a lower bound for the search
    below: shut doors cost nothing, nor do the cells of `movable` objects, and the clauses
    `anywhere`, whose objects may be carried off, count as satisfied at every pose. Where arriving
    at a pose satisfies a clause, its cost is that after counting it.
    """

    def __init__(
        self,
        grid: Grid,
        clauses: Clauses,
        world: World,
        exact: bool = True,
        movable: frozenset[int] = frozenset(),
        anywhere: int = 0,
    ) -> None:
        self._grid, self._clauses, self._anywhere = grid, clauses, anywhere
        self._enter = [int(free) for free in world.free]  # the actions that entering takes; 0 never
        for cell in world.shut:
            self._enter[cell] = 2 if exact else 1
        for cell, thing in world.things.items():
            if id(thing) in movable:
                self._enter[cell] = 1
        # What satisfies clauses: cell to be faced -> bits, number of actions there.
        facing = world.facing
        self.go_to = {cell: (bits, 0) for cell, bits in facing.items()}
        self.pick_up = {
            cell: (clauses.pick_up[id(thing)] | facing.get(cell, 0), 1)
            for cell, thing in world.things.items()
            if id(thing) in clauses.pick_up
        }
        self.open_door = {
            cell: (
                clauses.open_door[id(door)] | facing.get(cell, 0),
                2 if exact and cell not in world.shut else 1,
            )
            for cell, door in grid.doors.items()
            if id(door) in clauses.open_door and not door.is_locked
        }
        self._layers: dict[int, list[int]] = {}

    def layer(self, done: int) -> list[int]:
        """Costs by pose when the clauses `done` are done; FAR where there is no way."""
        done = self._clauses.advance(done, self._anywhere)
        if done not in self._layers:
            if done == self._clauses.all:
                self._layers[done] = [0] * (4 * len(self._enter))
            else:
                self._layers[done] = self._flood(self._sources(done))
        return self._layers[done]

    def _sources(self, done: int) -> dict[int, int]:
        sources: dict[int, int] = {}
        aims = chain(self.go_to.items(), self.pick_up.items(), self.open_door.items())
        for cell, (bits, actions) in aims:
            after = self._clauses.advance(done, bits)
            if after == done:
                continue
            onward = self.layer(after)
            for heading, step in enumerate(self._grid.step):
                pose = 4 * (cell - step) + heading
                if 0 <= pose < len(onward) and self._enter[pose >> 2] and onward[pose] < FAR:
                    sources[pose] = min(sources.get(pose, FAR), actions + onward[pose])
        if self._clauses.reach:
            sources |= {4 * goal + heading: 0 for goal in self._grid.goals for heading in range(4)}
        return sources

    def _flood(self, sources: dict[int, int]) -> list[int]:
        enter, step = self._enter, self._grid.step
        cost = [FAR] * (4 * len(enter))
        waiting: list[list[int]] = [[] for _ in range(1 + max(sources.values(), default=0))]
        for pose, value in sources.items():
            cost[pose] = value
            waiting[value].append(pose)
        value = -1
        while (value := value + 1) < len(waiting):
            if not waiting[value]:
                continue
            waiting += [[] for _ in range(value + 3 - len(waiting))]
            one_more = waiting[value + 1]
            for pose in waiting[value]:
                if cost[pose] < value:
                    continue
                for turned in (pose ^ 1, pose ^ 3):  # the headings to the left and the right
                    if cost[turned] > value + 1:
                        cost[turned] = value + 1
                        one_more.append(turned)
                before = pose - 4 * step[pose & 3]  # the pose from which one steps forward
                total = value + enter[pose >> 2]
                if cost[before] > total and enter[before >> 2]:
                    cost[before] = total
                    waiting[total].append(before)
        return cost
