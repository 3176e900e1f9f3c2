"""Levels with lava: what lies where, that there is always a way, and that lava is failure."""

import numpy as np
import pytest
import torch

from seqrl.behavior import ShortestPath
from seqrl.environments import make_env, make_envs
from seqrl.environments.levels import ADAPTATION, COMPOSITION, GENERALIZATION, LEVELS
from seqrl.rollout import rollout

torch.set_num_threads(1)
LAVA, FORWARD = 9, 2
WITH_LAVA = (*ADAPTATION, *COMPOSITION)


def maps(name, count=15):
    """(map, agent, target) of some episodes."""
    env = make_env(name)
    for seed in range(count):
        seen, _ = env.reset(seed=seed)
        yield seen["map"], seen["agent"][:3].astype(int), np.array(env.level.target.init_pos)


@pytest.mark.parametrize("name", WITH_LAVA)
def test_there_is_a_way_around_the_lava_and_both_splits_have_maps(name):
    for split in ("data", "test"):
        envs = make_envs(name, 4, split=split)
        data = rollout(ShortestPath(envs), envs, 12, 0, stream=split)
        assert data.success.all()


@pytest.mark.parametrize(("name", "most"), [("GoToLocalLavaNarrow", 2), ("GoToLocalLavaWide", 6)])
def test_lava_lies_across_both_straight_legs(name, most):
    counts = []
    for grid, (x, y, _), (tx, ty) in maps(name):
        lava = grid[..., 0] == LAVA
        assert min(abs(tx - x), abs(ty - y)) >= 3
        row = lava[min(x, tx) + 1 : max(x, tx), y]
        column = lava[x, min(y, ty) + 1 : max(y, ty)]
        assert row.sum() == 1 and column.sum() == 1
        counts.append(int(lava.sum()))
    assert max(counts) == most and min(counts) >= most / 2


@pytest.mark.parametrize("name", COMPOSITION)
def test_each_leg_of_both_ways_has_its_lava(name):
    for grid, (x, y, _), (tx, ty) in maps(name):
        assert grid.shape[:2] == (10, 10) and abs(tx - x) == abs(ty - y) == 3
        lava = {tuple(cell) for cell in np.argwhere(grid[..., 0] == LAVA)}
        sx, sy = np.sign(tx - x), np.sign(ty - y)
        legs = [
            {(x + k * sx, y) for k in range(1, 4)},
            {(tx, y + k * sy) for k in range(1, 3)},
            {(x, y + k * sy) for k in range(1, 4)},
            {(x + k * sx, ty) for k in range(1, 3)},
        ]
        assert len(lava) == 4 and all(len(leg & lava) == 1 for leg in legs)
        things = np.isin(grid[..., 0], (5, 6, 7)).sum()
        assert things == (8 if name.endswith("N7") else 1)


def test_the_maze_has_four_cells_of_lava_and_open_doors():
    for grid, *_ in maps("GoToObjMazeS4Lava"):
        doors = grid[grid[..., 0] == 4]
        assert (grid[..., 0] == LAVA).sum() == 4 and grid.shape[:2] == (10, 10)
        assert len(doors) >= 8 and (doors[:, 2] == 0).all()


def test_entering_lava_ends_the_episode_without_success_even_before_the_target():
    env = make_env("GoToLocalLavaNarrow")
    env.reset(seed=0)
    level, (tx, ty) = env.level, env.level.target.init_pos
    from minigrid.core.world_object import Lava

    # In line with the target: lava between the two, so that entering it faces the target.
    side = 1 if tx > 2 else -1
    level.grid.set(tx - side, ty, Lava())
    level.agent_pos, level.agent_dir = (tx - 2 * side, ty), 0 if side > 0 else 2
    _, reward, terminated, _, info = env.step(FORWARD)
    assert tuple(level.agent_pos) == (tx - side, ty)
    assert terminated and not info["success"] and reward == -1.0


def test_generalization_goes_from_four_open_rooms_to_nine_large_ones():
    sides = [make_env(name).width for name in GENERALIZATION]
    assert sides == [7, 10, 19]
    env = make_env(GENERALIZATION[0])
    seen, _ = env.reset(seed=0)
    doors = seen["map"][seen["map"][..., 0] == 4]
    assert len(doors) and (doors[:, 2] == 0).all()
    assert not {*WITH_LAVA, GENERALIZATION[0]} & {*LEVELS}
