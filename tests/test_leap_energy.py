"""Energies of plans: what episodes begin with, what falls, what is correlated."""

import numpy as np
import pytest
import torch

from seqrl import leap_energy
from seqrl.energy_search import Search
from seqrl.evaluation import evaluate

torch.set_num_threads(1)
LEVEL, H = "GoToLocalS7N5", 4


def test_an_episode_begins_with_the_plan_it_was_given(trained_leap):
    plans = torch.tensor([[0, 1, 0, 1], [1, 7, 2, 2], [2, 0, 0, 0]])
    one = leap_energy.greedy(1)
    policy = leap_energy.Begins(
        trained_leap.model.policy(search=one), plans, trained_leap.model.config.end
    )
    data = evaluate(policy, LEVEL, 3, rows=2).trajectories
    usual = evaluate(trained_leap.model.policy(search=one), LEVEL, 3).trajectories
    for e, given in enumerate(([0, 1, 0, 1], [1], [2, 0, 0, 0])):
        played = data.episode(e)["actions"].tolist()
        assert played[: len(given)] == given[: len(played)]
    assert len(data) == len(usual) == 3


def test_energies_of_the_lowest_plan_never_rise(trained_leap):
    data = evaluate(trained_leap.model.policy(search=leap_energy.greedy(1)), LEVEL, 6).trajectories
    batch = leap_energy.first_steps(data, H)
    assert batch.mask[:, 0].all() and (batch.timesteps[:, 0] == 0).all()
    curves = leap_energy.energy_curves(leap_energy.found(trained_leap.model, batch, Search(6, 3)))
    assert (np.diff(curves["lowest so far"]) <= 1e-9).all() and len(curves["plan of a chain"]) == 6
    last = leap_energy.found(trained_leap.model, batch, leap_energy.greedy(2))
    with pytest.raises(ValueError, match="kept no energies"):
        leap_energy.energy_curves(last)


def test_the_plan_that_is_kept_is_the_first_of_those_judged(trained_leap):
    what = leap_energy.judged(trained_leap.model, LEVEL, 5, candidates=3, search=Search(3, 2))
    assert what.energies.shape == what.lengths.shape == what.success.shape == (5, 3)
    assert np.isfinite(what.energies).all() and (what.shortest > 0).all()
    assert set(leap_energy.correlations(what)) <= {
        "between, success",
        "between, detour",
        "between, shortest way",
        "within, length",
    }


def test_rank_correlation_is_spearmans():
    x = np.array([1.0, 2.0, 3.0, 4.0])
    assert leap_energy.rank_correlation(x, x**3) == pytest.approx(1)
    assert leap_energy.rank_correlation(x, -x) == pytest.approx(-1)
    assert np.isnan(leap_energy.rank_correlation(x, np.ones(4)))
    ties = leap_energy.rank_correlation(np.array([1, 1, 2, 3]), np.array([1, 2, 3, 3]))
    assert ties == pytest.approx(np.corrcoef([1.5, 1.5, 3, 4], [1, 2, 3.5, 3.5])[0, 1])
