"""The recorded studies: contexts, reward at the end, the key seen from the door."""

import numpy as np
import pytest
import torch

from seqrl import (
    checkpoints,
    comparison,
    datasets,
    dt_studies,
    experiments,
    results,
)
from seqrl.behavior import Random
from seqrl.decision_transformer import DecisionTransformerConfig
from seqrl.environments import make_envs
from seqrl.rollout import rollout
from seqrl.trained import Trained
from seqrl.transformer import TransformerConfig

torch.set_num_threads(1)
LEVEL = "GoToLocalS7N5"
SMALL = {"steps": 2, "batch": 4, "width": 16, "context": 4, "layers": 1, "episodes": 3}


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQRL_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setitem(experiments.SIZES, "expert", 8)
        patch.setattr(experiments, "TRIALS", 2)
        yield


@pytest.fixture(scope="module")
def walks():
    envs = make_envs("KeyToDoor", 10)
    return rollout(Random(envs), envs, 120, seed=0)


@pytest.fixture(scope="module")
def model(walks):
    config = DecisionTransformerConfig.for_data(
        walks, context=30, trunk=TransformerConfig(layers=2, width=16)
    )
    return experiments.untrained(config, 0).eval()


def trained(model, data):
    card = {"data": checkpoints.data_card(data), "target_return": 1.0, "sha256": "0" * 64}
    return Trained(model, card)


def test_every_context_is_a_run_of_its_own(tmp_path):
    data = datasets.load(f"{LEVEL}/expert", 8, progress=False)
    config = DecisionTransformerConfig.for_data(
        data, context=4, trunk=TransformerConfig(layers=1, width=16)
    )
    one = trained(experiments.untrained(config, 0).eval(), data)
    rows = [dt_studies.context_record(one, f"{LEVEL}/expert", 0, k, 3) for k in (1, 4)]
    assert len({results.write(row, tmp_path) for row in rows}) == 2
    found = results.read_all(tmp_path, method=dt_studies.CONTEXT)
    assert [row["config"] for row in rows] == [{"context": 1}, {"context": 4}]
    assert len(found[0]["episodes"]["success"]) == 3
    assert not comparison.cells(found, dt_studies.CONTEXT, f"{LEVEL}/expert")
    with pytest.raises(ValueError, match="1 to 4"):
        dt_studies.context_record(one, f"{LEVEL}/expert", 0, 5, 3)


@pytest.mark.parametrize("method", dt_studies.DELAYED)
def test_the_reward_comes_at_the_end_in_data_and_in_tests(method):
    row = dt_studies.end_record(method, f"{LEVEL}/expert", 0, **SMALL)
    assert row["config"] == {"reward": "end", **SMALL}
    assert min(row["episodes"]["return"]) >= 0  # a point a step would be below
    targets = [tried["target_return"] for tried in row["targets_tried"]]
    assert all(0 < target <= 1 for target in targets) and bool(targets) == (method != "iql")


def test_only_the_reward_differs():
    step, end = (datasets.load(f"{LEVEL}/expert", 8, reward=r, progress=False)
                 for r in ("step", "end"))  # fmt: skip
    assert torch.equal(step.actions, end.actions)
    assert (end.rewards > 0).sum() == len(end)


def test_a_study_that_needs_a_model_says_so(capsys):
    with pytest.raises(SystemExit):
        dt_studies.main(["key", "KeyToDoor/random-1000"])
    assert "needs a --checkpoint" in capsys.readouterr().err


def test_walkers(monkeypatch, walks):
    monkeypatch.setattr(experiments, "dataset", lambda name: walks)
    row = dt_studies.walkers("KeyToDoor/random-120")
    assert comparison.cells([row], "random", "KeyToDoor/random-120")
    assert row["scores"]["success"] == pytest.approx(np.mean(walks.success.numpy()))
