"""Toys whose right answer is known: the graph of the Decision Transformer paper's Figure 2."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from seqrl.environments.batch import Observation

WALK_LENGTH = 10  # steps of the paper's random walks

# fmt: off
# Drawn once at random, each edge to one of the five nearest nodes; written out so that it is the
# same graph whatever the version of NumPy. Nodes are numbered from left to right.
_NEIGHBORS = (
    (1, 4, 5), (0, 2, 5), (1, 3, 8), (0, 1, 4), (0, 3, 7),
    (3, 7, 8), (2, 8, 11), (4, 9, 10), (6, 9, 12), (8, 11, 13),
    (9, 13, 15), (8, 12, 14), (6, 8, 14), (9, 11, 16), (11, 16, 18),
    (10, 13, 16), (14, 17, 19), (10, 16, 19), (14, 16, 19), (14, 16, 17),
)
_POSITIONS = (
    (0.02, 0.17), (0.08, 0.64), (0.1, 0.99), (0.1, 0.39), (0.18, 0.09),
    (0.38, 0.5), (0.52, 0.96), (0.55, 0.11), (0.58, 0.61), (0.63, 0.38),
    (0.78, 0.05), (0.87, 0.64), (0.88, 0.87), (0.94, 0.34), (1.13, 0.88),
    (1.15, 0.16), (1.3, 0.47), (1.47, 0.11), (1.58, 0.89), (1.59, 0.63),
)
# fmt: on


class RandomWalkGraph(gym.Env):
    """A fixed directed graph of 20 nodes, three edges out of each; walk to the goal.

    Reward -1 a step and 0 on the step that reaches the goal, where the episode ends; it is cut
    after 10 steps. So a shortest walk of n steps returns -(n - 1), and a walk that never arrives
    -10. Each reset starts at a random node that is not the goal, or at `options={"start": node}`.

    Observation: {"state": one-hot (20,) float32}. Action: which of the node's three edges to take
    (all nodes have as many, so every action is valid everywhere); `neighbors[node, action]` is the
    next node. `info["success"]` is True on the step that reaches the goal.

    Source: Chen, Lu et al. (2021), Figure 2; the paper's own graph was never published, this one
    has its size: 20 nodes, walks of length 10, data from uniformly random walks.
    """

    name = "RandomWalkGraph"
    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  (gymnasium's own form)

    def __init__(self) -> None:
        self.neighbors = np.array(_NEIGHBORS)  # (20, 3) node ids
        self.positions = np.array(_POSITIONS)  # (20, 2) x, y for drawing, y upwards
        self.goal = len(_NEIGHBORS) - 1
        self.num_nodes, self.num_edges = self.neighbors.shape
        one_hot = spaces.Box(0.0, 1.0, (self.num_nodes,), np.float32)
        self.observation_space = spaces.Dict({"state": one_hot})
        self.action_space = spaces.Discrete(self.num_edges)
        self._node: int | None = None
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin a walk; ValueError where `options["start"]` is no node or is the goal."""
        super().reset(seed=seed)
        others = [node for node in range(self.num_nodes) if node != self.goal]
        start = (options or {}).get("start")
        if start is None:
            start = others[int(self.np_random.integers(len(others)))]
        elif start not in others:
            raise ValueError(f"a walk cannot start at node {start}; it starts at one of {others}.")
        self._node, self._steps = int(start), 0
        return self._observe(), {}

    def step(
        self, action: int | np.integer
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Follow one of the node's edges; ValueError for an action that is none of 0, 1, 2."""
        if self._node is None:
            raise gym.error.ResetNeeded("call reset before the first step.")
        if not 0 <= action < self.num_edges:
            raise ValueError(f"action {action} is no edge; a node has edges 0, 1 and 2.")
        self._node = int(self.neighbors[self._node, int(action)])
        self._steps += 1
        arrived = self._node == self.goal
        truncated = not arrived and self._steps >= WALK_LENGTH
        return self._observe(), 0.0 if arrived else -1.0, arrived, truncated, {"success": arrived}

    def shortest_lengths(self) -> np.ndarray:
        """The fewest steps from each node to the goal, exactly, by dynamic programming; (20,) int.

        After n sweeps of l(s) = 1 + min over neighbors of l, all lengths up to n are right.
        """
        lengths = np.full(self.num_nodes, self.num_nodes)
        lengths[self.goal] = 0
        for _ in range(self.num_nodes):
            lengths = 1 + lengths[self.neighbors].min(axis=1)
            lengths[self.goal] = 0
        return lengths

    def is_optimal(self, nodes: Sequence[int] | np.ndarray) -> bool:
        """Whether a walk, its nodes (steps + 1,) from the start on, is a shortest walk to the goal.

        Raises ValueError where two nodes that follow each other have no edge between them.
        """
        walk = [int(node) for node in nodes]
        for here, there in itertools.pairwise(walk):
            if there not in self.neighbors[here]:
                raise ValueError(f"no edge leads from node {here} to node {there}.")
        if not walk or walk[-1] != self.goal:
            return False
        return len(walk) - 1 == int(self.shortest_lengths()[walk[0]])

    def _observe(self) -> Observation:
        state = np.zeros(self.num_nodes, np.float32)
        state[self._node] = 1.0
        return {"state": state}
