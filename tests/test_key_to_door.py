"""Key-to-Door: solvable from what is seen, and only with the key, which nothing shows later."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from seqrl import datasets
from seqrl.behavior import NotApplicable, Random, ShortestPath
from seqrl.environments import levels, make_env, make_envs
from seqrl.environments.grid import AGENT, decode_mission
from seqrl.environments.grid_observation import HISTORY
from seqrl.environments.key_to_door import BALLS, PHASES, KeyToDoor, events
from seqrl.rollout import rollout

LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE, DONE = range(7)
UNSEEN, EMPTY, WALL, DOOR, KEY, BALL = 0, 1, 2, 4, 5, 6
BALLS_BEGIN, DOOR_BEGINS, END = np.cumsum(PHASES).tolist()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQRL_HOME", str(tmp_path))


def seen_at(view: np.ndarray, kind: int) -> tuple[int, int] | None:
    """(to the right, ahead) of the agent, where the view shows a thing of this kind."""
    found = np.argwhere(view[..., 0] == kind).tolist()
    return (found[0][0] - 3, 6 - found[0][1]) if found else None


def way_to_key(view: np.ndarray) -> list[int]:
    right, ahead = seen_at(view, KEY)
    turn = {-1: [LEFT], 0: [], 1: [RIGHT]}[right]
    return [FORWARD] * (right != 0 and ahead == 1) + turn + [PICKUP]


def way_to_door(view: np.ndarray) -> list[int]:
    turns = {(0, 2): [], (-2, 0): [LEFT], (2, 0): [RIGHT], None: [LEFT, LEFT]}
    return [*turns[seen_at(view, DOOR)], FORWARD]


def play(env, seed: int, key: bool = True, door: bool = True) -> list[tuple]:
    """The steps of the scripted player, who looks once in a room: the shortest way to success."""
    observation, _ = env.reset(seed=seed)
    plan = way_to_key(observation["view"]) if key else []
    steps: list[tuple] = []
    while not steps or not (steps[-1][2] or steps[-1][3]):
        assert len(steps) < END
        if len(steps) == DOOR_BEGINS and door:
            plan = way_to_door(steps[-1][0]["view"])
        steps.append(env.step(plan.pop(0) if plan else DONE))
    return steps


def random_steps(env, seed: int):
    """An episode of random actions, as it goes: (action, step) pairs, the reset's without one."""
    rng = np.random.default_rng(seed)
    step = (env.reset(seed=seed)[0], 0.0, False, False, {})
    yield None, step
    for action in rng.integers(7, size=END).tolist():
        step = env.step(action)
        yield action, step
        if step[2] or step[3]:
            return
    raise AssertionError("the episode does not end")


@pytest.mark.parametrize("split", ["data", "test"])
def test_the_first_look_into_a_room_is_enough_to_succeed(split):
    env = make_env("KeyToDoor", split=split)
    lengths = []
    for seed in range(100):
        steps = play(env, seed)
        *_, (_, reward, terminated, truncated, info) = steps
        assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
        assert [s[1] for s in steps[:-1]] == [0.0] * (len(steps) - 1)
        assert not any(s[4]["success"] for s in steps[:-1])
        lengths.append(len(steps))
    assert set(lengths) == {DOOR_BEGINS + n for n in (1, 2, 3)}


def test_the_door_without_the_key_ends_the_episode_for_nothing():
    env = make_env("KeyToDoor")
    for seed in range(50):
        steps = play(env, seed, key=False)
        *_, (_, reward, terminated, truncated, info) = steps
        assert (reward, terminated, truncated) == (0.0, True, False)
        assert info == {"key_taken": False, "door_reached": True, "success": False}


def test_the_key_without_the_door_runs_out_of_time():
    steps = play(make_env("KeyToDoor"), 0, door=False)
    assert len(steps) == END
    assert [s[3] for s in steps] == [False] * (END - 1) + [True]
    assert not any(s[1] or s[2] or s[4]["success"] for s in steps)


def test_reward_needs_both_and_in_this_order_whatever_is_done():
    env = make_env("KeyToDoor")
    outcomes = set()
    for seed in range(250):
        infos = [step[4] for _, step in random_steps(env, seed)][1:]
        taken = [t for t, info in enumerate(infos) if info["key_taken"]]
        reached = [t for t, info in enumerate(infos) if info["door_reached"]]
        assert len(taken) <= 1 and all(t < BALLS_BEGIN for t in taken)
        assert reached in ([], [len(infos) - 1]) and all(t >= DOOR_BEGINS for t in reached)
        assert infos[-1]["success"] == (bool(taken) and bool(reached))
        outcomes.add((bool(taken), bool(reached)))
    assert len(outcomes) == 4


def other_cells(env, observation) -> list[np.ndarray]:
    """All that is observed, without the history of actions."""
    agent = observation["agent"].copy()
    agent[AGENT["history"]] = 0
    return [agent, *(observation[k] for k in observation if k != "agent")]


@pytest.mark.parametrize("view", ["partial", "full"])
def test_nothing_after_the_first_room_tells_whether_the_key_was_taken(view):
    looking, with_key, without = (
        make_env("KeyToDoor", view=v, show_carried=False) for v in ("partial", view, view)
    )
    met = set()
    for seed in range(60):
        plan = way_to_key(looking.reset(seed=seed)[0]["view"])
        plan += [DONE] * (BALLS_BEGIN - len(plan))
        with_key.reset(seed=seed)
        without.reset(seed=seed)
        for action in plan:
            first = with_key.step(action)
            second = without.step(DONE if action == PICKUP else action)
        assert with_key.unwrapped.carrying and not without.unwrapped.carrying
        rng = np.random.default_rng(seed)
        actions = rng.choice([LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE], END).tolist()
        for t in range(BALLS_BEGIN, END + 1):
            for a, b in zip(other_cells(with_key, first[0]), other_cells(without, second[0])):
                np.testing.assert_array_equal(a, b)
            if t >= BALLS_BEGIN + HISTORY:
                np.testing.assert_array_equal(first[0]["agent"], second[0]["agent"])
            assert first[2:4] == second[2:4]
            met.add(first[0]["agent"][AGENT["front"]][0])
            if first[2] or first[3]:
                met.add(first[4]["door_reached"])
                break
            first, second = with_key.step(actions[t]), without.step(actions[t])
    assert {BALL, DOOR, True, False} <= met  # otherwise little was compared


def test_the_second_room_lasts_longer_than_the_history():
    assert PHASES[1] > HISTORY
    env = make_env("KeyToDoor")
    env.reset(seed=0)
    for _ in range(BALLS_BEGIN):
        observation = env.step(PICKUP)[0]
    assert (observation["agent"][AGENT["history"]] == PICKUP).all()
    for _ in range(PHASES[1]):
        observation = env.step(LEFT)[0]
    assert (observation["agent"][AGENT["history"]] == LEFT).all()


def test_rooms_follow_each_other_whatever_is_done():
    env = make_env("KeyToDoor")
    for seed in range(40):
        for t, _ in enumerate(random_steps(env, seed)):
            x, y = (int(n) for n in env.unwrapped.agent_pos)
            room = (t >= BALLS_BEGIN) + (t >= DOOR_BEGINS)
            assert room * 5 < x < room * 5 + 4 and 0 < y < 4
            if t in (0, BALLS_BEGIN, DOOR_BEGINS):
                assert (x, y, env.unwrapped.agent_dir) == (room * 5 + 2, 2, 0)


def test_each_room_shows_its_own_things_only_and_the_key_at_once():
    env = make_env("KeyToDoor")
    for seed in range(60):
        for t, (_, step) in enumerate(random_steps(env, seed)):
            kinds = set(step[0]["view"][..., 0].ravel().tolist()) - {UNSEEN, EMPTY, WALL}
            own = (KEY, BALL, DOOR)[(t >= BALLS_BEGIN) + (t >= DOOR_BEGINS)]
            assert kinds <= {own}
            assert kinds or t != 0


@pytest.mark.parametrize("key", [True, False])
def test_balls_vanish_for_nothing_and_other_actions_do_nothing(key):
    env = make_env("KeyToDoor")
    gone = 0
    for seed in range(30):
        observation, _ = env.reset(seed=seed)
        plan = way_to_key(observation["view"]) if key else []
        for action in plan + [DONE] * (BALLS_BEGIN - len(plan)):
            observation = env.step(action)[0]
        for action in (DROP, TOGGLE, DONE):
            after = env.step(action)[0]
            np.testing.assert_array_equal(after["view"], observation["view"])
        faces_ball = observation["agent"][AGENT["front"]][0] == BALL
        after, reward, *_ = env.step(PICKUP)
        assert (after["agent"][AGENT["front"]][0], reward) == (EMPTY, 0.0)
        assert (env.unwrapped.carrying is not None) == key
        balls = [(o["view"][..., 0] == BALL).sum() for o in (observation, after)]
        assert balls[0] - balls[1] == faces_ball
        gone += faces_ball
    assert gone > 3


def test_views_are_minigrids_and_the_carried_key_can_be_shown():
    full, partial = (make_env("KeyToDoor", view=v, show_carried=True) for v in ("full", "partial"))
    carried = 0
    for seed in range(60):
        taken = [action for action, _ in random_steps(full, seed)][1:]
        full.reset(seed=seed)
        partial.reset(seed=seed)
        for action in taken:
            observed, shown = full.step(action)[0], partial.step(action)[0]
            level = partial.unwrapped
            np.testing.assert_array_equal(shown["view"], level.gen_obs()["image"])
            np.testing.assert_array_equal(observed["map"], full.unwrapped.grid.encode())
            expected = level.carrying.encode()[:2] if level.carrying else (0, 0)
            assert tuple(shown["agent"][AGENT["carrying"]]) == expected
            carried += level.carrying is not None
    assert carried > 20


def test_uniformly_random_actions_succeed_about_three_times_in_a_hundred():
    envs = make_envs("KeyToDoor", 8)
    data = rollout(Random(envs), envs, 1500, seed=2)
    at = events(data)
    assert np.mean(at.key >= 0) == pytest.approx(0.161, abs=0.04)  # four standard deviations
    assert np.mean(at.door >= 0) == pytest.approx(0.199, abs=0.042)
    assert data.success.double().mean().item() == pytest.approx(0.031, abs=0.018)
    assert data.lengths.max() == END and data.lengths.double().mean() < 30


@pytest.mark.parametrize("view", ["partial", "full"])
def test_events_of_trajectories_are_those_the_environment_tells(view):
    envs = make_envs("KeyToDoor", 4, view=view)
    data = rollout(Random(envs), envs, 150, seed=3)
    at = events(data)
    env = make_env("KeyToDoor", view=view)
    for e in range(len(data)):
        episode = data.episode(e)
        env.reset(seed=episode["seed"])
        infos = [env.step(action)[4] for action in episode["actions"]]
        for name, step in (("key_taken", at.key[e]), ("door_reached", at.door[e])):
            assert [t for t, info in enumerate(infos) if info[name]] == [step] * int(step >= 0)
    assert (at.key >= 0).any() and (at.door >= 0).any()
    np.testing.assert_array_equal((at.key >= 0) & (at.door >= 0), data.success.numpy())
    np.testing.assert_array_equal(data.returns.numpy(), data.success.numpy())


def test_events_of_another_environment_are_refused():
    envs = make_envs("GoToLocalS7N5", 1)
    with pytest.raises(ValueError, match="GoToLocalS7N5"):
        events(rollout(Random(envs), envs, 1, seed=0))


def test_maps_are_split_but_places_are_not():
    maps, keys, doors = {}, {}, {}
    for split in ("data", "test"):
        env = make_env("KeyToDoor", split=split, view="full")
        grids = [env.reset(seed=seed)[0]["map"] for seed in range(150)]
        maps[split] = {grid.tobytes() for grid in grids}
        keys[split], doors[split] = (
            {tuple(np.argwhere(grid[..., 0] == kind)[0].tolist()) for grid in grids}
            for kind in (KEY, DOOR)
        )
        assert {(grid[..., 0] == BALL).sum() for grid in grids} == {BALLS}
    assert not maps["data"] & maps["test"]
    assert keys["data"] == keys["test"] and len(keys["data"]) == 5
    assert doors["data"] == doors["test"] and len(doors["data"]) == 4


def test_a_dataset_of_random_walks(monkeypatch):
    data = datasets.load("KeyToDoor/random", episodes=40, progress=False)
    assert set(data.observations) == {"view", "agent"} and data.maps is None
    told = {"env": "KeyToDoor", "reward": "end", "view": "partial", "split": "data"}
    assert told.items() <= data.info.items() and data.info["num_actions"] == 7
    assert not data.observations["agent"][:, AGENT["carrying"]].any()
    assert set(data.rewards.tolist()) <= {0.0, 1.0} and data.lengths.max() == END
    monkeypatch.setattr(datasets, "collect_from", None)  # so now it must come from the cache
    again = datasets.load("KeyToDoor/random", episodes=25, progress=False)
    assert again.equal(data.select(range(25)))
    chosen = {"reward": "end", "view": "partial"}
    assert datasets.load("KeyToDoor/random", 40, progress=False, **chosen).equal(data)


def test_ten_thousand_episodes_fit_into_a_dataset():
    assert 10_000 * END <= datasets.MAX_STEPS


def test_an_eighth_action_is_refused():
    env = make_env("KeyToDoor")
    env.reset(seed=0)
    with pytest.raises(ValueError, match="7"):
        env.step(7)


def test_the_shortest_path_is_told_not_to_apply():
    assert "get the key" in str(ShortestPath.applies(make_env("KeyToDoor")))
    with pytest.raises(NotApplicable):
        datasets.load("KeyToDoor/expert", episodes=2, progress=False)


def test_names_and_defaults():
    assert levels.resolve("KeyToDoor") == levels.resolve("seqrl/KeyToDoor-v0") == "KeyToDoor"
    with pytest.raises(ValueError, match="KeyToDoor"):
        make_env("KeyToDor")
    with pytest.raises(ValueError, match="KeyToDoor"):
        make_env("CartPole-v1")
    env = make_env("KeyToDoor")
    assert (env.reward, env.view, env.show_carried) == ("end", "partial", False)
    assert isinstance(env.unwrapped, KeyToDoor) and env.action_space == gym.spaces.Discrete(7)
    observation, info = env.reset(seed=1)
    mission = info["mission"]
    assert decode_mission(observation["mission"]) == mission == "get the key, then go to the door"
    stepwise = make_env("KeyToDoor", reward="step")
    assert [s[1] for s in play(stepwise, 0)][-2:] == [-1.0, 0.0]
    other = make_env("GoToLocalS7N5")
    assert (other.reward, other.view, other.show_carried) == ("step", "full", True)


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version.*")
@pytest.mark.filterwarnings("error:.*(observation|reward|deterministic).*")
def test_gymnasiums_checkers_pass():
    check_env(make_env("KeyToDoor"), skip_render_check=True)
    observation, _ = gym.make("seqrl/KeyToDoor-v0").reset(seed=0)
    assert observation["view"].shape == (7, 7, 3)
