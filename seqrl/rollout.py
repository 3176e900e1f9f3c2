"""One loop that collects demonstrations and evaluates agents: policies, steps, `rollout`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from gymnasium import spaces

from seqrl import seeds
from seqrl.environments.batch import Envs, Observation
from seqrl.trajectories import Trajectories, pack

_NOT_PER_STEP = ("map", "mission")  # stored once a change, and once an episode


class Step(NamedTuple):
    """What a policy is told before it acts in E environments at once.

    An episode begins where `first` is True: then everything remembered of the row is out of date.
    All random numbers of a row are to come from its episode's `seed`, so that an episode does not
    depend on what runs beside it. Rows that are not `active` have run out of episodes; their
    observation is old and their action is not used.
    """

    observation: dict[str, np.ndarray]  # key: (E, ...); empty where the policy needs none
    reward: np.ndarray  # (E,) float32, of the action just taken; 0 where first
    first: np.ndarray  # (E,) bool
    seed: np.ndarray  # (E,) int64
    active: np.ndarray  # (E,) bool
    episode: np.ndarray  # (E,) int64, the number of the episode


class Policy(Protocol):
    """Whatever acts: a behavior policy, a trained model, a planner.

    A policy with the attribute `needs_observation = False` is given no observations.
    """

    def act(self, step: Step) -> np.ndarray:
        """Actions (E,), integers, or (E, M), floats."""
        ...


def rollout(
    policy: Policy,
    envs: Envs,
    episodes: int | range,
    seed: int,
    *,
    stream: str = "data",
    progress: bool = False,
) -> Trajectories:
    """Let `policy` act in `envs` for the given episodes, and return their trajectories in order.

    episodes: how many, or a range of episode numbers, so that the work can be split.
    seed, stream: episode i begins from environment seed derive(stream, "env", seed, i), which the
        trajectories keep, and policy seed derive(stream, "policy", seed, i). So it is the same
        whatever the number of environments, and whichever other episodes are asked for.
    An episode ends where its environment terminates or truncates it. context["success"] is there
    if the environment's info says "success" at the last step. Raises ValueError for zero episodes,
    RuntimeError naming the episode where an environment fails or returns NaN.
    """
    numbers = range(episodes) if isinstance(episodes, int) else episodes
    if not len(numbers):
        raise ValueError("a rollout needs at least one episode.")
    with _progress_bar(len(numbers), progress) as bar:
        done: dict[int, _Episode] = {}
        for episode in _episodes(policy, envs, numbers, seed, stream):
            done[episode.number] = episode
            bar.update()
    ordered = [done[number] for number in numbers]
    info: dict[str, Any] = {"env": envs.name, "policy": type(policy).__name__}
    for name in ("reward", "view", "split"):
        if isinstance(value := getattr(envs.envs[0], name, None), str):
            info[name] = value
    info |= {"seed": seed, "stream": stream, **_actions(envs.action_space)}
    if ordered[0].mission is not None:
        info["missions"] = [episode.mission for episode in ordered]
    return pack([episode.arrays() for episode in ordered], info)


def _actions(space: spaces.Space) -> dict[str, Any]:
    """What the actions alone do not say of their space."""
    if isinstance(space, spaces.Discrete):
        return {"num_actions": int(space.n)}
    if isinstance(space, spaces.Box):
        return {"action_low": space.low.tolist(), "action_high": space.high.tolist()}
    raise ValueError(f"actions must be Discrete or a Box, not {space}.")


def _episodes(
    policy: Policy, envs: Envs, numbers: range, seed: int, stream: str
) -> Iterator[_Episode]:
    """The episodes, as they end; a row that has finished one goes on with the next number."""
    waiting = iter(numbers)

    def begin(row: int) -> _Episode | None:
        number = next(waiting, None)
        return None if number is None else _begin(envs, row, number, seed, stream)

    rows = [begin(row) for row in range(len(envs))]
    board = _StepArrays(envs, rows, getattr(policy, "needs_observation", True))
    while board.active.any():
        actions = np.asarray(policy.act(board.step()))
        board.check(actions, type(policy).__name__)
        for row, episode in enumerate(rows):
            if episode is None:
                continue
            reward = episode.step(envs, row, actions[row])
            if episode.over:
                yield episode
                rows[row] = begin(row)
                board.begin(row, rows[row])
            else:
                board.go_on(row, reward, episode.last)


class _StepArrays:
    """The arrays of the next `Step`, kept from step to step and changed row by row."""

    def __init__(self, envs: Envs, rows: list[_Episode | None], sees: bool) -> None:
        count = len(rows)
        self.action_space = envs.action_space
        self.reward = np.zeros(count, np.float32)
        self.first = np.zeros(count, bool)
        self.seed = np.zeros(count, np.int64)
        self.active = np.zeros(count, bool)
        self.episode = np.zeros(count, np.int64)
        observed = cast(dict[str, spaces.Box], envs.single_observation_space) if sees else {}
        self.keys = tuple(observed)
        blank = {key: np.zeros(box.shape, box.dtype) for key, box in observed.items()}
        self.last: list[Observation] = [blank] * count
        for row, episode in enumerate(rows):
            self.begin(row, episode)

    def begin(self, row: int, episode: _Episode | None) -> None:
        """Show the first observation of a new episode in the row, or that none is left for it."""
        self.reward[row] = 0
        self.first[row] = self.active[row] = episode is not None
        if episode is not None:
            self.seed[row], self.episode[row] = episode.policy_seed, episode.number
            self.last[row] = episode.last

    def go_on(self, row: int, reward: float, observation: Observation) -> None:
        """Show what the last action has led to in the row."""
        self.first[row] = False
        self.reward[row] = reward
        self.last[row] = observation

    def step(self) -> Step:
        """The arrays as they are now, in copies that a policy may keep."""
        observation = {key: np.stack([row[key] for row in self.last]) for key in self.keys}
        numbers = (self.reward, self.first, self.seed, self.active, self.episode)
        return Step(observation, *(array.copy() for array in numbers))

    def check(self, actions: np.ndarray, policy: str) -> None:
        """Raise ValueError unless each row has an action of the right shape and kind."""
        space = self.action_space
        shape = (len(self.last), *(space.shape or ()))
        discrete = isinstance(space, spaces.Discrete)
        if actions.shape != shape or (discrete and actions.dtype.kind not in "iu"):
            kind = "integers" if discrete else "floats"
            given = f"{actions.dtype.name} of shape {actions.shape}"
            raise ValueError(f"{policy} gave actions {given}; {kind} of shape {shape} are needed.")
        if not discrete and not np.isfinite(actions[self.active]).all():
            raise ValueError(f"{policy} gave an action that is not a finite number.")


def _begin(envs: Envs, row: int, number: int, seed: int, stream: str) -> _Episode:
    env_seed = seeds.derive(stream, "env", seed, number)
    try:
        first = envs.reset_row(row, env_seed)
    except Exception as error:
        raise RuntimeError(f"{envs.name}, episode {number}: reset failed: {error}") from error
    mission = getattr(envs.envs[row].unwrapped, "mission", None)
    policy_seed = seeds.derive(stream, "policy", seed, number)
    return _Episode(number, env_seed, policy_seed, first, mission if type(mission) is str else None)


class _Episode:
    """One episode while it grows: lists of observations, actions and rewards."""

    def __init__(
        self, number: int, env_seed: int, policy_seed: int, first: Observation, mission: str | None
    ) -> None:
        self.number, self.env_seed, self.policy_seed = number, env_seed, policy_seed
        self.mission = mission
        self.last = first
        self.over = self.terminated = self.truncated = False
        self.observations: dict[str, np.ndarray] = {}  # filled when the episode is over
        self._rows: dict[str, list[np.ndarray]] = {k: [] for k in first if k not in _NOT_PER_STEP}
        self._actions: list[Any] = []
        self._rewards: list[float] = []
        self._maps: list[np.ndarray] = []
        self._map_index: list[int] = []
        self._success: bool | None = None
        self._see(first)

    def _see(self, observation: Observation) -> None:
        self.last = observation
        for key, values in self._rows.items():
            values.append(observation[key])
        if "map" in observation:
            grid = observation["map"]
            newest = self._maps[-1] if self._maps else None
            if newest is None or not (grid is newest or np.array_equal(grid, newest)):
                self._maps.append(grid.copy() if grid.flags.writeable else grid)
            self._map_index.append(len(self._maps) - 1)

    def step(self, envs: Envs, row: int, action: Any) -> float:
        """Take the action in the row's environment; the reward."""
        try:
            result = envs.step_row(row, action)
        except Exception as error:
            raise RuntimeError(f"{self._place(envs)}: the environment failed: {error}") from error
        observation, reward, self.terminated, self.truncated, info = result
        if not math.isfinite(reward):
            raise RuntimeError(f"{self._place(envs)}: the environment gave the reward {reward}.")
        self._actions.append(action.copy())  # a policy may fill the same array at every step
        self._rewards.append(reward)
        self._see(observation)
        self.over = self.terminated or self.truncated
        if self.over:
            self._finish(envs, info)
        return reward

    def _finish(self, envs: Envs, info: dict[str, Any]) -> None:
        if "success" in info:
            self._success = bool(info["success"])
        for key, values in self._rows.items():
            rows = _stack(values)
            if rows.dtype.kind == "f" and not np.isfinite(rows).all():
                raise RuntimeError(
                    f"{self._place(envs)}: an observation {key!r} is not a finite number."
                )
            self.observations[key] = rows

    def _place(self, envs: Envs) -> str:
        return f"{envs.name}, episode {self.number}, step {len(self._actions)}"

    def arrays(self) -> dict[str, Any]:
        """The episode as `trajectories.pack` takes it."""
        ends = np.zeros((2, len(self._actions)), bool)
        ends[:, -1] = self.terminated, self.truncated
        arrays: dict[str, Any] = {
            "observations": self.observations,
            "actions": np.array(self._actions),
            "rewards": np.array(self._rewards, np.float32),
            "terminations": ends[0],
            "truncations": ends[1],
            "seed": self.env_seed,
            "context": {},
        }
        if self._maps:
            self.observations["map"] = np.array(self._map_index, np.int32)
            arrays["maps"] = np.stack(self._maps)
        if "mission" in self.last:
            arrays["context"]["mission"] = self.last["mission"]
        if self._success is not None:
            arrays["context"]["success"] = self._success
        return arrays


def _stack(values: list[np.ndarray]) -> np.ndarray:
    """np.stack, three times faster for many small arrays."""
    return np.concatenate(values).reshape(len(values), *values[0].shape)


def _progress_bar(total: int, shown: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, unit="episode", disable=not shown)
