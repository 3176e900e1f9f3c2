"""The graph of Decision Transformer's Figure 2, measured: do random walks teach shortest paths?

Walks on `RandomWalkGraph`, what the data show of each start, and the path that a policy takes from
every start, held against dynamic programming.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from seqrl.behavior import Random
from seqrl.environments import Envs
from seqrl.environments.batch import Observation
from seqrl.environments.toys import RandomWalkGraph
from seqrl.rollout import Policy, rollout
from seqrl.trajectories import Trajectories

GRAPH = RandomWalkGraph()
STARTS = [node for node in range(GRAPH.num_nodes) if node != GRAPH.goal]


class Starts(NamedTuple):
    """The starts from which some walk of the data is a shortest one, and those without."""

    shown: list[int]
    unseen: list[int]


class Share(NamedTuple):
    """How many of the starts of each kind were left by a shortest path, and of how many."""

    shown: int
    of_shown: int
    unseen: int
    of_unseen: int


def walks(seed: int = 0, episodes: int = 1000) -> Trajectories:
    """Uniformly random walks of at most 10 steps from random starts; the paper has 1,000."""
    envs = Envs([RandomWalkGraph() for _ in range(16)])
    return rollout(Random(envs), envs, episodes, seed)


def nodes(data: Trajectories) -> list[list[int]]:
    """The nodes of every walk, from its start on."""
    visited = data.observations["state"].argmax(1).tolist()
    ends = [end + e for e, end in enumerate(data.offsets.tolist())]  # a final one an episode
    return [visited[a:b] for a, b in pairwise(ends)]


def starts(data: Trajectories) -> Starts:
    """Which starts the data show a shortest walk from."""
    shown = {walk[0] for walk in nodes(data) if GRAPH.is_optimal(walk)}
    others = set(STARTS) - shown
    return Starts(sorted(shown), sorted(others))


def best_returns(data: Trajectories) -> dict[int, float]:
    """The best return-to-go that followed a visit of each node, in walks that arrived.

    A walk that was cut says nothing of what its last nodes are worth, so it is left out.
    """
    best: dict[int, float] = {}
    arrived = data.select(data.success)
    to_go = arrived.returns_to_go().tolist()
    visited = [node for walk in nodes(arrived) for node in walk[:-1]]
    for node, value in zip(visited, to_go):
        best[node] = max(value, best.get(node, -np.inf))
    return best


def drive(policy: Callable[[float], Policy], targets: Mapping[int, float]) -> dict[int, list[int]]:
    """The walk from every start in `targets`, by a policy that is asked for that start's target."""
    paths: dict[int, list[int]] = {}
    for target in sorted(set(targets.values())):
        own = [start for start, asked in targets.items() if asked == target]
        envs = Envs([_From(start) for start in own])
        driven = rollout(policy(target), envs, len(own), seed=0, stream="test")
        paths |= {walk[0]: walk for walk in nodes(driven)}
    return paths


def share(paths: Mapping[int, list[int]], known: Starts) -> Share:
    """How many of the paths are shortest ones, for starts with and without one in the data."""
    best = {start: GRAPH.is_optimal(path) for start, path in paths.items()}
    shown, unseen = ([best[start] for start in part if start in best] for part in known)
    return Share(sum(shown), len(shown), sum(unseen), len(unseen))


class _From(RandomWalkGraph):
    """The graph with one start."""

    def __init__(self, start: int) -> None:
        super().__init__()
        self.start = start

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        return super().reset(seed=seed, options={"start": self.start})
