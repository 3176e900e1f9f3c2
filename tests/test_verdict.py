"""Chapter 7's tables and its scorecard: what counts as a difference, a front, a replication."""

import numpy as np
import pytest

from seqrl import replication, results, robot_tables, scorecard, verdict
from seqrl.environments.levels import LEVELS
from seqrl.intervals import Interval


def run(method="dt", dataset="GoToLocalS8N7/mixed", seed=0, success=(1, 0, 1, 1), **scores):
    episodes = {"success": list(success), "return": [0.0] * len(success)}
    return {
        "method": method,
        "dataset": dataset,
        "seed": seed,
        "config": {},
        "scores": {"success": float(np.mean(success)), **scores},
        "episodes": episodes,
    }


def all_levels(method, **more):
    return [run(method, f"{level}/mixed", **more) for level in LEVELS]


def test_a_row_for_each_method_and_dataset_that_has_runs():
    rows = verdict.every_run([run(), run(seed=1), run("bc", ms_per_action=0.25)])
    assert [row["method"] for row in rows] == ["BC", "DT"]
    assert rows[1]["seeds × episodes"] == "2 × 4"
    assert rows[0]["ms an action"] == "0.25"


def test_an_aggregate_needs_every_level():
    runs = all_levels("dt") + all_levels("dt", seed=1)
    found = verdict.aggregate(runs, "dt", "mixed", np.mean)
    assert found.estimate == pytest.approx(0.75)
    assert found.low < 0.75 < found.high
    assert verdict.aggregate(runs[1:7], "dt", "mixed") is None


def test_ahead_behind_and_neither():
    good, bad = (1,) * 40, (0,) * 40
    records = [run(success=good), run("bc", success=bad), run("rvs", success=good)]
    parts = verdict.ahead_and_behind(records, "dt")
    assert [p.other for p in parts["ahead"]] == ["bc"]
    assert [p.other for p in parts["no difference"]] == ["rvs"]
    assert parts["behind"] == []
    row = verdict.lost_and_won(records)[0]
    assert row["ahead (points)"] == "BC +100.0"


def test_pooled_is_the_mean_over_levels_of_common_seeds():
    a = [[run(success=(1, 1, 1, 1))], [run(success=(1, 0, 0, 0))], [run(seed=1)]]
    b = [[run(success=(0, 0, 0, 0))], [run(success=(0, 0, 0, 0))], [run(seed=2)]]
    found = verdict.pooled(a, b)
    assert found.estimate == pytest.approx((1 + 0.25) / 2)
    error = np.sqrt(0.25 / 4) / 2  # the second level's variance, 1/4, over four episodes; 2 levels
    assert found.high - found.low == pytest.approx(2 * 1.96 * error)
    assert verdict.pooled(a[2:], b[2:]) is None


def test_the_front_is_not_beaten_in_both():
    points = {"cheap": (1.0, Interval(0.5, 0, 1)), "worse": (2.0, Interval(0.4, 0, 1)),
              "dear": (9.0, Interval(0.9, 0, 1))}  # fmt: skip
    assert verdict.undominated(points) == ["cheap", "dear"]


def test_a_checkpoint_that_the_record_did_not_score_is_refused():
    class Trained:
        card = {"sha256": "a"}  # noqa: RUF012

    with pytest.raises(ValueError, match="another checkpoint"):
        verdict.again(Trained(), {**run(), "checkpoint": "b"}, 4)


def test_without_records_every_rule_says_that_it_is_open():
    for claim, found in scorecard.judged([]):
        assert found.verdict in replication.VERDICTS
        assert found.verdict == replication.OPEN or found == claim.judge([run()])
    assert sum(scorecard.counts([]).values()) == len(scorecard.CLAIMS)


def test_a_rule_follows_the_numbers():
    better = all_levels("dt", success=(1,) * 50)
    worse = all_levels("iql", success=(0, 1) * 25)
    assert replication.dt_values(better + worse).verdict == replication.YES
    assert (
        replication.dt_values(all_levels("dt", success=(0,) * 50) + worse).verdict == replication.NO
    )
    assert replication.dt_values(better).verdict == replication.OPEN


def walked(method, dataset, score, config=None):
    made = run(method, dataset)
    scores = {"normalized": float(score)}
    episodes = {"normalized": [float(score)] * 20}
    return {**made, "config": config or {}, "scores": scores, "episodes": episodes}


def test_robots_are_judged_by_the_datasets_on_which_a_method_is_behind():
    names = list(robot_tables.DATASETS)
    dt = [walked("dt", name, 50) for name in names]
    iql = [walked("iql", name, 40 if name.startswith("hopper") else 60) for name in names]
    assert replication.robots_values(dt + iql[:-1]).verdict == replication.OPEN
    found = replication.robots_values(dt + iql)
    assert found.verdict == replication.PARTLY and "ahead on 3, behind on 6 of 9" in found.why
    below = [walked("iql", name, 40) for name in names]
    assert replication.robots_values(dt + below).verdict == replication.YES
    tt = [walked("tt", "hopper/medium", 60), walked("tt", "hopper/medium-expert", 40)]
    assert replication.robots_best(tt + dt).why.startswith("behind no other on 1 of 2")
    assert replication.robots_best(tt[1:] + dt).verdict == replication.NO


def test_bins_are_judged_where_the_paper_has_them_furthest_apart():
    uniform = {"bins": "uniform"}
    elsewhere = [walked("tt", "hopper/medium", 9), walked("tt", "hopper/medium", 3, uniform)]
    assert replication.robots_bins(elsewhere).verdict == replication.OPEN
    there = "halfcheetah/medium-expert"
    both = [walked("tt", there, 90), walked("tt", there, 40, uniform)]
    assert replication.robots_bins(both).verdict == replication.YES


def test_results_are_written_from_the_shipped_records(tmp_path):
    files = verdict.write(results.read_all(results.shipped()), tmp_path)
    assert {path.suffix for path in files} == {".md", ".svg"}
    assert all(path.stat().st_size > 100 for path in files)
    assert "not tried" in (tmp_path / "scorecard.md").read_text()
