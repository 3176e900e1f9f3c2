"""Envs: several environments, addressed by row."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from seqrl.environments import Envs, make_env, make_envs
from seqrl.environments.toys import RandomWalkGraph


class Drift(gym.Env):
    """A flat, continuous environment: the state moves by the action."""

    def __init__(self, size: int = 2) -> None:
        self.observation_space = spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (size,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.random(self.action_space.shape, np.float32)
        return self.state, {}

    def step(self, action):
        self.state = self.state + action
        return self.state, np.float64(1.0), np.bool_(False), False, {"moved": True}


def test_rows_are_reset_and_stepped_by_themselves():
    envs = make_envs("GoToLocalS7N5", 2)
    alone = make_env("GoToLocalS7N5")
    envs.reset_row(0, 11)
    envs.reset_row(1, 22)
    expected, _ = alone.reset(seed=22)
    for action in (0, 1, 2):
        envs.step_row(0, 2)
        observation, reward, terminated, truncated, info = envs.step_row(1, np.int64(action))
        expected, *rest = alone.step(action)
        assert all(np.array_equal(observation[key], expected[key]) for key in expected)
        assert [reward, terminated, truncated, info] == rest


def test_a_flat_observation_becomes_state():
    envs = Envs([Drift(), Drift()])
    assert envs.single_observation_space["state"].shape == (2,)
    first = envs.reset_row(1, 5)["state"]
    step = np.array([0.5, -0.5], np.float32)
    observation, reward, terminated, truncated, info = envs.step_row(1, step)
    np.testing.assert_allclose(observation["state"], first + step)
    assert (reward, terminated, truncated, info) == (1.0, False, False, {"moved": True})
    assert type(reward) is float and type(terminated) is bool and type(truncated) is bool


def test_names_come_through_wrappers():
    import seqrl.environments  # noqa: F401  (registers)

    assert Envs([gym.make("seqrl/PickupLoc-v0")]).name == "PickupLoc"
    assert Envs([RandomWalkGraph()]).name == "RandomWalkGraph"
    assert Envs([Drift()]).name == "Drift"
    assert len(make_envs("GoToLocalS7N5", 3)) == 3


def test_bad_environments_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        Envs([])
    with pytest.raises(ValueError, match="separate environment"):
        Envs([Drift()] * 2)
    with pytest.raises(ValueError, match="environment 1 differ"):
        Envs([Drift(2), Drift(3)])
    unsuitable = Drift()
    unsuitable.observation_space = spaces.Discrete(4)
    with pytest.raises(ValueError, match="Discrete"):
        Envs([unsuitable])


def test_a_flat_state_in_double_precision_comes_in_single():
    class Double(Drift):
        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Box(-np.inf, 5.0, (2,), np.float64)

        def reset(self, *, seed=None, options=None):
            return np.array([1 / 3, 2.0]), {}

        def step(self, action):
            return np.array([2 / 3, 2.0]), 1.0, False, False, {}

    envs = Envs([Double()])
    space = envs.single_observation_space["state"]
    assert space.dtype == np.float32 and space.high[0] == 5 and space.low[0] == -np.inf
    first, (then, *_) = envs.reset_row(0, 1), envs.step_row(0, np.zeros(2, np.float32))
    for state, value in ((first, 1 / 3), (then, 2 / 3)):
        assert state["state"].dtype == np.float32 and state["state"][0] == np.float32(value)
