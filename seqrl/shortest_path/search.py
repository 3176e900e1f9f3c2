"""A* search where doors must be opened or objects moved between the clauses of a mission."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from seqrl.shortest_path.clauses import Clauses
from seqrl.shortest_path.cost_to_go import FAR, CostToGo, Grid, World

LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE, DONE = range(7)
LEFT_OF, RIGHT_OF = (3, 0, 1, 2), (1, 2, 3, 0)
LIMIT = 30_000  # expanded states; reached only in large mazes full of obstacles

State = tuple[World, int, int]  # what stands where, clauses done, pose


class Search:
    """Plans from one state of a level; its lower bound is flooded once and serves every pose.

    The actions are all of MiniGrid's, except that no door is shut again without need and that only
    objects of the mission's pick-up clauses may be picked up. `clearing` lifts that restriction and
    gives up optimality: the bound is weighted by 4.
    """

    def __init__(
        self, grid: Grid, clauses: Clauses, world: World, weight: int = 1, clearing: bool = False
    ) -> None:
        self._grid, self._clauses, self._root = grid, clauses, world
        self._weight, self._clearing = weight, clearing
        self._worlds = {world.key: world}
        movable = {id(thing) for thing in world.things.values()} if clearing else clauses.pick_up
        self._bound = CostToGo(
            grid, clauses, world, False, frozenset(movable), clauses.carried_off(world.carried)
        )

    def plan(self, done: int, pose: int) -> list[tuple[State, int]]:
        """States and the actions to take in them, the first one last; empty where there is none."""
        start = (self._root, done, pose)
        before: dict[State, tuple[State, int] | None] = {start: None}
        cost = {start: 0}
        bound = self._lower_bound(start)
        queue = [(bound, bound, 0, start)]  # ties: the nearer to the end, then the older
        pushed = 0
        while queue and pushed < 3 * LIMIT:
            value, bound, _, state = heapq.heappop(queue)
            if bound >= FAR:
                break
            if state[1] == self._clauses.all:
                return _trace(before, state)
            reached = cost[state]
            if value > reached + self._weight * bound:
                continue  # a cheaper way to this state has been expanded
            for action, after in self._moves(state):
                if reached + 1 < cost.get(after, FAR):
                    cost[after], before[after] = reached + 1, (state, action)
                    bound = self._lower_bound(after)
                    pushed += 1
                    value = reached + 1 + self._weight * bound
                    heapq.heappush(queue, (value, bound, pushed, after))
        return []

    def _lower_bound(self, state: State) -> int:
        world, done, pose = state
        must_drop = world.carried is not None and self._clauses.picking & ~done
        return self._bound.layer(done)[pose] + (1 if must_drop else 0)

    def _moves(self, state: State) -> Iterator[tuple[int, State]]:
        """Every action worth considering and the state after it."""
        world, done, pose = state
        heading, step = pose & 3, self._grid.step[pose & 3]
        front = (pose >> 2) + step
        turn = pose - heading
        yield LEFT, self._after(world, done, turn + LEFT_OF[heading])
        yield RIGHT, self._after(world, done, turn + RIGHT_OF[heading])
        if world.free[front]:
            yield FORWARD, self._after(world, done, pose + 4 * step)
        yield DONE, self._after(world, done, pose)
        yield from self._hands(world, done, pose, front)

    def _hands(self, world: World, done: int, pose: int, front: int) -> Iterator[tuple[int, State]]:
        """Opening, picking up and dropping."""
        clauses, left = self._clauses, self._clauses.all & ~done
        if front in self._grid.doors:
            bits = clauses.open_door.get(id(self._grid.doors[front]), 0)
            if front in world.shut:
                yield TOGGLE, self._after(self._same(world.toggled(front)), done, pose, bits)
            elif world.free[front] and bits & left:  # it counts when it is opened: shut it first
                yield TOGGLE, self._after(self._same(world.toggled(front)), done, pose)
        carried = world.carried
        if carried is None and front in world.things:
            bits = clauses.pick_up.get(id(world.things[front]), 0)
            if self._clearing or clauses.advance(done, bits) != done:
                yield PICKUP, self._after(self._same(world.lifted(front)), done, pose, bits)
        matters = carried is not None and left & (
            clauses.picking | clauses.go_to.get(id(carried), 0)
        )
        if (
            (matters or (self._clearing and carried is not None))
            and world.free[front]
            and front not in world.things
            and front not in self._grid.covered
        ):
            world = world.dropped(front, clauses, self._grid.doors)
            yield DROP, self._after(self._same(world), done, pose)

    def _after(self, world: World, done: int, pose: int, bits: int = 0) -> State:
        """The state after a step that ends here, with the clauses that it satisfies counted."""
        bits |= world.facing.get((pose >> 2) + self._grid.step[pose & 3], 0)
        if pose >> 2 in self._grid.goals:
            bits |= self._clauses.reach
        return world, self._clauses.advance(done, bits), pose

    def _same(self, world: World) -> World:
        """One object for equal worlds, so that states compare by identity."""
        return self._worlds.setdefault(world.key, world)


def _trace(before: dict[State, tuple[State, int] | None], state: State) -> list[tuple[State, int]]:
    plan: list[tuple[State, int]] = []
    while (step := before[state]) is not None:
        plan.append(step)
        state = step[0]
    return plan
