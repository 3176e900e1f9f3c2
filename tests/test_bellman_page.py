"""*Why not Bellman?*: each of its labeled equations holds in numbers, and it keeps the rhythm."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from seqrl.behavior import Random
from seqrl.environments import Envs
from seqrl.environments.toys import RandomWalkGraph
from seqrl.iql import asymmetric
from seqrl.rollout import rollout
from seqrl.value_estimates import DISCOUNT, build

torch.set_num_threads(1)
TEXT = (Path(__file__).parents[1] / "book" / "01b-why-not-bellman.md").read_text("utf8")
GRAPH = RandomWalkGraph()


def page(name):
    """The page's own function or class of this name."""
    source = re.search(rf"^(def|class) {name}\b.*?(?=^\S|^```)", TEXT, re.M | re.S)
    scope = {"np": np, "GAMMA": DISCOUNT}
    exec(source[0], scope)
    return scope[name], scope


@pytest.fixture(scope="module")
def walks():
    envs = Envs([RandomWalkGraph() for _ in range(8)])
    return rollout(Random(envs), envs, 40, 0)


def valued(walks, method, **fields):
    """An untrained method, the windows of its loss, and its states, actions, rewards by step."""
    model = build(method, walks, hidden=16, width=16, context=3, dropout=0.0, **fields)
    batch = model.sample(walks, 32, torch.Generator().manual_seed(0))
    with torch.no_grad():
        states = model.encoder.encode(batch.observations).steps
    b, k = (batch.mask[:, :-1] & (batch.mask[:, 1:] | batch.terminations[:, :-1])).nonzero().T
    return model, batch, states, list(zip(b.tolist(), k.tolist()))


def test_eq_q_optimal():
    shortest, goal = GRAPH.shortest_lengths(), GRAPH.goal
    V = -(1 - DISCOUNT ** (shortest - 1.0)) / (1 - DISCOUNT)  # of n - 1 steps that cost 1
    V[goal] = 0
    for s in range(goal):
        Q = []
        for there in GRAPH.neighbors[s]:
            Q.append(0.0 if there == goal else -1 + DISCOUNT * V[there])
        assert max(Q) == pytest.approx(V[s])


def test_eq_fitted_q(walks):
    """The loss is the equation's sum, for each of two critics, where the target is the critic."""
    model, batch, states, steps = valued(walks, "fitted Q")
    with torch.no_grad():
        Q = model.critic.all(states)  # (2, B, K + 1, V)
        found = model.losses(batch)["q_loss"]
    total = 0.0
    for b, k in steps:
        over = bool(batch.terminations[b, k])
        for q in Q:
            ahead = 0.0 if over else DISCOUNT * q[b, k + 1].max().item()
            goal = batch.rewards[b, k].item() / model.config.reward_scale + ahead
            total += (q[b, k, batch.actions[b, k]].item() - goal) ** 2
    assert found.item() == pytest.approx(total / len(steps), rel=1e-4)


@pytest.mark.parametrize(("rounds", "expected"), [(1, 1.98), (3, 1.98**3)])
def test_eq_two_states(rounds, expected):
    fitted, _ = page("fitted")
    assert float(fitted([(0, 1)], rounds=rounds)) == pytest.approx(expected, abs=0.006)
    w = 1.0  # the same by least squares in one unknown
    for _ in range(rounds):
        candidates = np.linspace(0, 10, 100_001)
        w = candidates[np.argmin((candidates - DISCOUNT * 2 * w) ** 2)]
    assert w == pytest.approx(expected, abs=0.001)


def test_each_member_of_the_triad_is_needed():
    fitted, _ = page("fitted")
    some, whole = [(0, 1)], [(0, 1), (1, 2)]
    for steps, how in ((whole, {}), (some, {"table": True}), (some, {"bootstrap": False})):
        assert float(fitted(steps, rounds=12, **how)) < 2
    assert float(fitted(some, rounds=12)) > 3000


def test_eq_max_bias():
    rng = np.random.default_rng(0)
    truth = np.array([-3.0, -1.0, -1.2])
    guesses = truth + rng.normal(size=(20_000, 3))  # right on average
    assert guesses.mean(0).max() == pytest.approx(-1, abs=0.03)
    assert guesses.max(1).mean() > -1 + 0.3
    alone = truth + np.array([1e-3, 0, 0]) * rng.normal(size=(20_000, 3))
    assert alone.max(1).mean() == pytest.approx(-1)  # equal where the best is never in doubt


def test_eq_cql(walks):
    model, batch, states, steps = valued(walks, "CQL")
    with torch.no_grad():
        Q = model.critic.all(states)
        found = model.losses(batch)["cql_loss"]
    total = 0.0
    for b, k in steps:
        for q in Q[:, b, k]:
            total += math.log(sum(math.exp(x) for x in q)) - q[batch.actions[b, k]].item()
    assert model.config.cql == 1
    assert found.item() == pytest.approx(total / len(steps), rel=1e-4)


@pytest.mark.parametrize("eta", [0.5, 0.7, 0.99])
def test_eq_expectile(eta, walks):
    Q = torch.tensor([-6.0, -4.0, -3.0, -1.0]).double()
    v = torch.linspace(-7, 0, 7001).double()
    sums = sum(abs(eta - (q < v).double()) * (q - v) ** 2 for q in Q)
    assert torch.allclose(sums, asymmetric(Q - v[:, None], eta).sum(1))
    best = v[sums.argmin()].item()
    assert best == pytest.approx(-3.5, abs=0.001) if eta == 0.5 else best > -3.5
    assert best < -1 and (eta < 0.99 or best > -1.2)
    model, batch, states, steps = valued(walks, "IQL", expectile=eta)
    with torch.no_grad():
        q = model.target.all(states).amin(0)
        V = model.value(states)[..., 0]
        found = model.losses(batch)["v_loss"].item()
    u = [(q[b, k, batch.actions[b, k]] - V[b, k]).item() for b, k in steps]
    by_hand = [abs(eta - (x < 0)) * x**2 for x in u]
    assert found == pytest.approx(np.mean(by_hand), rel=1e-4)


def test_the_walkers_err_as_often_as_the_page_says():
    Walker, scope = page("Walker")
    scope["Q_star"] = np.tile([0.0, 1.0, 0.0], (20, 1))
    envs = Envs([RandomWalkGraph() for _ in range(8)])
    for epsilon in (0.0, 0.1, 1.0):
        actions = rollout(Walker(epsilon), envs, 150, 0).actions.numpy()
        assert (actions != 1).mean() == pytest.approx(epsilon * 2 / 3, abs=0.04)


def test_earned_is_the_discounted_return():
    drive, scope = page("drive")
    scope |= {"following": GRAPH.neighbors, "goal": GRAPH.goal, "first": np.arange(GRAPH.goal)}
    n = GRAPH.shortest_lengths()
    edges = n[GRAPH.neighbors].argmin(1)
    paid = [-(1 - DISCOUNT ** (k - 1.0)) / (1 - DISCOUNT) for k in n[: GRAPH.goal]]
    assert drive(edges) == pytest.approx(np.mean(paid))
    assert drive(edges, at_end=True) == pytest.approx(np.mean(DISCOUNT ** (n[: GRAPH.goal] - 1.0)))
    worst = n[GRAPH.neighbors].argmax(1)
    assert drive(worst) < -9 and drive(worst, at_end=True) < 0.1


def test_the_rhythm_of_the_page():
    cells = re.findall(r"^```\{code-cell\}.*?\n(.*?)^```$", TEXT, re.M | re.S)
    bare = [
        re.sub(r"\A---\n.*?^---\n|\A(:[^\n]*\n)+", "", cell, flags=re.M | re.S) for cell in cells
    ]
    sizes = sorted(len([line for line in cell.splitlines() if line.strip()]) for cell in bare)
    assert 10 <= len(cells) <= 18 and sizes[-1] < 30
    assert 6 <= sizes[len(sizes) // 2] <= 12
    assert all(len(line) <= 79 for cell in bare for line in cell.splitlines())
    assert not re.search(r"^```\n\n```\{code-cell\}", TEXT, re.M)
    prose = re.sub(r"\A---.*?^---$|^```.*?^```$|^\$\$.*?^\$\$", "", TEXT, flags=re.M | re.S)
    assert 1200 <= len(prose.split()) <= 2200, len(prose.split())
