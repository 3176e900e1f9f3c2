"""The studies of chapter 4: searches by name, records that say what they are, the shipped rooms."""

import json
from pathlib import Path

import pytest
import torch

from seqrl import comparison, datasets, experiments, results, tt_studies
from seqrl.environments import make_envs
from seqrl.evaluation import VALIDATION
from seqrl.settings import Setting
from seqrl.trained import Trained

torch.set_num_threads(1)
LEVEL = "GoToLocalS7N5"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    data = datasets.load(f"{LEVEL}/mixed", 20, progress=False)
    size = Setting(width=16, layers=1, context=8, steps=2, batch=4)
    folder = tmp_path_factory.mktemp("run")
    return experiments.train("tt", data, 0, size, folder)[0]


def test_searches_are_what_they_are_called():
    one = tt_studies.search_of("likeliest action")
    assert (one.beam, one.expand, one.top_k, one.cut) == (1, 1, 1, None)
    planned = tt_studies.search_of("plan, beam 16, horizon 5")
    assert (planned.beam, planned.expand, planned.horizon, planned.cut) == (16, 2, 5, 0.6)
    with pytest.raises(ValueError, match="unknown search 'best'"):
        tt_studies.search_of("best")


def test_only_the_likeliest_sequence_imitates(trained):
    kinds = {name: tt_studies.policy_of(trained.model, name) for name in tt_studies.SEARCHES}
    assert [name for name, policy in kinds.items() if policy.imitating] == ["likeliest sequence"]


def test_a_search_is_recorded_on_maps_of_the_data(trained):
    name = "likeliest action"
    row = tt_studies.planning_record(trained, f"{LEVEL}/mixed", 0, name, 2)
    assert row["config"] == {"search": name, "stream": VALIDATION}
    assert row["scores"]["cpu_ms_per_action"] > 0 and len(row["episodes"]["success"]) == 2
    assert row["checkpoint"] == trained.card["sha256"]


def test_a_context_is_recorded_on_test_maps(trained):
    row = tt_studies.context_record(trained, f"{LEVEL}/mixed", 0, 1, 2)
    assert row["method"] == tt_studies.CONTEXT and row["config"] == {"context": 1}


def test_the_rooms_mix_a_goal_reaching_policy_with_a_random_one():
    data = tt_studies.rooms({"expert": 3, "random": 2})
    assert data.success.tolist() == [True] * 3 + [False] * 2
    assert data.info["env"] == tt_studies.ROOMS


def test_the_shipped_guide_is_the_one_that_was_scored():
    guide = tt_studies.rooms_model()
    assert isinstance(guide, Trained)
    records = results.read_all(results.shipped(), dataset=tt_studies.ROOMS_DATA, seed=0)
    (run,) = [r for r in records if r["method"] == "tt"]
    assert guide.card["sha256"] == run["checkpoint"] and not run["commit"].endswith("+")
    make_envs(tt_studies.ROOMS, 1, split="test")
    assert comparison.score([run], "success").low > 0.94


def test_the_command_asks_for_a_checkpoint(tmp_path, capsys):
    with pytest.raises(SystemExit):
        tt_studies.main(["planning", f"{LEVEL}/mixed", "--out", str(tmp_path)])
    assert "planning needs a --checkpoint" in capsys.readouterr().err
    assert not list(Path(tmp_path).iterdir())


def test_recorded_dynamics_are_shares_of_their_windows():
    for run in results.read_all(results.shipped(), method=tt_studies.DYNAMICS):
        for name, outcomes in run["episodes"].items():
            assert set(outcomes) <= {0, 1}
            assert run["scores"][name] == pytest.approx(sum(outcomes) / len(outcomes), abs=1e-6)
        json.dumps(run, allow_nan=False)
