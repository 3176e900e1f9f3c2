"""Small worlds that trained policies act in: doors that open, a partial view, and plain numbers."""

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces

from seqrl.behavior import Random, ShortestPath
from seqrl.environments import Envs, make_envs
from seqrl.environments.toys import RandomWalkGraph
from seqrl.windows import Windows

LEVELS = {"doors": "GoToObjMazeS4R2Close", "view": "KeyToDoor"}
WORLDS = ("doors", "view", "numbers", "graph")


class Drift(gym.Env):
    """Three numbers that two actions push; an episode of 1 to 9 steps, rewards at random."""

    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = spaces.Box(np.array([-2, 0], np.float32), np.array([2, 10], np.float32))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = int(self.np_random.integers(1, 10))
        self.state = self.np_random.normal(size=3).astype(np.float32)
        return self.state.copy(), {}

    def step(self, action):
        self.left -= 1
        self.state = np.float32(0.7 * self.state + 0.3 * np.pad(action, (0, 1)))
        return self.state.copy(), float(self.np_random.normal()), self.left == 0, False, {}


def envs(world, E):
    """E environments of a world."""
    if world in LEVELS:
        return make_envs(LEVELS[world], E)
    return Envs([{"numbers": Drift, "graph": RandomWalkGraph}[world]() for _ in range(E)])


def behavior(world, environments):
    """A policy that does much in them: with doors, it opens them and goes astray."""
    if world == "doors":
        return ShortestPath(environments, epsilon=0.2)
    return Random(environments)


def last_windows(data, K):
    """The window of at most K steps that ends with each step: a batch of all S, and their lengths.

    Padding is on the right, so step i of the data is the last real step of window i.
    """
    step = torch.arange(data.steps)
    start = data.offsets[data.episode_of_step]
    first = torch.maximum(step - K + 1, start)
    batch, lengths = Windows(data, K)(first), step - first + 1
    ahead = torch.arange(K)
    shown = ahead < lengths[:, None]  # a window that begins an episode goes on after the step
    return batch._replace(mask=batch.mask & shown), lengths


def asked(data, target):
    """Returns-to-go of all steps (S,) that a policy counts down from its target."""
    before = data.rewards.double().cumsum(0) - data.rewards
    return (target - (before - before[data.offsets[data.episode_of_step]])).float()
