import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from seqrl import seeds
from seqrl.behavior import Random, ShortestPath
from seqrl.environments import Envs, make_envs
from seqrl.rollout import Step, rollout


class Counter(gym.Env):
    """Counts to `length`; the state is the count and the reset seed's last digit."""

    observation_space: spaces.Space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space: spaces.Space = spaces.Discrete(3)

    def __init__(self, length=4, reward=lambda t: 1.0, truncate=False, state=lambda t: t):
        self.length, self.reward, self.truncate, self.state = length, reward, truncate, state

    def _observe(self):
        return np.array([self.state(self.t), self.seed % 10], np.float32)

    def reset(self, *, seed=None, options=None):
        self.t, self.seed = 0, seed
        return self._observe(), {}

    def step(self, action):
        self.t += 1
        over = self.t == self.length
        reward = self.reward(self.t)
        return self._observe(), reward, over and not self.truncate, over and self.truncate, {}


class Recorder:
    """Acts 1, or as given, and keeps every step that it is shown."""

    def __init__(self, needs_observation=True, actions=None):
        self.steps: list[Step] = []
        self.needs_observation, self.actions = needs_observation, actions

    def act(self, step):
        self.steps.append(step)
        return np.ones(len(step.first), np.int64) if self.actions is None else self.actions


def counters(rows, **kwargs):
    return Envs([Counter(**kwargs) for _ in range(rows)])


POLICIES = {
    "random": Random,
    "noisy": lambda envs: ShortestPath(envs, epsilon=0.4),
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("level", ["PickupLoc", "GoToSeqS5R2"])
def test_the_same_whatever_the_number_of_environments(policy, level):
    data = []
    for rows in (1, 3, 8):
        envs = make_envs(level, rows)
        data.append(rollout(POLICIES[policy](envs), envs, 10, seed=5))
    assert data[0].equal(data[1]) and data[0].equal(data[2])
    assert data[0].info == data[2].info
    assert len(set(data[0].lengths.tolist())) > 1


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_flat_observations_with_more_rows_than_episodes(rows):
    envs = Envs([gym.make("CartPole-v1") for _ in range(rows)])
    data = rollout(Random(envs), envs, 6, seed=1)
    one = Envs([gym.make("CartPole-v1")])
    assert data.equal(rollout(Random(one), one, 6, seed=1))
    assert data.observations["state"].shape == (data.steps + 6, 4)
    assert data.terminations.sum() == 6 and not data.truncations.any()
    assert data.info["num_actions"] == 2


def test_a_range_gives_the_episodes_of_those_numbers():
    envs = make_envs("GoToLocalS7N5", 2)
    policy = ShortestPath(envs, epsilon=0.5)
    whole = rollout(policy, envs, 9, seed=3)
    part = rollout(policy, envs, range(1, 9, 3), seed=3)
    assert part.equal(whole.select([1, 4, 7]))
    assert part.info["missions"] == whole.select([1, 4, 7]).info["missions"]


def test_seeds_come_from_the_stream_and_the_episode_number():
    envs = counters(2)
    recorder = Recorder()
    data = rollout(recorder, envs, 3, seed=7, stream="test")
    assert data.seeds.tolist() == [seeds.derive("test", "env", 7, i) for i in range(3)]
    first = recorder.steps[0]
    assert first.seed.tolist() == [seeds.derive("test", "policy", 7, i) for i in range(2)]
    assert first.episode.tolist() == [0, 1]
    assert data.observations["state"][0].tolist() == [0, int(data.seeds[0]) % 10]


def test_steps_tell_rewards_beginnings_and_rows_that_have_run_out():
    recorder = Recorder()
    data = rollout(recorder, counters(2, length=2, reward=lambda t: t), 3, seed=0)
    shown = [
        (s.reward.tolist(), s.first.tolist(), s.active.tolist(), s.observation["state"][0, 0])
        for s in recorder.steps
    ]
    assert shown == [
        ([0, 0], [True, True], [True, True], 0),
        ([1, 1], [False, False], [True, True], 1),
        ([0, 0], [True, False], [True, False], 0),
        ([1, 0], [False, False], [True, False], 1),
    ]
    assert data.rewards.tolist() == [1, 2] * 3
    assert data.observations["state"][:, 0].tolist() == [0, 1, 2] * 3


def test_truncation_is_kept_apart_from_termination():
    data = rollout(Recorder(), counters(1, truncate=True), 2, seed=0)
    assert not data.terminations.any()
    assert data.truncations.tolist() == [False, False, False, True] * 2


def test_a_policy_without_observations_is_given_none():
    recorder = Recorder(needs_observation=False)
    rollout(recorder, counters(2), 2, seed=0)
    assert all(step.observation == {} for step in recorder.steps)


def test_maps_are_stored_once_and_once_more_after_each_change():
    envs = make_envs("GoToObjMazeS4R2Close", 2)
    data = rollout(ShortestPath(envs), envs, 12, seed=0)
    assert data.maps is not None and data.maps.shape[1:] == (7, 7, 3)
    for e in range(len(data)):
        episode = data.episode(e)
        maps, toggles = episode["observations"]["map"], (episode["actions"] == 5).sum()
        changes = (maps[1:] != maps[:-1]).any((1, 2, 3)).sum()
        assert changes == toggles
    assert len(data.maps) == 12 + (data.actions == 5).sum()
    assert (data.actions == 5).any()


def test_the_grid_of_a_seed_is_the_one_in_the_data():
    envs = make_envs("GoToLocalS8N7", 3)
    data = rollout(ShortestPath(envs), envs, 4, seed=2)
    for e in range(4):
        episode = data.episode(e)
        observation = make_envs("GoToLocalS8N7", 1).reset_row(0, episode["seed"])
        for key in ("map", "agent"):
            assert np.array_equal(observation[key], episode["observations"][key][0])
        assert np.array_equal(observation["mission"], episode["context"]["mission"])
    assert data.success.all()


def test_a_map_that_its_environment_changes_in_place_is_still_kept():
    class InPlace(Counter):
        observation_space = spaces.Dict({"map": spaces.Box(0, 255, (2, 2, 3), np.uint8)})

        def _observe(self):
            if self.t == 0:
                self.map = np.zeros((2, 2, 3), np.uint8)
            self.map[0, 0, 0] = self.t // 2
            return {"map": self.map}

    data = rollout(Recorder(), Envs([InPlace()]), 1, seed=0)
    assert data.observations["map"].tolist() == [0, 0, 1, 1, 2]
    assert data.maps is not None and data.maps[:, 0, 0, 0].tolist() == [0, 1, 2]


def test_continuous_actions_are_kept_even_if_the_policy_reuses_its_array():
    class Continuous(Counter):
        action_space = spaces.Box(-1, 1, (2,), np.float32)

    class Same:
        actions = np.zeros((1, 2), np.float32)

        def act(self, step):
            self.actions += 0.25
            return self.actions

    data = rollout(Same(), Envs([Continuous()]), 1, seed=0)
    assert data.actions.dtype == torch.float32
    assert data.actions[:, 0].tolist() == [0.25, 0.5, 0.75, 1.0]


def test_failures_name_the_episode():
    def broken(t):
        raise ArithmeticError("out of ink")

    cases = {
        "episode 4, step 0: the environment failed: out of ink": {"reward": broken},
        "episode 4, step 2: the environment gave the reward nan": {
            "reward": lambda t: np.nan if t == 3 else 0
        },
        "'state' is not a finite number": {"state": lambda t: np.nan if t == 2 else 0},
    }
    for message, kwargs in cases.items():
        with pytest.raises(RuntimeError, match=message):
            rollout(Recorder(), counters(1, **kwargs), range(4, 6), seed=0)


def test_wrong_actions_are_refused():
    envs = counters(2)
    for actions in (np.zeros(3, int), np.zeros(2), np.zeros((2, 1), int)):
        with pytest.raises(ValueError, match="Recorder gave actions"):
            rollout(Recorder(actions=actions), envs, 2, seed=0)


def test_no_episodes_are_refused():
    with pytest.raises(ValueError, match="at least one episode"):
        rollout(Recorder(), counters(1), 0, seed=0)
