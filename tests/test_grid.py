"""Grid worlds: the seven levels, the observation, reward, success and the split of maps."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from minigrid.core.grid import Grid
from minigrid.minigrid_env import MiniGridEnv

from seqrl.environments import levels, make_env, make_envs
from seqrl.environments.grid import ACTIONS, AGENT, LEVELS, GridEnv, decode_mission, split_by
from seqrl.environments.grid_observation import visible

DOOR, BALL, LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE = 4, 6, 0, 1, 2, 3, 4, 5
OTHERS = (
    "BabyAI-BossLevel-v0",
    "BabyAI-KeyInBox-v0",
    "BabyAI-PutNextS5N2Carrying-v0",
    "BabyAI-UnlockPickup-v0",
    "BabyAI-GoToImpUnlock-v0",
    "BabyAI-OpenDoorsOrderN2-v0",
    "MiniGrid-DoorKey-6x6-v0",
    "MiniGrid-Dynamic-Obstacles-6x6-v0",
    "MiniGrid-LavaCrossingS9N1-v0",
    "MiniGrid-MemoryS7-v0",
    "MiniGrid-MultiRoom-N2-S4-v0",
    "MiniGrid-ObstructedMaze-1Dlh-v0",
    "MiniGrid-Fetch-5x5-N2-v0",
    "MiniGrid-RedBlueDoors-6x6-v0",
    "MiniGrid-Playground-v0",
)
NOTHING_CHANGES = ("MiniGrid-LavaCrossingS9N1-v0", "MiniGrid-MemoryS7-v0")
NOTHING_TO_CARRY = (
    *NOTHING_CHANGES,
    "MiniGrid-Dynamic-Obstacles-6x6-v0",
    "MiniGrid-MultiRoom-N2-S4-v0",
    "MiniGrid-RedBlueDoors-6x6-v0",
    "BabyAI-OpenDoorsOrderN2-v0",
)


def doors(env: GridEnv) -> set[int]:
    """The states of all doors on the current map: 0 open, 1 closed, 2 locked."""
    grid = env.unwrapped.grid.encode()
    return set(grid[..., 2][grid[..., 0] == DOOR].tolist())


def face_something(level, rng) -> None:
    """Put the agent on a free cell, facing a random thing that is no wall (if there is one)."""
    for _ in range(200):
        x, y = rng.integers(1, [level.width - 1, level.height - 1]).tolist()
        dx, dy = [(1, 0), (0, 1), (-1, 0), (0, -1)][heading := int(rng.integers(4))]
        here, there = level.grid.get(x, y), level.grid.get(x + dx, y + dy)
        if here is None and there is not None and there.type != "wall":
            level.agent_pos, level.agent_dir = (x, y), heading
            return


def walk(env: GridEnv, steps: int, seed: int = 0):
    """Random steps that often touch things; yields observations and whether they are first."""
    rng = np.random.default_rng(seed)
    yield env.reset(seed=seed)[0], True
    for _ in range(steps):
        if rng.random() < 0.3:
            face_something(env.unwrapped, rng)
        action = int(rng.choice(7, p=[0.1, 0.1, 0.3, 0.18, 0.1, 0.18, 0.04]))
        observation, _, terminated, truncated, _ = env.step(action)
        yield observation, False
        if terminated or truncated:
            seed += 1
            yield env.reset(seed=seed)[0], True


@pytest.mark.parametrize(
    ("name", "side", "max_steps", "door_states"),
    [
        ("GoToLocalS7N5", 7, {49}, set()),
        ("GoToLocalS8N7", 8, {64}, set()),
        ("GoToObjMazeS4", 10, {144}, {0}),
        ("GoToObjMazeS7", 19, {441}, {0}),
        ("PickupLoc", 8, {64}, set()),
        ("GoToSeqS5R2", 9, {100, 200, 300, 400}, {1}),
        ("GoToObjMazeS4R2Close", 7, {64}, {1}),
    ],
)
def test_the_seven_levels_are_leaps(name, side, max_steps, door_states):
    env = make_env(name)
    seen_steps, seen_doors, objects = set(), set(), []
    for seed in range(30):
        observation, _ = env.reset(seed=seed)
        assert observation["map"].shape == (side, side, 3) == (env.width, env.height, 3)
        seen_steps.add(env.unwrapped.max_steps)
        seen_doors |= doors(env)
        objects.append(int(np.isin(observation["map"][..., 0], (5, 6, 7)).sum()))
    assert name in LEVELS and len(LEVELS) == 7
    assert seen_steps == max_steps
    assert seen_doors == door_states
    expected = {"GoToLocalS7N5": 5, "GoToLocalS8N7": 7, "PickupLoc": 8, "GoToSeqS5R2": 4}
    assert set(objects) == {expected.get(name, 1)}


def test_minigrids_own_ids_keep_their_closed_doors():
    env = make_env("BabyAI-GoToObjMazeS4-v0")
    env.reset(seed=0)
    assert env.name == "BabyAI-GoToObjMazeS4-v0"
    assert doors(env) == {1}


@pytest.mark.parametrize("name", [*LEVELS, *OTHERS])
def test_observation_equals_the_level_at_every_step(name):
    env = make_env(name)
    changes, previous = 0, None
    for observation, first in walk(env, 250):
        level, agent = env.unwrapped, observation["agent"]
        np.testing.assert_array_equal(observation["map"], level.grid.encode())
        assert agent[AGENT["pose"]].tolist() == [*level.agent_pos, level.agent_dir]
        in_front = level.grid.get(*level.front_pos)
        code = in_front.encode() if in_front else (1, 0, 0)
        assert tuple(agent[AGENT["front"]]) == code
        carried = level.carrying.encode()[:2] if level.carrying else (0, 0)
        assert tuple(agent[AGENT["carrying"]]) == carried
        assert decode_mission(observation["mission"]) == level.mission
        assert env.observation_space.contains(observation)
        changes += not first and not np.array_equal(previous, observation["map"])
        previous = observation["map"]
    assert (changes > 0) == (name not in NOTHING_CHANGES)  # otherwise nothing was tested


@pytest.mark.parametrize("name", ["GoToLocalS8N7", "GoToObjMazeS7", "GoToSeqS5R2", *OTHERS])
def test_partial_view_is_minigrids_own_image(name):
    env = make_env(name, view="partial")
    carried = 0
    for observation, _ in walk(env, 250, seed=3):
        image = env.unwrapped.gen_obs()["image"]
        np.testing.assert_array_equal(observation["view"], image)
        assert observation["agent"][AGENT["pose"]].tolist() == [0, 0, env.unwrapped.agent_dir]
        assert observation["agent"][AGENT["start"]][:2].tolist() == [0, 0]
        assert "map" not in observation
        carried += env.unwrapped.carrying is not None
    assert (carried > 0) == (name not in NOTHING_TO_CARRY)


@pytest.mark.parametrize("size", [3, 5, 7, 9])
def test_visibility_equals_process_vis_on_random_views(size):
    rng = np.random.default_rng(size)
    for _ in range(150):
        view = np.zeros((size, size, 3), np.uint8)
        view[..., 0] = rng.choice([1, 1, 1, 2, 4, BALL, 9], (size, size))
        view[..., 2] = np.where(view[..., 0] == DOOR, rng.integers(0, 3, (size, size)), 0)
        view[size // 2, -1] = (1, 0, 0)
        expected = Grid.decode(view)[0].process_vis((size // 2, size - 1))
        np.testing.assert_array_equal(visible(view), expected)


@pytest.mark.parametrize("view", ["full", "partial"])
def test_the_level_never_computes_its_own_view(view, monkeypatch):
    env = make_env("GoToSeqS5R2", view=view)

    def refuse(self):
        raise AssertionError("gen_obs was called")

    monkeypatch.setattr(MiniGridEnv, "gen_obs", refuse)
    assert len(list(walk(env, 30))) > 30
    with pytest.raises(AssertionError, match="gen_obs"):  # and it is back in place afterwards
        env.unwrapped.gen_obs()


def test_a_change_of_the_map_leaves_earlier_observations_alone():
    env = make_env("MiniGrid-Fetch-5x5-N2-v0")
    for seed in range(50):
        before, _ = env.reset(seed=seed)
        if before["agent"][AGENT["front"]][0] in (5, BALL):
            break
    kept = before["map"].copy()
    after = env.step(PICKUP)[0]
    assert (after["map"] != kept).any()
    np.testing.assert_array_equal(before["map"], kept)
    seen = after["map"].copy()
    after["map"][:] = 0  # nor does the reader's change reach the environment
    after["mission"][:] = 0
    again = env.step(LEFT)[0]
    np.testing.assert_array_equal(again["map"], seen)
    np.testing.assert_array_equal(again["mission"], before["mission"])


def test_history_and_start_pose():
    env = make_env("GoToObjMazeS7")
    observation, _ = env.reset(seed=5)
    start = observation["agent"][AGENT["pose"]].tolist()
    assert observation["agent"][AGENT["history"]].tolist() == [7] * 8
    taken = [LEFT, FORWARD, RIGHT, TOGGLE, LEFT, DROP, LEFT, 6, RIGHT, FORWARD]
    for step, action in enumerate(taken, 1):
        observation = env.step(action)[0]
        newest_first = taken[:step][::-1][:8]
        history = observation["agent"][AGENT["history"]].tolist()
        assert history == newest_first + [7] * (8 - len(newest_first))
        assert observation["agent"][AGENT["start"]].tolist() == start
    observation, _ = env.reset(seed=6)
    assert observation["agent"][AGENT["history"]].tolist() == [7] * 8


@pytest.mark.parametrize("view", ["full", "partial"])
def test_show_carried_false_hides_what_is_carried(view):
    name = "BabyAI-PutNextS5N2Carrying-v0"
    shown, _ = make_env(name, view=view).reset(seed=0)
    env = make_env(name, view=view, show_carried=False)
    hidden, _ = env.reset(seed=0)
    kind, color = env.unwrapped.carrying.encode()[:2]
    assert shown["agent"][AGENT["carrying"]].tolist() == [kind, color]
    assert hidden["agent"][AGENT["carrying"]].tolist() == [0, 0]
    if view == "partial":
        assert shown["view"][3, 6].tolist() == [kind, color, 0]
        assert hidden["view"][3, 6].tolist() == [1, 0, 0]
    hidden["agent"][AGENT["carrying"]] = shown["agent"][AGENT["carrying"]]
    np.testing.assert_array_equal(hidden["agent"], shown["agent"])


def reach_goal_in_empty_room(reward: str) -> list[tuple]:
    """Results of walking along two walls of an empty 5 x 5 room to its green goal."""
    env = make_env("MiniGrid-Empty-5x5-v0", reward=reward)
    env.reset(seed=0)
    return [env.step(a) for a in (FORWARD, FORWARD, RIGHT, FORWARD, FORWARD)]


def test_step_reward_is_minus_one_and_zero_at_success():
    results = reach_goal_in_empty_room("step")
    assert [r[1] for r in results] == [-1.0, -1.0, -1.0, -1.0, 0.0]
    assert [r[2] for r in results] == [False] * 4 + [True]
    assert [r[4]["success"] for r in results] == [False] * 4 + [True]


def test_end_reward_is_minigrids():
    results = reach_goal_in_empty_room("end")
    assert [r[1] for r in results[:-1]] == [0.0] * 4
    assert results[-1][1] == pytest.approx(1 - 0.9 * 5 / 100)


def end_of_episode(env: GridEnv, wanted) -> tuple:
    """The first final step of random episodes that ends as `wanted(reward, terminated)` says."""
    rng = np.random.default_rng(0)
    for seed in range(200):
        env.reset(seed=seed)
        while True:
            result = env.step(int(rng.choice([LEFT, RIGHT, FORWARD, FORWARD])))
            if result[2] or result[3]:
                break
        if wanted(result):
            return result
    raise AssertionError("no such end")


def test_lava_ends_the_episode_without_success():
    env = make_env("MiniGrid-LavaGapS5-v0")
    _, reward, terminated, _, info = end_of_episode(env, lambda r: r[2] and r[1] < 0)
    assert (reward, terminated, info["success"]) == (-1.0, True, False)


def test_a_collision_is_a_failure_with_minigrids_penalty():
    env = make_env("MiniGrid-Dynamic-Obstacles-6x6-v0", reward="end")
    _, reward, terminated, _, info = end_of_episode(env, lambda r: r[1] < 0)
    assert (reward, terminated, info["success"]) == (-1.0, True, False)


def test_running_out_of_time_is_truncation_without_success():
    env = make_env("GoToLocalS7N5")
    env.reset(seed=0)
    results = [env.step(ACTIONS.index("done")) for _ in range(49)]
    assert [r[3] for r in results] == [False] * 48 + [True]
    assert not any(r[2] or r[4]["success"] for r in results)


@pytest.mark.parametrize("name", ["GoToObjMazeS4R2Close", "BabyAI-GoToRedBallNoDists-v0"])
def test_data_and_test_never_share_a_map(name):
    maps: dict[str, set[bytes]] = {}
    for split in ("data", "test"):
        env = make_env(name, split=split)
        drawn = [*range(300), *range(10**12, 10**12 + 40)]
        maps[split] = {env.reset(seed=seed)[0]["map"].tobytes() for seed in drawn}
    assert maps["data"] and maps["test"]
    assert not maps["data"] & maps["test"]


def test_where_grids_are_few_data_and_test_never_share_a_start():
    starts: dict[str, set[bytes]] = {}
    for split in ("data", "test"):
        env = make_env("MiniGrid-Empty-Random-5x5-v0", split=split)
        observations = [env.reset(seed=seed)[0] for seed in range(80)]
        starts[split] = {o["map"].tobytes() + o["agent"].tobytes() for o in observations}
    assert starts["data"] and starts["test"]
    assert not starts["data"] & starts["test"]


@pytest.mark.parametrize("name", LEVELS)
def test_the_seven_levels_are_split_by_their_grids(name):
    assert split_by(name) == "grid"


def test_one_map_in_five_is_for_tests():
    kept = [make_env("GoToLocalS7N5", split=s) for s in ("data", "test")]
    own = [
        [env.reset(seed=seed)[1]["seed"] == seed for seed in range(300)]  # first draw was right
        for env in kept
    ]
    assert np.logical_xor(*own).all()
    assert 0.13 < np.mean(own[1]) < 0.27


@pytest.mark.parametrize("split", ["data", "test"])
def test_reset_with_a_seed_is_deterministic_and_names_the_seed_used(split):
    first, second = (make_env("GoToLocalS8N7", split=split) for _ in range(2))
    second.reset(seed=99)
    seeds_used = set()
    for seed in range(8):
        (a, info_a), (b, info_b) = first.reset(seed=seed), second.reset(seed=seed)
        assert info_a == info_b and all(np.array_equal(a[k], b[k]) for k in a)
        assert info_a["mission"] == first.unwrapped.mission
        again, info = second.reset(seed=info_a["seed"])
        assert info["seed"] == info_a["seed"] and np.array_equal(again["map"], a["map"])
        seeds_used.add(info["seed"])
    assert len(seeds_used) == 8
    # without a seed, episodes go on from the last one
    one, two = first.reset(seed=3), second.reset(seed=3)
    one, two = first.reset(), second.reset()
    assert one[1]["seed"] == two[1]["seed"] != 3


def test_both_views_draw_the_same_maps():
    full, partial = (make_env("GoToSeqS5R2", view=view) for view in ("full", "partial"))
    for seed in range(10):
        assert full.reset(seed=seed)[1] == partial.reset(seed=seed)[1]


def test_a_level_with_one_map_is_all_data():
    make_env("MiniGrid-Empty-5x5-v0").reset(seed=0)
    make_env("MiniGrid-DistShift2-v0").reset(seed=0)
    with pytest.raises(RuntimeError, match="MiniGrid-Empty-5x5-v0 has a single map"):
        make_env("MiniGrid-Empty-5x5-v0", split="test").reset(seed=0)


def test_generation_is_silent(capsys):
    _, plain = levels.make_level("BabyAI-GoToRedBlueBall-v0")
    for seed in range(10):
        plain.reset(seed=seed)
    assert "Sampling rejected" in capsys.readouterr().out  # MiniGrid does print
    env = make_env("BabyAI-GoToRedBlueBall-v0")
    for seed in range(10):
        env.reset(seed=seed)
    assert capsys.readouterr().out == ""
    print("still there")
    assert "still there" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("GoToObjMazeS4", "GoToObjMazeS4"),
        ("seqrl/PickupLoc-v0", "PickupLoc"),
        ("BabyAI-GoToLocal-v0", "BabyAI-GoToLocal-v0"),
        ("BabyAI-GoToLocal", "BabyAI-GoToLocal-v0"),
        ("GoToLocal", "BabyAI-GoToLocal-v0"),
        ("GoToObjS6", "BabyAI-GoToObjS6-v1"),
        ("DoorKey-5x5", "MiniGrid-DoorKey-5x5-v0"),
        ("MultiRoom-N4-S5", "MiniGrid-MultiRoom-N4-S5-v1"),
        ("UnlockPickup", "BabyAI-UnlockPickup-v0"),
    ],
)
def test_names(given, full):
    assert levels.resolve(given) == full


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("GoToLocalS8N9", "GoToLocalS8N7"),
        ("gotoobjmazes4", "GoToObjMazeS4"),
        ("BabyAI-PickupLok-v0", "BabyAI-PickupLoc-v0"),
        ("DoorKey5x5", "DoorKey-5x5"),
        ("CartPole-v1", "GoToLocalS8N7"),
    ],
)
def test_an_unknown_name_is_told_the_nearest_ones(wrong, nearest):
    with pytest.raises(ValueError, match=nearest):
        make_env(wrong)


@pytest.mark.parametrize("choice", [{"reward": "dense"}, {"view": "top"}, {"split": "train"}])
def test_an_unknown_choice_is_told_the_known_ones(choice):
    with pytest.raises(ValueError, match=r"must be '.*' or '.*'"):
        make_env("GoToLocalS7N5", **choice)


def test_step_before_reset_is_refused():
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        make_env("GoToLocalS7N5").step(0)


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version.*")
@pytest.mark.filterwarnings("error:.*(observation|reward|deterministic).*")
@pytest.mark.parametrize("view", ["full", "partial"])
def test_gymnasiums_checkers_pass(view):
    check_env(make_env("GoToLocalS7N5", view=view), skip_render_check=True)
    env = gym.make("seqrl/GoToObjMazeS4-v0", view=view)
    env.reset(seed=0)
    for action in range(7):
        env.step(action)
    assert doors(env) <= {0, 1}


@pytest.mark.parametrize("name", LEVELS)
def test_the_seven_are_registered_with_gymnasium(name):
    env = gym.make(f"seqrl/{name}-v0", reward="end")
    observation, info = env.reset(seed=1)
    direct, direct_info = make_env(name).reset(seed=1)
    assert np.array_equal(observation["map"], direct["map"])
    assert info["mission"] == direct_info["mission"]


def test_make_envs():
    envs = make_envs("GoToLocalS7N5", 3, view="partial")
    assert (len(envs), envs.name) == (3, "GoToLocalS7N5")
    assert set(envs.single_observation_space.keys()) == {"view", "agent", "mission"}


@pytest.mark.parametrize("view", ["full", "partial"])
def test_spaces_can_be_stored_by_minari(view):
    from minari.serialization import deserialize_space, serialize_space

    env = make_env("PickupLoc", view=view)
    for space in (env.observation_space, env.action_space):
        assert deserialize_space(serialize_space(space)) == space
