"""A trained model with its card: what it is, what to ask of it, and what it is worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch

from seqrl import checkpoints
from seqrl.decision_transformer import DecisionTransformerConfig
from seqrl.delayed import Untold
from seqrl.environments import Envs, levels
from seqrl.environments.locomotion import make_robots, robot_of
from seqrl.evaluation import EPISODES, ROWS, Evaluation, evaluate
from seqrl.imitation import BCConfig, RvSConfig
from seqrl.iql import IQLConfig
from seqrl.leap import LEAPConfig
from seqrl.leap_return import ReturnLEAPConfig
from seqrl.rollout import Policy
from seqrl.trajectory_transformer import TrajectoryTransformerConfig

CONFIGS: dict[str, Any] = {  # a checkpoint's card names the model's class
    "BehaviorCloning": BCConfig,
    "RvS": RvSConfig,
    "IQL": IQLConfig,
    "DecisionTransformer": DecisionTransformerConfig,
    "TrajectoryTransformer": TrajectoryTransformerConfig,
    "LEAP": LEAPConfig,
    "ReturnLEAP": ReturnLEAPConfig,
}
CONDITIONED = ("RvS", "DecisionTransformer", "ReturnLEAP")  # their policies ask for a return


@dataclass(frozen=True, eq=False)
class Trained:
    """A model with its card; the card says on what it was trained and what to ask of it."""

    model: Any
    card: dict[str, Any]

    @property
    def env(self) -> str:
        """The environment of the data; ValueError where the card does not say."""
        if "env" not in self.card.get("data", {}):
            raise ValueError("the checkpoint does not say which environment its data are from.")
        return self.card["data"]["env"]

    @property
    def target(self) -> float | None:
        """The return to ask for; None where the method asks for none."""
        return self.card.get("target_return")

    def policy(self, target_return: float | None = None, **options: Any) -> Policy:
        """The model's policy; ValueError for a target where the method asks for none."""
        if type(self.model).__name__ not in CONDITIONED:
            if target_return is not None:
                raise ValueError(f"{type(self.model).__name__} asks for no return.")
            return self.model.policy(**options)
        asked = self.target if target_return is None else target_return
        if asked is None:
            raise ValueError("the checkpoint does not say which return to ask for: give one.")
        return self.model.policy(asked, **options)

    def evaluate(
        self,
        episodes: int = EPISODES,
        seed: int = 0,
        *,
        target: float | None = None,
        env: str | None = None,
        stream: str = "test",
    ) -> Evaluation:
        """Episodes on the environment that the model was made for, or another; see `evaluate`."""
        name, policy = env or self.env, self.policy(target)
        data = self.card["data"]  # a dataset may show other observations than the level does
        if data.get("rewards") == "delayed":
            policy = Untold(policy)
        try:
            levels.resolve(name)
        except ValueError:
            envs = _no_grid(name, min(ROWS, max(1, episodes)))
            if envs is None:
                raise
            return evaluate(policy, envs, episodes, seed, stream=stream)
        grid = {key: data[key] for key in ("reward", "view") if name == self.env and key in data}
        return evaluate(policy, name, episodes, seed, stream=stream, **grid)


def _no_grid(name: str, rows: int) -> Envs | None:
    """Robots, or what else Gymnasium knows by that name; None where it knows nothing."""
    if robot := robot_of(name):
        return make_robots(robot, rows)
    return Envs([gym.make(name) for _ in range(rows)]) if name in gym.registry else None


def choose_device(env: str | None, asked: str | None = None) -> torch.device:
    """What is asked for; else a GPU for robots where there is one, and for all others the CPU.

    On it the records of the grid worlds were made. ValueError for a device that is not there.
    """
    if asked is None:
        robot = env is not None and robot_of(env)
        return torch.device("cuda" if robot and torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(asked)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # an unknown one; PyTorch without CUDA
        raise ValueError(f"there is no device {asked!r} here; there is cpu.") from error
    return device


def load(path: Path | str, device: torch.device | str = "cpu") -> Trained:
    """A trained model from its checkpoint; CheckpointError for a file that is none."""
    _, card = checkpoints.load(path)
    described = card.get("model", {})
    if described.get("method") not in CONFIGS:
        raise checkpoints.CheckpointError(
            f"{path} holds {described.get('method')!r}; known are {', '.join(CONFIGS)}."
        )
    try:
        model = CONFIGS[described["method"]].from_card(described).build()
    except (KeyError, TypeError, ValueError) as error:
        raise checkpoints.CheckpointError(
            f"{path} has a config that does not fit: {error}."
        ) from error
    card = checkpoints.load_model(path, model)
    return Trained(model.to(device).eval(), card)
