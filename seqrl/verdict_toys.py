"""Two toys with known answers: a gamble, where returns tell of luck, and a crossing to stitch.

Both are small graphs that the package's own methods train on in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import nn

from seqrl import value_estimates
from seqrl.behavior import Random
from seqrl.decision_transformer import DecisionTransformerConfig
from seqrl.environments import Envs
from seqrl.environments.batch import Observation
from seqrl.environments.toys import RandomWalkGraph
from seqrl.experiments import untrained
from seqrl.imitation import RvSConfig, best
from seqrl.rollout import Policy, Step, rollout
from seqrl.training import fit
from seqrl.trajectories import Trajectories
from seqrl.transformer import TransformerConfig

WAGES = ((1.0, 1.0), (4.0, -6.0), (0.0, 0.0))  # work, gamble, rest: with luck and without
CHOICES = ("work", "gamble", "rest")
ROWS = 16
TRAINING: Mapping[str, Any] = {"batch": 64, "lr": 3e-3, "weight_decay": 0.0, "progress": False}


class Gamble(gym.Env):
    """One choice: work pays 1, the gamble +4 or -6 with equal chances, rest 0; then it is over.

    Observation: {"state": (2,) float32}, always the same. The best policy works and earns 1.
    """

    name = "Gamble"
    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  (gymnasium's own form)

    def __init__(self) -> None:
        self.observation_space = spaces.Dict({"state": spaces.Box(0.0, 1.0, (2,), np.float32)})
        self.action_space = spaces.Discrete(len(WAGES))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        return self._observe(), {}

    def step(
        self, action: int | np.integer
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        reward = WAGES[int(action)][int(self.np_random.integers(2))]
        return self._observe(), reward, True, False, {"success": reward > 0}

    def _observe(self) -> Observation:
        return {"state": np.array([1.0, 0.0], np.float32)}


def gambles(episodes: int, seed: int = 0) -> Trajectories:
    """What somebody earned who chose at random."""
    envs = Envs([Gamble() for _ in range(ROWS)])
    return rollout(Random(envs), envs, episodes, seed)


def earned(policy: Policy, episodes: int = 400) -> float:
    """The mean return of a policy that gambles, works or rests."""
    envs = Envs([Gamble() for _ in range(ROWS)])
    return float(rollout(policy, envs, episodes, 0, stream="test").returns.mean())


def without_luck(data: Trajectories) -> Trajectories:
    """The same choices, each paid what that choice earned on average.

    So a return says what an action is worth, as in ESPER (Paster et al. 2022), whose clusters of
    episodes are given here: one for each choice.
    """
    total = torch.zeros(len(WAGES)).index_add_(0, data.actions, data.rewards)
    count = torch.bincount(data.actions, minlength=len(WAGES)).clamp(min=1)
    return replace(data, rewards=(total / count)[data.actions])


EDGES = {(0, 1): 1, (1, 1): 4, (4, 1): 7, (7, 1): 8, (2, 2): 3, (3, 2): 4, (4, 2): 5, (5, 2): 6}
WAY = {0: 1, 1: 1, 2: 2, 3: 2, 5: 2, 6: 2, 7: 1}  # at the middle it depends on the start


class Crossing(RandomWalkGraph):
    """Four arms that meet: west 0-1, north 2-3, south 5-6, east 7-8; the middle is 4, the goal 8.

    Actions: north, east, south, west; where no cell is, the agent stays. A point a step, as in
    `RandomWalkGraph`, and cut after as many.
    """

    name = "Crossing"

    def __init__(self, start: int | None = None) -> None:
        super().__init__()
        self.num_nodes, self.num_edges, self.goal, self.start = 9, 4, 8, start
        self.neighbors = np.repeat(np.arange(9)[:, None], 4, axis=1)
        for (node, action), to in EDGES.items():
            self.neighbors[node, action] = to
            self.neighbors[to, (action + 2) % 4] = node
        self.observation_space = spaces.Dict({"state": spaces.Box(0.0, 1.0, (9,), np.float32)})
        self.action_space = spaces.Discrete(4)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        gym.Env.reset(self, seed=seed)
        start = (0, 2)[int(self.np_random.integers(2))] if self.start is None else self.start
        return super().reset(options={"start": start})


class Commuter:
    """Walks from the west to the south, and from the north to the east; errs now and then."""

    def __init__(self, noise: float, seed: int = 0) -> None:
        self.noise, self.rng = noise, np.random.default_rng(seed)
        self.from_west = np.zeros(ROWS, bool)

    def act(self, step: Step) -> np.ndarray:
        """Actions (E,)."""
        node = step.observation["state"].argmax(1)
        self.from_west = np.where(step.first, node == 0, self.from_west)
        way = [WAY.get(int(n), 2 if west else 1) for n, west in zip(node, self.from_west)]
        errs = self.rng.random(ROWS) < self.noise
        return np.where(errs, self.rng.integers(4, size=ROWS), way)


def commutes(episodes: int, seed: int = 0, noise: float = 0.15) -> Trajectories:
    """Walks; those that reached the goal from the west, by mistake, are left out."""
    envs = Envs([Crossing() for _ in range(ROWS)])
    data = rollout(Commuter(noise, seed), envs, episodes, seed)
    start = data.offsets[:-1] + torch.arange(len(data))  # a final observation an episode
    west = data.observations["state"][start].argmax(1) == 0
    return data.select((~(west & data.success)).nonzero()[:, 0])


def values(data: Trajectories, sweeps: int = 20) -> torch.Tensor:
    """The value of each node by dynamic programming on the steps that the data have, (9,)."""
    node, after = _steps(data)
    V = torch.zeros(9)
    for _ in range(sweeps):
        new = torch.full((9,), -float(sweeps))
        new.scatter_reduce_(0, node, data.rewards + V[after], "amax")
        new[8] = 0
        V = new
    return V


def relabeled(data: Trajectories) -> Trajectories:
    """The same walks with the best return that values allow in place of their own.

    As in Q-learning Decision Transformer (Yamagata et al. 2023), from the end of a walk to its
    start: R_t = r_t + max(R_{t+1}, V(s_{t+1})). Rewards are changed so that they add up to that.
    The end of a walk that was cut gets its value, since its own return says too much.
    """
    after = _steps(data)[1]
    V, R = values(data), data.returns_to_go().clone()
    last = set((data.offsets[1:] - 1).tolist())
    for t in reversed(range(data.steps)):
        to_come = V[after[t]] if t in last else torch.maximum(R[t + 1], V[after[t]])
        R[t] = data.rewards[t] + to_come
    following = torch.cat([R[1:], R.new_zeros(1)])
    following[data.offsets[1:] - 1] = 0
    return replace(data, rewards=R - following)


def best_from_west(data: Trajectories) -> float:
    """The highest return that walks from the west have in the data."""
    start = data.offsets[:-1] + torch.arange(len(data))
    west = data.observations["state"][start].argmax(1) == 0
    return float(data.returns_to_go()[data.offsets[:-1]][west].max())


def _steps(data: Trajectories) -> tuple[torch.Tensor, torch.Tensor]:
    """The node before and after every step, (steps,) each."""
    node = data.observations["state"].argmax(1)
    row = torch.arange(data.steps) + data.episode_of_step
    return node[row], node[row + 1]


class Learned(NamedTuple):
    """A trained model and whether its policy is asked for a return."""

    model: Any
    conditioned: bool

    def policy(self, target: float) -> Policy:
        return self.model.policy(target) if self.conditioned else self.model.policy()


def learn(method: str, data: Trajectories, seed: int, steps: int) -> Learned:
    """One of "BC", "%BC", "fitted Q", "CQL", "IQL", "RvS", "DT" (remembers all) and "DT, 1 step".

    All are tiny and trained now.
    """
    sizes: dict[str, Any] = {"hidden": 64, "dropout": 0.0}
    model: nn.Module
    if method.startswith("DT"):
        trunk = TransformerConfig(layers=1, width=32)
        context = 1 if method == "DT, 1 step" else 10
        config = DecisionTransformerConfig.for_data(data, context=context, trunk=trunk)
        model = untrained(config, seed)
    elif method == "RvS":
        model = untrained(RvSConfig.for_data(data, 32, **sizes), seed)
    else:
        data = best(data, 25) if method == "%BC" else data
        name = "BC" if method == "%BC" else method
        model = value_estimates.build(name, data, seed, average=0.1, **sizes)
    fit(model, data, seed=seed, steps=steps, **TRAINING)
    return Learned(model, method == "RvS" or method.startswith("DT"))


def from_west(policy: Policy) -> float:
    """The return of the walk from the west; -3 is best, -10 is never to arrive."""
    envs = Envs([Crossing(start=0)])
    return float(rollout(policy, envs, 1, 0, stream="test").returns[0])
