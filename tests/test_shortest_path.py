"""The planner against a plain breadth-first search that takes real steps in the real level."""

import contextlib
import io
from collections import deque
from typing import Any

import numpy as np
import pytest

from seqrl.environments import make_env
from seqrl.environments.grid import LEVELS
from seqrl.shortest_path import NotApplicable, Planner

LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE, DONE = range(7)


def level_of(name) -> Any:
    """The MiniGrid level behind an environment."""
    return make_env(name).unwrapped


def clauses(instr):
    """An instruction and all inside it."""
    inner = [clauses(i) for i in vars(instr).values() if hasattr(i, "verify")]
    return [instr, *(i for instrs in inner for i in instrs)]


def save(level):
    """The whole state of a BabyAI level, and a key that is equal for equal states."""
    doors = [(c, c.is_open) for c in level.grid.grid if c is not None and c.type == "door"]
    notes = []
    for instr in clauses(level.instrs):
        kept = {k: v for k, v in vars(instr).items() if k in ("a_done", "b_done", "preCarrying")}
        places = list(instr.desc.obj_poss) if hasattr(instr, "desc") else None
        notes.append((instr, kept, places))
    pose = (*map(int, level.agent_pos), int(level.agent_dir))
    cells = list(level.grid.grid)
    key = (
        pose,
        id(level.carrying),
        tuple(map(id, cells)),
        tuple(is_open for _, is_open in doors),
        str([({k: str(v) for k, v in kept.items()}, places) for _, kept, places in notes]),
    )
    return (pose, level.carrying, cells, doors, notes), key


def restore(level, state):
    (x, y, heading), level.carrying, cells, doors, notes = state
    level.agent_pos, level.agent_dir, level.grid.grid = (x, y), heading, list(cells)
    for door, is_open in doors:
        door.is_open = is_open
    for instr, kept, places in notes:
        vars(instr).update(kept)
        if places is not None:
            instr.desc.obj_poss = list(places)


def wanted(instr):
    """The ids of the objects that the mission asks to pick up now."""
    name = type(instr).__name__
    if name == "PickupInstr":
        return {id(thing) for thing in instr.desc.obj_set}
    if name == "AndInstr":
        parts = [i for i, flag in ((instr.instr_a, "a_done"), (instr.instr_b, "b_done"))
                 if getattr(instr, flag) != "success"]  # fmt: skip
        return set().union(*map(wanted, parts))
    if name == "BeforeInstr":
        return wanted(instr.instr_b if instr.a_done == "success" else instr.instr_a)
    if name == "AfterInstr":
        return wanted(instr.instr_a if instr.b_done == "success" else instr.instr_b)
    return set()


def brute_force(level):
    """The fewest actions to success, with doors and wanted objects alone toggled and picked up."""
    level.max_steps, level.gen_obs = 10**9, dict
    root, key = save(level)
    seen, queue, answer = {key}, deque([(root, 0)]), None
    while queue and answer is None:
        state, depth = queue.popleft()
        for action in range(7):
            restore(level, state)
            front = level.grid.get(*level.front_pos)
            if action == PICKUP and id(front) not in wanted(level.instrs):
                continue
            if action == TOGGLE and (front is None or front.type != "door"):
                continue
            _, reward, terminated, _, _ = level.step(action)
            if terminated:
                answer = depth + 1 if reward > 0 else answer
                break
            state_after, key = save(level)
            if key not in seen:
                seen.add(key)
                queue.append((state_after, depth + 1))
    restore(level, root)
    return answer


def follow(level):
    """How many actions the planner needs."""
    planner = Planner(level)
    for step in range(1, 300):
        _, reward, terminated, _, _ = level.step(planner.action())
        if terminated:
            assert reward > 0
            return step
    raise AssertionError(f"no success in 300 steps: {level.mission}")


def small_level(**kwargs):
    from minigrid.envs.babyai.core.levelgen import LevelGen

    return LevelGen(
        num_rows=2,
        num_cols=1,
        locked_room_prob=0,
        locations=False,
        unblocking=False,
        action_kinds=["goto", "pickup", "open"],
        **kwargs,
    )


def reset(level, seed):
    with contextlib.redirect_stdout(io.StringIO()):
        level.reset(seed=seed)


@pytest.mark.parametrize("name", [n for n in LEVELS if n != "GoToObjMazeS7"])
def test_as_short_as_brute_force_on_the_course_levels(name):
    level = level_of(name)
    for seed in range(6):
        reset(level, seed)
        shortest = brute_force(level)
        assert follow(level) == shortest, (seed, level.mission)


def test_as_short_as_brute_force_on_combinations_of_going_picking_up_and_opening():
    level = small_level(room_size=5, num_dists=4)
    missions = set()
    for seed in range(60):
        reset(level, seed)
        shortest = brute_force(level)
        assert follow(level) == shortest, (seed, level.mission)
        missions |= set(level.mission.replace(",", "").split())
    assert {"pick", "open", "go", "and", "then", "after"} <= missions


def disturb(level, seed, actions):
    """Random actions, but no box is opened; False if the episode ended."""
    rng = np.random.default_rng(seed)
    for _ in range(actions):
        front = level.grid.get(*level.front_pos)
        action = int(rng.choice([LEFT, RIGHT, FORWARD, FORWARD, PICKUP, PICKUP, DROP, TOGGLE]))
        if action == TOGGLE and front is not None and front.type == "box":
            continue
        if level.step(action)[2]:
            return False
    return True


def test_still_the_shortest_after_noise_has_moved_and_picked_up_things():
    levels = [level_of("PickupLoc"), small_level(room_size=4, num_dists=3)]
    compared = carrying = blocked = 0
    for level in levels:
        for seed in range(40):
            reset(level, seed)
            if disturb(level, seed, 25):
                carrying += level.carrying is not None
                shortest = brute_force(level)
                steps = follow(level)
                if shortest is None:  # only moving other objects helps, which it does not try
                    blocked += 1
                else:
                    assert steps == shortest, (seed, level.mission)
                    compared += 1
    assert compared > 40 and carrying > 10 and blocked > 0


def plain_walk(level):
    """The fewest turns and steps to a goal square, by breadth-first search over empty cells."""
    start = (*map(int, level.agent_pos), int(level.agent_dir))
    depth, queue = {start: 0}, deque([start])
    while queue:
        x, y, heading = pose = queue.popleft()
        dx, dy = ((1, 0), (0, 1), (-1, 0), (0, -1))[heading]
        cell = level.grid.get(x + dx, y + dy)
        if cell is not None and cell.type == "goal":
            return depth[pose] + 1
        ahead = [(x + dx, y + dy, heading)] if cell is None else []
        for after in [*ahead, (x, y, (heading + 1) % 4), (x, y, (heading - 1) % 4)]:
            if after not in depth:
                depth[after] = depth[pose] + 1
                queue.append(after)
    raise AssertionError("no goal square can be reached")


@pytest.mark.parametrize("name", ["LavaCrossingS9N2", "Empty-Random-6x6", "FourRooms"])
def test_the_way_to_the_goal_square_is_shortest_and_leads_around_lava(name):
    level = level_of(f"MiniGrid-{name}-v0")
    for seed in range(8):
        reset(level, seed)
        shortest = plain_walk(level)
        assert follow(level) == shortest


def test_opening_a_door_that_is_open_takes_two_actions():
    level = level_of("BabyAI-OpenRedDoor-v0")
    reset(level, 0)
    shut = follow(level)
    reset(level, 0)
    (door,) = (c for c in level.grid.grid if c is not None and c.type == "door")
    door.is_open = True
    assert follow(level) == shut + 1


def test_objects_are_moved_only_where_no_way_leads_around_them():
    level = level_of("BabyAI-UnblockPickup-v0")
    for seed in range(4):
        reset(level, seed)
        follow(level)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("BabyAI-PutNextLocal-v0", "put one object next to another"),
        ("BabyAI-UnlockLocal-v0", "unlocking a door"),
        ("MiniGrid-DoorKey-5x5-v0", "unlocking a door"),
        ("MiniGrid-Fetch-5x5-N2-v0", "no goal square"),
        ("BabyAI-OpenDoorDebug-v0", "first wrong object"),
        ("MiniGrid-Dynamic-Obstacles-6x6-v0", "obstacles move"),
    ],
)
def test_says_why_it_does_not_apply(name, why):
    level = level_of(name)
    reset(level, 1)
    with pytest.raises(NotApplicable, match=why):
        Planner(level)


def test_without_a_way_it_proposes_nothing_and_recovers_when_there_is_one():
    level = level_of("GoToLocalS7N5")
    reset(level, 3)
    planner = Planner(level)
    from minigrid.core.world_object import Wall

    x, y = map(int, level.agent_pos)
    around = [(x + dx, y + dy) for dx, dy in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    before = {place: level.grid.get(*place) for place in around}
    for place in around:
        level.grid.set(*place, Wall())
    assert planner.action() is None
    for place, thing in before.items():
        level.grid.set(*place, thing)
    assert planner.action() is not None
