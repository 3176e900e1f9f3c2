"""Chapter 7: its labeled equation holds in numbers, its toys have the answers that it says."""

import pytest
import torch

from seqrl import verdict_toys
from seqrl.verdict_toys import CHOICES, WAGES, Crossing

torch.set_num_threads(1)


def test_eq_verdict_luck():
    """Bayes' rule against counting: among days that earned R, how often each choice was made."""
    data = verdict_toys.gambles(4000)
    for R in (-6.0, 0.0, 1.0, 4.0):
        likelihood = torch.tensor([sum(x == R for x in pair) / 2 for pair in WAGES])
        prior = torch.bincount(data.actions, minlength=3) / len(data)
        posterior = prior * likelihood / (prior * likelihood).sum()
        counted = torch.bincount(data.actions[data.returns == R], minlength=3).float()
        assert torch.allclose(posterior, counted / counted.sum(), atol=0.05)


def test_without_luck_a_return_says_what_the_choice_is_worth():
    data = verdict_toys.gambles(4000)
    fair = verdict_toys.without_luck(data)
    means = torch.tensor(WAGES).mean(1)
    for action, _ in enumerate(CHOICES):
        own = fair.rewards[fair.actions == action]
        assert own.unique().numel() == 1
        assert float(own[0]) == pytest.approx(float(means[action]), abs=0.4)


def test_no_walk_from_the_west_arrives_but_a_way_exists():
    data = verdict_toys.commutes(200)
    assert verdict_toys.best_from_west(data) == -10
    assert float(verdict_toys.values(data)[0]) == -3
    env = Crossing(start=0)
    env.reset(seed=0)
    for _ in range(4):
        _, _, arrived, _, _ = env.step(1)
    assert arrived
    assert int(env.shortest_lengths()[0]) == 4


def test_relabeled_returns_are_what_values_allow():
    data = verdict_toys.commutes(100)
    better = verdict_toys.relabeled(data)
    V, R = verdict_toys.values(data), better.returns_to_go()
    node = data.observations["state"].argmax(1)[torch.arange(data.steps) + data.episode_of_step]
    arrived = data.success[data.episode_of_step]  # a walk that was cut says too much of its end
    assert bool((data.returns_to_go() - 1e-4 <= R)[arrived].all())
    assert bool((V[node] + 1e-4 >= R).all())
    assert verdict_toys.best_from_west(better) == pytest.approx(-3)
    own = data.observations["state"]
    assert torch.equal(better.observations["state"], own)


@pytest.mark.parametrize("method", ["BC", "%BC", "IQL", "RvS", "DT"])
def test_each_method_learns_both_toys(method):
    walker = verdict_toys.learn(method, verdict_toys.commutes(40), 0, 2)
    assert -10 <= verdict_toys.from_west(walker.policy(-3.0)) <= -3
    worker = verdict_toys.learn(method, verdict_toys.gambles(40), 0, 2)
    assert -6 <= verdict_toys.earned(worker.policy(1.0), 10) <= 4
