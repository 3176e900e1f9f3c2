"""The next action of a shortest way to success in a grid world whose whole map is known.

Where nothing has to be opened or moved between clauses, going downhill in the exact cost-to-go is
optimal. Elsewhere its lower bound guides an A* search over poses, clauses done, opened doors and
moved objects, which is optimal too. Objects that the mission does not name stay where they are,
unless no way leads around them: then they may be carried off, by a search that does not promise
the shortest sequence.
"""

from __future__ import annotations

from typing import Any

from seqrl.shortest_path.clauses import Clauses, NotApplicable
from seqrl.shortest_path.cost_to_go import FAR, CostToGo, Grid, read_world
from seqrl.shortest_path.search import (
    DONE,
    FORWARD,
    LEFT,
    LEFT_OF,
    PICKUP,
    RIGHT,
    RIGHT_OF,
    TOGGLE,
    Search,
    State,
)

MODES = ((1, False), (4, False), (4, True))  # of the search: weight of the bound, clearing


class Planner:
    """Finds the next action of a shortest way to success in one MiniGrid level.

    Make one after each reset. It looks at the level again at every call, so that it may also advise
    another policy or be disturbed by noise. Raises NotApplicable for missions that it cannot solve.
    """

    def __init__(self, level: Any) -> None:
        self._level = level
        try:
            self._prepare()
        except NotApplicable as reason:
            message = f'the shortest path to "{level.mission}" is not known: {reason}'
            raise NotApplicable(message) from None

    def _prepare(self) -> None:
        if hasattr(self._level, "obstacles"):
            raise NotApplicable("obstacles move by themselves.")
        self._clauses = Clauses(self._level)
        self._plan: list[tuple[State, int]] = []  # states and actions, the present one last
        self._look()
        if self.action() is None:
            locked = any(door.is_locked for door in self._doors)
            raise NotApplicable("it takes unlocking a door." if locked else "no way leads there.")

    def action(self) -> int | None:
        """The next action of a shortest way to success from here; None where there is none."""
        if self._changed():
            self._look()
        level = self._level
        x, y = level.agent_pos
        pose = 4 * (int(y) * level.width + int(x)) + int(level.agent_dir)
        done = self._clauses.done()
        if self._no_search_needed(done):
            action = self._downhill(done, pose)
            if action is not None:
                return action
        if not self._planned_for(done, pose):
            if self._plan:
                self._plan.pop()
            if not self._planned_for(done, pose):
                self._plan = self._search(done, pose)
        return self._plan[-1][1] if self._plan else None

    def _planned_for(self, done: int, pose: int) -> bool:
        if not self._plan:
            return False
        world, *expected = self._plan[-1][0]
        return expected == [done, pose] and world.key == self._world.key

    def _search(self, done: int, pose: int) -> list[tuple[State, int]]:
        """A plan from here: the optimal one, else one found faster, else one that moves objects."""
        for mode in MODES:
            if (done, mode) in self._hopeless:
                continue
            if mode not in self._searches:
                self._searches[mode] = Search(self._grid, self._clauses, self._world, *mode)
            plan = self._searches[mode].plan(done, pose)
            if plan:
                return plan
            self._hopeless.add((done, mode))
        return []

    def _changed(self) -> bool:
        """Does the level differ from what was read? Lists of objects compare by identity: cheap."""
        level = self._level
        return (
            level.grid.grid != self._cells
            or level.carrying is not self._world.carried
            or [door.is_open for door in self._doors] != self._open
        )

    def _look(self) -> None:
        level = self._level
        self._cells: list[Any] = list(level.grid.grid)
        self._grid = Grid(level)
        self._doors = list(self._grid.doors.values())
        self._open = [door.is_open for door in self._doors]
        self._world = read_world(level, self._clauses)
        self._exact: CostToGo | None = None
        self._searches: dict[tuple[int, bool], Search] = {}  # of this world, by mode
        self._hopeless: set[tuple[int, tuple[int, bool]]] = set()  # searches that found nothing

    def _no_search_needed(self, done: int) -> bool:
        """Is the exact cost-to-go the whole truth?

        It is where only one clause is left, or only go-to clauses and no shut door (a way might
        lead through a door twice), and nothing carried has to be dropped first.
        """
        clauses, carried = self._clauses, self._world.carried
        left = clauses.all & ~done
        if carried is not None and left & (clauses.picking | clauses.go_to.get(id(carried), 0)):
            return False
        return left & (left - 1) == 0 or not (left & ~clauses.going or self._world.shut)

    def _downhill(self, done: int, pose: int) -> int | None:
        """The action that leads to the cheapest pose; forward before left before right."""
        if self._exact is None:
            self._exact = CostToGo(self._grid, self._clauses, self._world)
        exact, world = self._exact, self._world
        cost = exact.layer(done)
        cell, heading = pose >> 2, pose & 3
        step = self._grid.step[heading]
        turn = pose - heading
        options = [
            (cost[turn + LEFT_OF[heading]], 1, LEFT),
            (cost[turn + RIGHT_OF[heading]], 2, RIGHT),
        ]
        front = cell + step
        if world.free[front]:
            options.append((cost[pose + 4 * step], 0, FORWARD))
        elif front in world.shut:
            options.append((cost[pose + 4 * step] + 1, 0, TOGGLE))
        here = world.facing.get(front, 0)
        if (after := self._clauses.advance(done, here)) != done:
            options.append((exact.layer(after)[pose], 3, DONE))
        for aims, action in ((exact.pick_up, PICKUP), (exact.open_door, TOGGLE)):
            if front in aims:
                bits, actions = aims[front]
                if (after := self._clauses.advance(done, bits | here)) != done:
                    options.append((exact.layer(after)[pose] + actions - 1, -1, action))
        best = min(options)
        return best[2] if best[0] < FAR else None
