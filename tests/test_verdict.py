"""Chapter 7's tables and its scorecard: what counts as a difference, a front, a replication."""

import re
from pathlib import Path

import numpy as np
import pytest

from seqrl import (
    plots_worlds,
    remake,
    replication,
    replication_robots,
    results,
    robot_tables,
    scorecard,
    verdict,
)
from seqrl.environments.levels import LEVELS
from seqrl.intervals import Interval

ROOT = Path(__file__).parents[1]


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
    made = {**run(method, dataset), "setting": {"steps": {"dt": 7, "iql": 9}.get(method, 8)}}
    scores = {"normalized": float(score)}
    episodes = {"normalized": [float(score)] * 20}
    return {**made, "config": config or {}, "scores": scores, "episodes": episodes}


def test_robots_are_judged_by_the_datasets_on_which_a_method_is_behind():
    names = list(robot_tables.DATASETS)
    dt = [walked("dt", name, 50) for name in names]
    iql = [walked("iql", name, 40 if name.startswith("hopper") else 60) for name in names]
    assert replication_robots.values(dt + iql[:-1]).verdict == replication.OPEN
    found = replication_robots.values(dt + iql)
    assert found.verdict == replication.PARTLY
    assert "ahead on 3, tied on 0, behind on 6 of 9" in found.why
    assert found.why.endswith("7 and 9 updates on as many steps of data; one seed of IQL on 9")
    below = [walked("iql", name, 40) for name in names]
    assert replication_robots.values(dt + below).verdict == replication.YES


def test_a_late_reward_is_judged_by_who_falls():
    names = ("hopper/medium", "hopper/medium-expert")
    usual = [walked(m, name, 50) for m in ("dt", "iql") for name in names]
    end = {m: [walked(m, f"{name}-delayed", 20) for name in names] for m in ("dt", "iql")}
    holds = [walked("dt", f"{name}-delayed", 50) for name in names]
    assert replication_robots.late(usual).verdict == replication.OPEN
    assert replication_robots.late(usual + end["iql"]).verdict == replication.OPEN
    found = replication_robots.late(usual + end["iql"] + holds)
    assert found == (replication.YES, "of 2 datasets, IQL falls on 2, DT on 0")
    half = usual + end["iql"] + [holds[0], end["dt"][1]]
    assert replication_robots.late(half).verdict == replication.PARTLY
    assert replication_robots.late(usual + end["iql"] + end["dt"]).verdict == replication.NO


def test_a_planner_on_few_datasets_is_judged_with_its_ties_and_never_refuted_by_one():
    names = [f"hopper/{kind}" for kind in ("medium", "medium-replay", "medium-expert")]
    dt = [walked("dt", name, 50) for name in names]
    tt = [walked("tt", name, score) for name, score in zip(names, (60, 50, 40))]
    found = replication_robots.best(tt + dt)
    assert found.verdict == replication.PARTLY
    counts = "best on 1, tied with the best on 1, behind on 1 of 3"
    assert found.why.startswith(f"hopper only: {counts}")
    assert replication_robots.best(tt[2:] + dt).verdict == replication.OPEN
    low = [walked("tt", name, 40) for name in names]
    assert replication_robots.best(low + dt).verdict == replication.NO
    every = [walked("tt", name, 60) for name in robot_tables.DATASETS]
    dt = [walked("dt", name, 60) for name in robot_tables.DATASETS]
    found = replication_robots.best(every + dt)
    assert found.verdict == replication.YES and found.why.startswith("best on 0, tied")


def test_robots_stand_in_every_table_by_their_score():
    names = list(robot_tables.DATASETS)
    records = [walked("dt", name, 50) for name in names]
    records += [walked("bc10", name, 60 if i else 40) for i, name in enumerate(names)]
    row = verdict.every_run(records)[0]
    assert row["data"] == names[0] and row["seeds × episodes"] == "1 × 20"
    assert row["success (%) or score"].startswith("40.0")
    lost = verdict.lost_and_won(records)
    assert [r["behind (points)"] for r in lost] == ["", *["10 %BC −10.0"] * 8]
    (told,) = verdict.tally(records)
    assert (told["world"], told["ahead"], told["behind"]) == (
        "robots",
        "1: 1 × 10 %BC",
        "8: 8 × 10 %BC",
    )
    mean = verdict.over_robots(records, "dt", "bc10")
    assert mean.estimate == pytest.approx((0.1 - 8 * 0.1) / 9)
    found = replication_robots.filtering(records)
    assert found.verdict == replication.NO
    assert "ahead on 1, tied on 0, behind on 8 of 9" in found.why
    assert replication_robots.filtering(records[:-1]).verdict == replication.OPEN


def test_half_widths_of_robots_add_in_squares(monkeypatch):
    def ahead(records, method, other, datasets):
        return [robot_tables.Ahead(d, Interval(6.0, 3.0, 12.0)) for d in datasets]

    monkeypatch.setattr(robot_tables, "ahead", ahead)
    found = verdict.over_robots([], "dt", "bc10")
    assert found == pytest.approx((0.06, 0.06 - 0.03 / 3, 0.06 + 0.06 / 3))


def test_heads_that_show_both_patterns_count_and_robots_do_not():
    def looked(dataset, *patterns):
        heads = [{"pattern": name} for name in patterns]
        return {**run("TT attention", dataset), "heads": heads}

    here = looked("GoToLocalS8N7/mixed", "both", "Markov", "both", "neither")
    there = looked("hopper/medium", "neither", "neither", "neither")
    found = replication.bands([here, there])
    assert found.verdict == replication.YES
    assert found.why == "of 4 heads: 2 both, 1 Markov"


def test_bins_are_judged_where_the_paper_has_them_furthest_apart():
    uniform = {"bins": "uniform"}
    elsewhere = [walked("tt", "hopper/medium", 9), walked("tt", "hopper/medium", 3, uniform)]
    assert replication_robots.bins(elsewhere).verdict == replication.OPEN
    there = "halfcheetah/medium-expert"
    both = [walked("tt", there, 90), walked("tt", there, 40, uniform)]
    assert replication_robots.bins(both).verdict == replication.YES


def test_results_are_written_from_the_shipped_records(tmp_path):
    files = remake.write(results.read_all(results.shipped()), tmp_path)
    assert {path.suffix for path in files} == {".md", ".svg"}
    assert all(path.stat().st_size > 100 for path in files)
    assert {path.parent.name for path in files} == {"06-inside", "07-verdict"}
    assert "not tried" in (tmp_path / "07-verdict" / "scorecard.md").read_text()
    assert "hopper/medium" in (tmp_path / "07-verdict" / "every-run.md").read_text()


@pytest.mark.parametrize("page", ["06-inside", "07-verdict"])
def test_a_page_calls_what_results_are_made_by(page):
    """What is written is on the page, and each recorded figure of the page is written."""
    text = (ROOT / "book" / f"{page}.md").read_text("utf8")
    for make in (*remake.TABLES[page].values(), *remake.FIGURES[page].values()):
        assert f"{make.__module__.rpartition('.')[2]}.{make.__name__}(" in text
    recorded = re.findall(r"caption: .*(?:Recorded|Published)\b.*\n    name: fig-\w+?-(\w+)", text)
    assert sorted(recorded) == sorted(remake.FIGURES[page])


def test_robots_are_drawn_beside_grid_worlds():
    figure = plots_worlds.beside(results.read_all(results.shipped()))
    above, below = ([x.get_text() for x in ax.get_yticklabels()] for ax in figure.axes)
    assert above == [*robot_tables.DATASETS, "mean"] and below == [*LEVELS, "mean"]


def test_costs_are_compared_on_machines_alike():
    small, large = {"hardware": "2 x A"}, {"hardware": "16 x B, GPU"}
    records = [
        {**run("bc", ms_per_action=0.2), **small},
        {**run("bc", seed=1, ms_per_action=0.1), **small},
        {**run("tt", ms_per_action=10.0), **small},
        {**run("tt", seed=1, ms_per_action=2.0), **large},
    ]
    found = verdict.costs(records, "GoToLocalS8N7/mixed")
    assert {method: ms for method, (ms, _) in found.items()} == {"bc": 0.1, "tt": 10.0}
    assert verdict.costs([], "GoToLocalS8N7/mixed") == {}
