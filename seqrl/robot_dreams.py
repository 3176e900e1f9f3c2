"""How long does an imagined robot move as the real one does? Open loop, under the real actions.

Trajectory Transformer imagines in its own window, which slides over what it has imagined already.
Beside it stands a network of the usual kind, which predicts the next state from the present one and
is applied to its own predictions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqrl import actors, robot_data
from seqrl.behavior import Random
from seqrl.environments.locomotion import make_robots, robot_of
from seqrl.robot_drawing import motion_of
from seqrl.rollout import rollout
from seqrl.trajectories import Trajectories, concatenate
from seqrl.tt_dynamics import imagine, whole_windows
from seqrl.windows import Batch

CONTEXT = 5  # transitions that are remembered; as many as in the paper's planner


def held_out(dataset: str, episodes: int, rows: int = 8) -> Trajectories:
    """At least so many episodes of a dataset's policies, begun from seeds of tests.

    As many of each snapshot; where episodes are fewer than snapshots, of some from first to last.
    """
    robot = robot_of(dataset)
    if robot is None:
        raise ValueError(f"{dataset!r} is no dataset of a robot.")
    snapshots = robot_data.RobotSource(robot, dataset.partition("/")[2], 0).snapshots()
    spread = np.linspace(0, len(snapshots) - 1, min(episodes, len(snapshots)))
    shown = [snapshots[i] for i in spread.round().astype(int)]
    envs, each = make_robots(robot, min(rows, episodes)), -(-episodes // len(shown))
    parts = []
    for i, steps in enumerate(shown):
        policy = actors.actor(robot, steps, envs) if steps else Random(envs)
        numbers = range(i * each, (i + 1) * each)
        parts.append(rollout(policy, envs, numbers, 0, stream="test"))
    envs.close()
    return concatenate(parts)


def windows(data: Trajectories, steps: int, context: int = CONTEXT) -> Batch:
    """A window of each episode that is long enough: context, a present, and so many steps more."""
    return whole_windows(data, context + 1 + steps)


@torch.inference_mode()
def imagined(model: Any, batch: Batch, context: int = CONTEXT) -> Tensor:
    """States (B, K, N) of windows: the first `context` + 1 real, the others imagined.

    Actions are the real ones, every other token is the likeliest. A robot that is said to have
    fallen stays where it was. ValueError for a model whose window has no room for a future.
    """
    if model.config.context < context + 2:
        raise ValueError(f"a window of {model.config.context} steps has no room to imagine in.")
    model.eval()
    states, rewards = batch.observations["state"].clone(), batch.rewards.clone()
    N, K = model.layout.N, batch.actions.shape[1]
    actions = model.discretizer.encode(batch.actions, model.layout.action)
    over = torch.zeros(len(states), 1, dtype=torch.bool)
    now = context
    while now < K - 1:
        size = min(model.config.context - context, K - now)  # one of these is the present
        past = slice(now - context, now + 1)
        steps = torch.full((len(states),), context)
        prefix = model.prefix(
            {"state": states[:, past]}, batch.actions[:, past], rewards[:, past], steps
        )
        tokens = imagine(model, prefix, actions[:, now : now + size])
        rewards[:, now : now + size] = model.discretizer.center(
            tokens[..., model.layout.reward], model.layout.reward
        )
        for i in range(1, size):
            over = over | (tokens[:, i, :1] == model.stop)
            said = model.discretizer.center(tokens[:, i, :N], model.layout.state)
            states[:, now + i] = torch.where(over, states[:, now + i - 1], said)
        now += size - 1
    return states


def drift(states: Tensor, batch: Batch, env: str) -> Tensor:
    """(B, K): meters between the capsules' ends of states (B, K, N) and of what happened, a mean.

    All windows begin at the same place; how far a robot has come since is its speed summed up.
    """
    real = batch.observations["state"]
    gaps = []
    for a, b in zip(states.numpy(force=True), real.numpy(force=True)):
        first, second = motion_of(a, env).limbs, motion_of(b, env).limbs
        gaps.append(torch.from_numpy(first - second).norm(dim=-1).mean((1, 2)))
    return torch.stack(gaps).float()


@dataclass(frozen=True)
class SingleStepConfig:
    """Sizes of `SingleStep`: numbers of a state and of an action."""

    N: int
    M: int
    hidden: int = 256
    context: int = 2  # steps of a window: one, and the next

    def build(self) -> SingleStep:
        return SingleStep(self)


class SingleStep(nn.Module):
    """From a state and an action to the change of the state, both standardized: an MLP."""

    mean: Tensor  # (N,), of states
    std: Tensor
    change_mean: Tensor
    change_std: Tensor

    def __init__(self, config: SingleStepConfig) -> None:
        super().__init__()
        self.config = config
        for name in ("mean", "std", "change_mean", "change_std"):
            self.register_buffer(name, torch.zeros(config.N))
        self.mlp = nn.Sequential(
            nn.Linear(config.N + config.M, config.hidden), nn.GELU(),
            nn.Linear(config.hidden, config.hidden), nn.GELU(),
            nn.Linear(config.hidden, config.N),
        )  # fmt: skip

    @classmethod
    def for_data(cls, data: Trajectories) -> SingleStep:
        """An untrained one, with the scales of a dataset's states and changes."""
        states = data.observations["state"]
        row = torch.arange(data.steps) + data.episode_of_step
        model = cls(SingleStepConfig(states.shape[1], data.actions.shape[1]))
        for name, x in {"": states[row], "change_": states[row + 1] - states[row]}.items():
            std, mean = torch.std_mean(x.double(), dim=0)
            getattr(model, f"{name}mean").copy_(mean)
            getattr(model, f"{name}std").copy_(std.clamp(min=1e-6))
        return model

    def forward(self, states: Tensor, actions: Tensor) -> Tensor:
        """What states (..., N) change by under actions (..., M), in the data's deviations."""
        return self.mlp(torch.cat([(states - self.mean) / self.std, actions], -1))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean squared error of the change of steps that a step follows, a scalar."""
        states = batch.observations["state"]
        wanted = (states[:, 1] - states[:, 0] - self.change_mean) / self.change_std
        real = batch.mask[:, 1]
        error = self(states[:, 0], batch.actions[:, 0]) - wanted
        return error[real].square().mean(), {}

    @torch.inference_mode()
    def imagine(self, batch: Batch, context: int = CONTEXT) -> Tensor:
        """As `imagined`: states (B, K, N), each after the present from the one before."""
        states = batch.observations["state"].clone()
        for t in range(context, states.shape[1] - 1):
            change = self(states[:, t], batch.actions[:, t]) * self.change_std + self.change_mean
            states[:, t + 1] = states[:, t] + change
        return states
