"""The graph toy: what chapter 1 says of it must be so."""

from __future__ import annotations

import itertools

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from seqrl.environments.toys import WALK_LENGTH, RandomWalkGraph


def random_walks(count: int, seed: int) -> list[list[int]]:
    """Nodes of uniformly random walks, from uniformly random starts."""
    env, rng, walks = RandomWalkGraph(), np.random.default_rng(seed), []
    for i in range(count):
        observation, _ = env.reset(seed=seed * count + i)
        nodes, ended = [int(observation["state"].argmax())], False
        while not ended:
            observation, _, terminated, truncated, _ = env.step(rng.integers(3))
            nodes.append(int(observation["state"].argmax()))
            ended = terminated or truncated
        walks.append(nodes)
    return walks


def breadth_first_lengths(env: RandomWalkGraph) -> list[int]:
    """Fewest steps to the goal, by searching forwards from every node."""
    lengths = []
    for start in range(env.num_nodes):
        frontier, steps = {start}, 0
        while env.goal not in frontier:
            frontier, steps = {int(n) for node in frontier for n in env.neighbors[node]}, steps + 1
            assert steps <= env.num_nodes
        lengths.append(steps)
    return lengths


def test_shortest_lengths_equal_a_search():
    env = RandomWalkGraph()
    assert env.shortest_lengths().tolist() == breadth_first_lengths(env)
    assert env.shortest_lengths()[env.goal] == 0
    assert env.shortest_lengths().max() <= WALK_LENGTH  # each start can arrive in time


def test_the_graph_is_a_proper_one():
    env = RandomWalkGraph()
    assert env.neighbors.shape == (20, 3) and env.positions.shape == (20, 2)
    for node, neighbors in enumerate(env.neighbors.tolist()):
        assert len(set(neighbors)) == 3 and node not in neighbors
        assert all(0 <= neighbor < 20 for neighbor in neighbors)
    gaps = np.linalg.norm(env.positions[:, None] - env.positions, axis=-1)
    assert gaps[~np.eye(20, dtype=bool)].min() > 0.1  # nodes do not overlap in a drawing


@pytest.mark.parametrize("seed", range(5))
def test_in_a_thousand_walks_optimal_ones_are_few_and_some_starts_have_none(seed):
    env, walks = RandomWalkGraph(), random_walks(1000, seed)
    optimal = [walk for walk in walks if env.is_optimal(walk)]
    arrived = [walk for walk in walks if walk[-1] == env.goal]
    assert 50 < len(optimal) < 150 < len(arrived) < 500
    starts_without = set(range(20)) - {env.goal} - {walk[0] for walk in optimal}
    assert {walk[0] for walk in walks} == set(range(20)) - {env.goal}
    assert 1 <= len(starts_without) <= 7
    edges = {pair for walk in walks for pair in itertools.pairwise(walk)}
    assert len(edges) == 19 * 3  # every edge is in the data, so shortest paths can be read from it


def test_rewards_and_ends():
    env = RandomWalkGraph()
    lengths = env.shortest_lengths()
    for start in range(19):
        env.reset(seed=0, options={"start": start})
        node, rewards, terminated = start, [], False
        while not terminated:
            action = int(lengths[env.neighbors[node]].argmin())
            node = int(env.neighbors[node, action])
            observation, reward, terminated, truncated, info = env.step(action)
            rewards.append(reward)
            assert observation["state"].sum() == 1 and observation["state"][node] == 1
            assert info["success"] == terminated and not truncated
        assert rewards == [-1.0] * (lengths[start] - 1) + [0.0]


def test_a_walk_is_cut_after_ten_steps():
    env = RandomWalkGraph()
    env.reset(options={"start": 0})
    results = [env.step(0) for _ in range(WALK_LENGTH)]  # 0, 1, 0, 1, ...
    assert [r[3] for r in results] == [False] * 9 + [True]
    assert sum(r[1] for r in results) == -10 and not any(r[2] for r in results)


def test_is_optimal():
    env = RandomWalkGraph()
    assert env.is_optimal([16, 19]) and env.is_optimal(np.array([13, 16, 19]))
    assert not env.is_optimal([16, 17, 19])  # arrives, but not by a shortest way
    assert not env.is_optimal([13, 16])  # has not arrived
    with pytest.raises(ValueError, match="from node 0 to node 19"):
        env.is_optimal([0, 19])


def test_starts_follow_from_the_seed_and_are_never_the_goal():
    env, other = RandomWalkGraph(), RandomWalkGraph()
    starts = [int(env.reset(seed=s)[0]["state"].argmax()) for s in range(200)]
    assert starts == [int(other.reset(seed=s)[0]["state"].argmax()) for s in range(200)]
    assert set(starts) == set(range(20)) - {env.goal}


def test_bad_input_is_refused():
    env = RandomWalkGraph()
    with pytest.raises(gym.error.ResetNeeded):
        env.step(0)
    for start in (env.goal, 20, -1):
        with pytest.raises(ValueError, match=f"cannot start at node {start}"):
            env.reset(options={"start": start})
    env.reset(seed=0)
    for action in (3, -1):
        with pytest.raises(ValueError, match=f"action {action}"):
            env.step(action)


def test_gymnasiums_checker_passes():
    check_env(RandomWalkGraph(), skip_render_check=True)
