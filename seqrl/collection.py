"""Collecting trajectories of behavior policies, in as many processes as there are cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import gymnasium as gym

import seqrl
from seqrl import behavior
from seqrl.environments import Envs, make_envs
from seqrl.environments.locomotion import ROBOTS, make_robots
from seqrl.rollout import Policy, rollout
from seqrl.trajectories import Trajectories, concatenate

POLICIES = ("expert", "noisy", "mixed", "bot", "random")
NOISE = (0.1, 0.25, 0.5, 0.75)  # epsilon of the odd episodes of `mixed`, in turn
_ROWS = 8  # environments side by side; the trajectories do not depend on it

MakePolicy = Callable[[Envs], Policy]
Item = TypeVar("Item")


def collect(
    env: str | Callable[[], gym.Env],
    policy: str | MakePolicy,
    episodes: int,
    seed: int = 0,
    *,
    epsilon: float = 0.0,
    reward: str | None = None,
    view: str | None = None,
    processes: int | None = None,
    progress: bool = True,
) -> Trajectories:
    """Trajectories of a behavior policy; the same whatever the number of processes.

    env: a grid world (see `environments.make_env`), any gymnasium id, or a function that makes an
        environment. reward, view: of a grid world; None is the level's default.
    policy: "expert", "noisy" (the expert with `epsilon`), "mixed", "bot" (`epsilon` applies too),
        "random", or a function from `Envs` to a policy.
    processes: by default all cores for 200 episodes or more, else one, and never more than the
        variable SEQRL_PROCESSES says. Given functions are called in these processes, so they must
        be importable from there: with lambdas, ask for one.
    Raises ValueError for unknown names, NotApplicable where the policy cannot solve the level.
    """
    if isinstance(policy, str) and policy not in POLICIES:
        raise ValueError(f"unknown policy {policy!r}; there are {', '.join(POLICIES)}.")
    if not 0 <= epsilon <= 1:
        raise ValueError(f"epsilon must lie in [0, 1], not {epsilon}.")
    if policy == "noisy" and not epsilon:
        raise ValueError("the policy 'noisy' needs an epsilon above 0.")
    if epsilon and policy not in ("noisy", "bot"):
        raise ValueError(f"epsilon belongs to the policies 'noisy' and 'bot', not to {policy!r}.")
    if episodes < 1:
        raise ValueError(f"a dataset needs at least one episode, not {episodes}.")
    if processes is not None and processes < 1:
        raise ValueError(f"collecting needs at least one process, not {processes}.")
    source = Source(env, policy, epsilon, seed, reward, view)
    return collect_from(source, episodes, processes, progress)


@dataclass(frozen=True)
class Source:
    """Everything that decides what episode i of a dataset is."""

    env: str | Callable[[], gym.Env]
    policy: str | MakePolicy
    epsilon: float
    seed: int
    reward: str | None
    view: str | None

    def make_envs(self) -> Envs:
        if callable(self.env):
            return Envs([self.env() for _ in range(_ROWS)])
        if self.env in {robot.env for robot in ROBOTS.values()}:
            return make_robots(self.env, _ROWS)
        try:
            return make_envs(self.env, _ROWS, reward=self.reward, view=self.view)
        except ValueError:
            if self.env not in gym.registry:
                raise
            return Envs([gym.make(self.env) for _ in range(_ROWS)])

    def make_policy(self, envs: Envs) -> Policy:
        if callable(self.policy):
            return self.policy(envs)
        if self.policy == "random":
            return behavior.Random(envs)
        if self.policy == "bot":
            return behavior.BabyAIBot(envs, self.epsilon)
        noise = mixed_noise if self.policy == "mixed" else self.epsilon
        return behavior.ShortestPath(envs, noise)

    def collect(self, numbers: range) -> Trajectories:
        """The episodes of these numbers."""
        envs = self.make_envs()
        data = rollout(self.make_policy(envs), envs, numbers, self.seed)
        envs.close()
        if isinstance(self.policy, str):
            data.info["policy"] = self.policy
            if self.policy in ("noisy", "bot"):
                data.info["epsilon"] = self.epsilon
        return data


def collect_from(
    source: Source,
    episodes: int,
    processes: int | None = None,
    progress: bool = True,
    max_steps: int | None = None,
) -> Trajectories:
    """The first episodes of a source, as many as `max_steps` allows; info counts those left out."""
    from tqdm import tqdm

    source.make_policy(source.make_envs())  # a wrong name is told before work begins
    if processes is None:
        processes = (os.cpu_count() or 1) if episodes >= 200 else 1
    size = max(10, min(250, episodes // (4 * processes)))
    ranges = [range(start, min(start + size, episodes)) for start in range(0, episodes, size)]
    parts: list[Trajectories] = []
    steps = 0
    with (
        mapped(source.collect, ranges, processes) as results,
        tqdm(total=episodes, unit="episode", disable=not progress, leave=False, delay=0.5) as bar,
    ):
        for part in results:
            parts.append(part)
            steps += part.steps
            bar.update(len(part))
            if max_steps is not None and steps > max_steps:
                break
    data = concatenate(parts)
    if max_steps is not None and steps > max_steps:
        data = data.select(range(int((data.offsets[1:] <= max_steps).sum())))
    data.info.update({"episodes_left_out": episodes - len(data), "seqrl": seqrl.__version__})
    return data


@contextmanager
def mapped(
    function: Callable[[Item], Trajectories], items: Sequence[Item], processes: int
) -> Iterator[Iterator[Trajectories]]:
    """The results of a function for each item, in order, from several processes."""
    processes = min(processes, int(os.environ.get("SEQRL_PROCESSES", processes)))
    if processes == 1 or len(items) == 1:
        yield map(function, items)
        return
    import multiprocessing as mp
    import pickle

    start = "fork" if "fork" in mp.get_all_start_methods() else "spawn"
    pool = ProcessPoolExecutor(processes, mp.get_context(start), initializer=_begin)
    try:
        yield map(pickle.loads, pool.map(partial(_pickled, function), items))
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """What each process does before it works."""
    import threading

    import torch

    torch.set_num_threads(1)  # in a forked process, PyTorch's other threads do not exist
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, even if that was killed."""
    import multiprocessing as mp

    parent = mp.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _pickled(function: Callable[[Item], Trajectories], item: Item) -> bytes:
    """A result in plain bytes: PyTorch would send each of its tensors by an open file."""
    import pickle

    return pickle.dumps(function(item))


def mixed_noise(episode: int) -> float:
    """Epsilon of an episode of a `mixed` dataset, by its number."""
    return NOISE[episode // 2 % len(NOISE)] if episode % 2 else 0.0
