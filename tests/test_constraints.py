"""Known kinematics equal MiniGrid's, lava costs what is asked, and other methods are filtered."""

import numpy as np
import pytest
import torch
from minigrid.core.constants import OBJECT_TO_IDX

from seqrl import datasets
from seqrl.behavior import Random
from seqrl.constraints import KINDS, Avoid, Filtered, World, allowed, require_choice
from seqrl.environments import make_env, make_envs
from seqrl.imitation import BCConfig
from seqrl.policies import PolicyError
from seqrl.rollout import rollout

torch.set_num_threads(1)
LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE, DONE = range(7)


def tensors(seen):
    return {
        "map": torch.tensor(seen["map"])[None],
        "agent": torch.tensor(seen["agent"])[None, None],
    }


def lava_ahead(distance=1):
    """An agent in the middle of a room of 7, heading right, with lava so many cells ahead."""
    grid = np.zeros((7, 7, 3), np.uint8)
    grid[..., 0] = 2
    grid[1:6, 1:6] = (1, 0, 0)
    grid[3 + distance, 3] = (9, 0, 0)
    agent = np.full(19, 7, np.uint8)
    agent[:8] = (3, 3, 0, 3, 3, 0, 0, 0)
    return tensors({"map": grid, "agent": agent})


def test_types_are_minigrids():
    assert {kind: i for i, kind in enumerate(KINDS)} == OBJECT_TO_IDX


@pytest.mark.parametrize(
    "name", ["GoToObjMazeS4R2Close", "PickupLoc", "GoToSeqS5R2", "GoToObjMazeS4Lava"]
)
def test_agents_move_as_in_minigrid(name):
    env, rng = make_env(name), np.random.default_rng(0)
    steps = 0
    for seed in range(12):
        seen, _ = env.reset(seed=seed)
        world = World(torch.tensor(seen["map"])[None], torch.tensor(seen["agent"])[None])
        over = False
        while not over and steps < 40 * (seed + 1):
            action = int(rng.choice(7, p=[0.12, 0.12, 0.34, 0.13, 0.1, 0.17, 0.02]))
            seen, _, terminated, truncated, _ = env.step(action)
            world.step(torch.tensor([action]))
            assert world.pose[0].tolist() == seen["agent"][:3].tolist()
            over, steps = terminated or truncated, steps + 1


def test_only_plans_that_enter_lava_cost_and_what_follows_does_not_matter():
    added = Avoid(penalty=3.0).energy(lava_ahead(2))
    plans = torch.tensor(
        [
            [FORWARD, FORWARD, LEFT],
            [FORWARD, LEFT, FORWARD],
            [FORWARD, -1, FORWARD],  # nothing decided lets time pass
            [LEFT, FORWARD, FORWARD],
            [FORWARD, FORWARD, FORWARD],
            [FORWARD, 7, DONE],
        ]
    )
    assert added(plans, torch.zeros(6, dtype=torch.int64)).tolist() == [3, 0, 3, 0, 3, 0]
    free = allowed(Avoid().energy(lava_ahead(1)), torch.tensor([0]), 7)
    assert free[0].tolist() == [True, True, False, True, True, True, True]


def test_rows_say_which_map_a_plan_is_for():
    near, far = lava_ahead(1), lava_ahead(2)
    both = {key: torch.cat([near[key], far[key]]) for key in near}
    plans = torch.tensor([[FORWARD], [FORWARD]])
    assert Avoid().energy(both)(plans, torch.tensor([1, 0])).tolist() == [0, float("inf")]


def cloning():
    data = datasets.collect("GoToLocalS8N7", "expert", 8, processes=1, progress=False)
    return BCConfig.for_data(data, width=16).build()


def test_a_filtered_policy_never_enters_lava():
    envs = make_envs("GoToObjMazeS4Lava", 8)
    died = rollout(Random(envs), envs, 12, 0)
    assert (died.terminations.any() and not died.success.all()) or died.success.any()
    torch.manual_seed(0)
    model = cloning()
    free = rollout(model.policy(temperature=5.0), envs, 12, 0)
    entered = free.terminations[free.offsets[1:] - 1] & ~free.success
    assert entered.any()  # so that the filter has something to do
    safe = Filtered(model.policy(temperature=5.0), [Avoid()])
    kept = rollout(safe, envs, 12, 0)
    assert not (kept.terminations[kept.offsets[1:] - 1] & ~kept.success).any()


def test_what_cannot_be_filtered_is_refused():
    envs = make_envs("GoToLocalS8N7", 2)
    with pytest.raises(ValueError, match="Random chooses from no logits"):
        Filtered(Random(envs), [Avoid()])
    with pytest.raises(PolicyError, match="forbids every action"):
        require_choice(torch.tensor([[True, False], [False, False]]))
    with pytest.raises(PolicyError, match="checked on the map"):
        Avoid().energy({"view": torch.zeros(1)})
    with pytest.raises(ValueError, match="no 'lavas'"):
        Avoid(("lavas",))
    with pytest.raises(ValueError, match="above 0"):
        Avoid(penalty=0.0)


class Everything(Avoid):
    """Forbids whatever is done."""

    def energy(self, observations):
        return lambda plans, rows: torch.full((len(plans),), float("inf"))


def test_where_every_action_is_forbidden_the_policy_says_so():
    policy = Filtered(cloning().policy(), [Everything()])
    with pytest.raises(PolicyError, match="forbids every action"):
        rollout(policy, make_envs("GoToLocalS8N7", 2), 2, 0)
