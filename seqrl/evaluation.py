"""What an agent is worth: episodes on maps that no data holds, as numbers with intervals.

The book's protocol (DESIGN): every method meets the same test episodes, the last checkpoint is
reported, path lengths are compared on the episodes that were solved.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from seqrl.environments import Envs, make_envs
from seqrl.environments.locomotion import normalized, robot_of
from seqrl.intervals import Interval, bootstrap, wilson
from seqrl.results import plain
from seqrl.rollout import Policy, Step, rollout
from seqrl.trajectories import Trajectories

ROWS = 100  # environments side by side; episodes do not depend on it
EPISODES = 400  # of the book's protocol
VALIDATION = "train"  # the stream of episodes that choices may be made on, on maps of the data


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What happened in E episodes, one number each, and what the policy cost."""

    success: np.ndarray  # (E,) bool; NaN where an environment knows no such thing
    returns: np.ndarray  # (E,) float32, undiscounted
    lengths: np.ndarray  # (E,) int64, steps
    shortest: np.ndarray | None  # (E,) int64, steps of a shortest way; None where none is known
    ms_per_action: float  # of the policy alone, all environments side by side
    trajectories: Trajectories
    normalized: np.ndarray | None = None  # (E,) float32, returns in D4RL's units; of robots only

    def __len__(self) -> int:
        return len(self.success)

    def __repr__(self) -> str:
        if self.normalized is None:
            success, low, high = self.success_interval
            worth = f"success {success:.1%} [{low:.1%}, {high:.1%}]"
        else:
            score, low, high = bootstrap([self.normalized])
            worth = f"normalized score {score:.1f} [{low:.1f}, {high:.1f}]"
        ratio = self.path_ratio
        path = "" if math.isnan(ratio) else f", path {ratio:.2f} x the shortest"
        return (
            f"Evaluation({len(self)} episodes: {worth}, "
            f"return {self.returns.mean():.2f}{path}, {self.ms_per_action:.2f} ms an action)"
        )

    @property
    def success_interval(self) -> Interval:
        """The share of successes, with Wilson's interval; NaN where there is no such thing."""
        if np.isnan(self.success).any():
            return Interval(math.nan, math.nan, math.nan)
        return wilson(int(self.success.sum()), len(self))

    @property
    def path_ratios(self) -> np.ndarray:
        """Length over the shortest length, (E,); NaN where not solved, or where none is known."""
        if self.shortest is None:
            return np.full(len(self), np.nan)
        return np.where(self.success, self.lengths / np.maximum(self.shortest, 1), np.nan)

    @property
    def path_ratio(self) -> float:
        """The mean of `path_ratios` over the episodes that were solved; NaN where none was."""
        ratios = self.path_ratios
        return float(np.nanmean(ratios)) if np.isfinite(ratios).any() else math.nan

    @property
    def scores(self) -> dict[str, float]:
        """The numbers of a record: success, mean_return, path_ratio, ms_per_action.

        Of robots "normalized", too; what is not known is NaN.
        """
        scores = {
            "success": float(self.success.mean()),
            "mean_return": float(self.returns.mean()),
            "path_ratio": self.path_ratio,
            "ms_per_action": self.ms_per_action,
        }
        if self.normalized is not None:
            scores["normalized"] = float(self.normalized.mean())
        return scores

    @property
    def episodes(self) -> dict[str, list[float]]:
        """One number an episode, for comparisons on the same maps."""
        numbers = {"return": self.returns.tolist(), "length": self.lengths.tolist()}
        if self.normalized is not None:
            return numbers | {"normalized": self.normalized.tolist()}
        return {"success": self.success.astype(int).tolist(), **numbers}

    def summary(self) -> dict[str, Any]:
        """The scores with their intervals, ready for JSON; what is not known is None."""
        none = Interval(math.nan, math.nan, math.nan)
        of_score = none if self.normalized is None else bootstrap([self.normalized])
        found: dict[str, Any] = {"path_ratio": self.path_ratio, "episodes": len(self)}
        for name, interval in (
            ("success", self.success_interval),
            ("mean_return", bootstrap([self.returns])),
            ("normalized", of_score),
        ):
            found[name], low, high = interval
            found[f"{name}_ci"] = None if math.isnan(low) else [low, high]
        return plain({**found, "ms_per_action": self.ms_per_action})


def evaluate(
    policy: Policy,
    env: str | Envs,
    episodes: int = EPISODES,
    seed: int = 0,
    *,
    stream: str = "test",
    rows: int = ROWS,
    progress: bool = False,
    **grid: Any,
) -> Evaluation:
    """Lets a policy act in `episodes` test episodes, on maps that no dataset holds.

    env: a grid world by name (`grid`: as for `environments.make_env`), or `Envs` of any kind.
    stream: "test", or `VALIDATION` for episodes on maps of the data, to choose settings on.
    Success is the environment's own word, else that the episode terminated; of robots, which then
    have fallen, it is not known. ValueError for test episodes in environments that draw maps of
    the data.
    """
    if episodes < 1:
        raise ValueError(f"an evaluation needs at least one episode, not {episodes}.")
    if isinstance(env, Envs):
        if grid:
            raise ValueError(f"{env.name} is made already: {', '.join(grid)} cannot be chosen.")
        envs = env
    else:
        grid = {"split": "test" if stream == "test" else "data", **grid}
        envs = make_envs(env, min(rows, episodes), **grid)
    split = getattr(envs.envs[0], "split", None)  # only grid worlds have one
    if stream == "test" and split == "data":
        raise ValueError(f"{envs.name} draws maps of the data; tests need split='test'.")
    shortest = split and shortest_lengths(envs.name, episodes, seed, stream, split)
    timed = _Timed(policy)
    data = rollout(timed, envs, episodes, seed, stream=stream, progress=progress)
    data.info["policy"] = type(policy).__name__
    ended = data.terminations[data.offsets[1:] - 1]
    success = data.context.get("success", ended).numpy().astype(bool)
    returns, walks = data.returns.numpy(), robot_of(envs.name) is not None
    return Evaluation(
        success=np.full(len(data), np.nan) if walks else success,
        returns=returns,
        lengths=data.lengths.numpy(),
        shortest=None if shortest is None else np.array(shortest),
        ms_per_action=1000 * timed.seconds / timed.actions,
        trajectories=data,
        normalized=normalized(envs.name, returns) if walks else None,
    )


@lru_cache(maxsize=32)
def shortest_lengths(
    env: str, episodes: int, seed: int, stream: str, split: str
) -> tuple[int, ...] | None:
    """Steps of a shortest way in each of the episodes that `evaluate` shows; None if unknown."""
    from seqrl.behavior import NotApplicable, ShortestPath

    envs = make_envs(env, min(8, episodes), split=split)
    try:
        data = rollout(ShortestPath(envs), envs, episodes, seed, stream=stream)
    except NotApplicable:
        return None
    finally:
        envs.close()
    return tuple(data.lengths.tolist())


class _Timed:
    """A policy whose time is counted."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.seconds, self.actions = policy, 0.0, 0
        self.needs_observation = getattr(policy, "needs_observation", True)

    def act(self, step: Step) -> np.ndarray:
        start = time.perf_counter()
        actions = self.policy.act(step)
        self.seconds += time.perf_counter() - start
        self.actions += int(step.active.sum())
        return actions
