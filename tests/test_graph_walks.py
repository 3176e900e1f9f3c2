"""Walks on the graph: what they show of each start, by hand and by brute force, and driving."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from seqrl import graph_walks
from seqrl.graph_walks import GRAPH, Starts
from seqrl.trajectories import pack

torch.set_num_threads(1)
GOAL = GRAPH.goal
EVERY = sorted(set(range(GRAPH.num_nodes)) - {GOAL})


def walk(*nodes):
    """An episode for `pack` along these nodes; one that does not end at the goal was cut."""
    steps = len(nodes) - 1
    arrived, ends = nodes[-1] == GOAL, np.arange(steps) == steps - 1
    edges = [GRAPH.neighbors[a].tolist().index(b) for a, b in pairwise(nodes)]
    return {
        "observations": {"state": np.eye(GRAPH.num_nodes, dtype=np.float32)[list(nodes)]},
        "actions": np.array(edges),
        "rewards": -1.0 + (ends & arrived),
        "terminations": ends & arrived,
        "truncations": ends & (not arrived),
        "context": {"success": np.array(arrived)},
    }


HAND = [
    (14, 16, GOAL),  # a shortest walk
    (17, 16, GOAL),  # one step too many
    (16, 17, GOAL),  # too
    (13, 16, GOAL),  # a shortest walk
    (16, 14, 16, 17, 16, GOAL),  # three times at node 16
    (12, 14, 16, 14),  # cut
]
DATA = pack([walk(*nodes) for nodes in HAND])


class Scripted:
    """Takes the edge that `choose(node)` names."""

    def __init__(self, choose):
        self.choose = choose

    def act(self, step):
        return np.array([self.choose(int(state.argmax())) for state in step.observation["state"]])


def shortest(node):
    """The edge towards the goal, by distances counted backwards from it."""
    distance, front = {GOAL: 0}, {GOAL}
    while front:
        before = {a for a in EVERY if a not in distance and front & set(GRAPH.neighbors[a])}
        distance |= {a: distance[next(iter(front))] + 1 for a in before}
        front = before
    return int(np.argmin([distance[int(b)] for b in GRAPH.neighbors[node]]))


def along(start, choose):
    """The walk from a start, step by step."""
    nodes = [start]
    while nodes[-1] != GOAL and len(nodes) <= 10:
        nodes.append(int(GRAPH.neighbors[nodes[-1], choose(nodes[-1])]))
    return nodes


def test_nodes_are_those_that_were_walked():
    assert graph_walks.nodes(DATA) == [list(nodes) for nodes in HAND]


def test_a_start_is_shown_where_a_shortest_walk_began_not_where_one_passed():
    found = graph_walks.starts(DATA)
    assert found.shown == [13, 14]  # 16 and 17 were left by longer ways only
    assert found.unseen == [node for node in EVERY if node not in (13, 14)]


def test_best_returns_are_of_any_visit_of_walks_that_arrived():
    # 12 was seen in a cut walk only; 14 and 16 are no better for having been cut off there
    assert graph_walks.best_returns(DATA) == {13: -1.0, 14: -1.0, 16: 0.0, 17: 0.0}
    once = pack([walk(16, 14, 16, 17, 16, GOAL), walk(16, 17, GOAL)])
    assert graph_walks.best_returns(once)[17] == 0.0
    assert graph_walks.best_returns(pack([walk(*HAND[1])])) == {17: -1.0, 16: 0.0}


def test_random_walks_agree_with_brute_force():
    data = graph_walks.walks(0, 300)
    best, shown = {}, set()
    for e in range(len(data)):
        episode = data.episode(e)
        nodes = episode["observations"]["state"].argmax(1).tolist()
        assert all(b in GRAPH.neighbors[a] for a, b in pairwise(nodes))
        assert len(nodes) - 1 <= 10 and (nodes[-1] == GOAL) == bool(episode["terminations"][-1])
        if nodes[-1] == GOAL and len(nodes) == len(along(nodes[0], shortest)):
            shown.add(nodes[0])
        for i, node in enumerate(nodes[:-1]):
            if nodes[-1] == GOAL:
                best[node] = max(float(episode["rewards"][i:].sum()), best.get(node, -99.0))
    found = graph_walks.starts(data)
    assert graph_walks.best_returns(data) == best
    assert set(found.shown) == shown and shown and found.unseen
    assert sorted([*found.shown, *found.unseen]) == EVERY


def test_walks_are_uniform_and_their_seed_decides():
    data = graph_walks.walks(0, 300)
    assert len(data) == 300 and data.equal(graph_walks.walks(0, 300))
    assert not data.equal(graph_walks.walks(1, 300))
    shares = data.actions.bincount(minlength=3) / data.steps
    assert (shares - 1 / 3).abs().max() < 4 * (2 / 9 / data.steps) ** 0.5
    assert {nodes[0] for nodes in graph_walks.nodes(data)} == set(EVERY)


def test_driving_visits_every_start_and_asks_for_its_own_target():
    targets = {start: -float(start % 3) for start in EVERY}
    asked = []

    def policy(target):
        asked.append(target)
        return Scripted(lambda node: int(-target))  # always the edge that the target names

    paths = graph_walks.drive(policy, targets)
    assert sorted(asked) == [-2.0, -1.0, 0.0]
    assert paths.keys() == targets.keys()
    for start, path in paths.items():
        assert path == along(start, lambda _, edge=start % 3: edge)


def test_the_optimal_policy_has_the_full_share_and_another_what_is_counted():
    known = Starts(EVERY[:12], EVERY[12:])
    targets = dict.fromkeys(EVERY, -5.0)
    best = graph_walks.drive(lambda _: Scripted(shortest), targets)
    assert graph_walks.share(best, known) == (12, 12, 7, 7)
    poor = graph_walks.drive(
        lambda _: Scripted(lambda node: shortest(node) if node % 4 else 0), targets
    )
    optimal = [poor[s][-1] == GOAL and len(poor[s]) == len(along(s, shortest)) for s in EVERY]
    assert 0 < sum(optimal) < len(EVERY)
    found = graph_walks.share(poor, known)
    assert found == (sum(optimal[:12]), 12, sum(optimal[12:]), 7)


def test_only_starts_that_were_driven_are_counted():
    paths = {14: [14, 16, GOAL], 16: [16, 17, GOAL], 3: [3, 0, 1]}
    assert graph_walks.share(paths, Starts([14, 15], [16, 3, 2])) == (1, 1, 0, 2)


def test_a_walk_that_the_graph_does_not_have_is_refused():
    with pytest.raises(ValueError, match="no edge leads from node 0 to node 19"):
        graph_walks.share({0: [0, GOAL]}, Starts([0], []))
