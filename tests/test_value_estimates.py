"""The study of value estimates: what it measures is what it says, and its records are whole."""

import math

import numpy as np
import pytest
import torch

from seqrl import datasets, results, value_estimates
from seqrl.imitation import BehaviorCloning
from seqrl.value_estimates import DISCOUNT, KINDS, LEVEL, METHODS, build, earned, exam, study

torch.set_num_threads(1)
SMALL = {"episodes": 20, "steps": 4, "batch": 8, "width": 16, "tested": 5, "looks": 2}


@pytest.fixture(scope="module")
def data():
    return datasets.load(f"{LEVEL}/expert", episodes=20, progress=False)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_built_as_its_seed_says(method, data):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    models = [build(method, data, seed, width=16, hidden=16) for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    first, same, other = (torch.cat([p.flatten() for p in m.parameters()]) for m in models)
    assert torch.equal(first, same) and not torch.equal(first, other)
    config = models[0].config
    if method == "BC":
        assert type(models[0]) is BehaviorCloning
    else:
        assert config.discount == DISCOUNT and config.average == 0.05
        assert (config.backup == "max") == (method in ("fitted Q", "CQL"))
        assert config.cql == (method == "CQL")


def test_an_unknown_method_is_refused_with_the_names_that_there_are(data):
    with pytest.raises(ValueError, match="fitted Q, CQL, IQL, BC"):
        build("Q", data)


def test_the_exam_begins_as_the_test_episodes_do():
    test = exam(LEVEL, 5)
    record, driven = study("BC", f"{LEVEL}/expert", 0, **SMALL)
    at = driven.offsets[:-1] + torch.arange(5)
    assert torch.equal(test.starts.observations["agent"][:, 0], driven.observations["agent"][at])
    assert record["scores"]["optimum"] == test.optimum >= record["scores"]["earned"]


def test_earned_is_discounted_and_averaged_over_episodes(data):
    total = 0.0
    for e in range(len(data)):
        rewards = data.episode(e)["rewards"]
        total += float(rewards @ DISCOUNT ** np.arange(len(rewards)))
    assert earned(data) == pytest.approx(total / len(data), abs=1e-4)


def test_a_study_measures_claims_and_unseen_actions():
    record, driven = study("fitted Q", f"{LEVEL}/expert", 0, **SMALL)
    scores = record["scores"]
    assert record["updates"] == [2, 4] and scores["claimed"] == record["claims"][-1]
    assert scores["earned"] == pytest.approx(earned(driven))
    assert scores["success"] == np.mean(record["episodes"]["success"])
    never = torch.isin(driven.actions, torch.tensor([3, 4, 5, 6]))  # an expert turns and walks
    assert scores["unseen"] == pytest.approx(never.double().mean().item())
    cloned, _ = study("BC", f"{LEVEL}/expert", 0, **SMALL)
    assert math.isnan(cloned["scores"]["claimed"]) and cloned["claims"] == []


def test_the_shipped_records_are_three_seeds_of_everything():
    found = {(r["method"], r["dataset"], r["seed"]): r for r in value_estimates.shipped()}
    wanted = {(m, f"{LEVEL}/{k}", s) for m in METHODS for k in KINDS for s in range(3)}
    assert set(found) == wanted
    assert len({str(run["config"]) for run in found.values()}) == 1
    assert len({run["scores"]["optimum"] for run in found.values()}) == 1
    for run in found.values():
        assert len(run["episodes"]["success"]) == run["config"]["tested"] == 400
        assert (run["scores"]["claimed"] is None) == (run["method"] == "BC")


def test_records_that_are_there_are_not_made_again(tmp_path, monkeypatch):
    made = []

    def fake(method, dataset, seed):
        made.append((method, dataset, seed))
        row = results.record(method, dataset, seed, config={}, scores={"claimed": 0.0})
        return row, None

    monkeypatch.setattr(value_estimates, "study", fake)
    value_estimates.main(tmp_path)
    assert len(made) == 36 == len(list(tmp_path.glob("*.json")))
    assert not any(" " in path.name for path in tmp_path.iterdir())
    next(tmp_path.iterdir()).unlink()
    value_estimates.main(tmp_path)
    assert len(made) == 37
