"""Several environments of one kind, side by side: what a rollout steps together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

Observation = dict[str, np.ndarray]


class Envs:
    """E environments of one kind, each reset and stepped by its row number.

    Observations are dictionaries of arrays without a leading axis (a rollout stacks them); an
    environment whose observation is one array gives it as `{"state": array}`, in single precision
    if it is of floats: so trajectories keep it, and so a policy sees it. An episode that has ended
    stays ended until its row is reset: nothing is reset behind the caller's back.

    Raises ValueError where there is no environment, the same one stands in two rows, their spaces
    differ, or observations are neither one Box nor a Dict of Boxes.
    """

    def __init__(self, envs: Sequence[gym.Env]) -> None:
        self.envs: list[gym.Env] = list(envs)
        if not self.envs:
            raise ValueError("Envs needs at least one environment.")
        if len({id(env) for env in self.envs}) != len(self.envs):
            raise ValueError("Envs needs a separate environment in each row; one stands in two.")
        first = self.envs[0]
        for row, env in enumerate(self.envs):
            same = env.observation_space == first.observation_space
            if not same or env.action_space != first.action_space:
                raise ValueError(f"the spaces of environment {row} differ from environment 0's.")
        self.name = name_of(first)
        self.action_space: spaces.Space = first.action_space
        self._flat = isinstance(first.observation_space, spaces.Box)
        self._double = self._flat and first.observation_space.dtype == np.float64
        self.single_observation_space = _dict_space(first.observation_space, self.name)

    def __len__(self) -> int:
        return len(self.envs)

    def reset_row(self, row: int, seed: int) -> Observation:
        """Begin a new episode in `row` with the environment seed `seed`; its first observation."""
        observation, _ = self.envs[row].reset(seed=int(seed))
        return self._as_dict(observation)

    def step_row(
        self, row: int, action: int | np.integer | np.ndarray
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take `action` in `row`: observation, reward, terminated, truncated, info.

        Shapes: action scalar for discrete actions, (M,) for continuous ones.
        """
        taken = int(action) if isinstance(self.action_space, spaces.Discrete) else action
        observation, reward, terminated, truncated, info = self.envs[row].step(taken)
        return self._as_dict(observation), float(reward), bool(terminated), bool(truncated), info

    def close(self) -> None:
        """Close every environment."""
        for env in self.envs:
            env.close()

    def _as_dict(self, observation: Any) -> Observation:
        if not self._flat:
            return observation
        return {"state": np.asarray(observation, np.float32 if self._double else None)}


def name_of(env: gym.Env) -> str:
    """The name of an environment: its own `name`, else its gymnasium id, else its class."""
    for layer in _layers(env):
        name = getattr(layer, "name", None)
        if isinstance(name, str):
            return name
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__


def _layers(env: gym.Env) -> list[gym.Env]:
    """An environment and what it wraps, from the outside in."""
    layers = [env]
    while isinstance(layers[-1], gym.Wrapper):
        layers.append(layers[-1].env)
    return layers


def _dict_space(space: spaces.Space, name: str) -> spaces.Dict:
    if isinstance(space, spaces.Box):
        if space.dtype == np.float64:
            low, high = space.low.astype(np.float32), space.high.astype(np.float32)
            space = spaces.Box(low, high, dtype=np.float32)
        return spaces.Dict({"state": space})
    if isinstance(space, spaces.Dict) and all(isinstance(s, spaces.Box) for s in space.values()):
        return space
    raise ValueError(
        f"observations of {name} are {space}; only one Box or a Dict of Boxes can be stacked."
    )
