"""Tables of the robots' runs, from records that are made up here."""

import numpy as np
import pytest

from seqrl import published, robot_tables
from seqrl.comparison import DASH


def run(method, scores, seed=0, dataset="hopper/medium", config=None, steps=20_000, **more):
    scores = list(map(float, scores))
    return {
        "method": method,
        "dataset": dataset,
        "seed": seed,
        "config": config or {},
        "setting": {"steps": steps},
        "scores": {"normalized": float(np.mean(scores))},
        "episodes": {"normalized": scores},
        **more,
    }


DT = [run("dt", [50, 60, 70, 80], seed) for seed in (1, 0, 2)]
BC = [run("bc", [40, 45, 50, 55], seed) for seed in (0, 1)]


def test_a_cell_is_the_run_with_the_most_seeds_and_then_the_most_updates():
    longer = run("dt", [90], config={"steps": 100_000}, steps=100_000)
    found = robot_tables.runs([*DT, longer], "dt", "hopper/medium")
    assert [r["seed"] for r in found] == [0, 1, 2]
    all_longer = [run("dt", [9], s, config={"steps": 50_000}, steps=50_000) for s in range(3)]
    assert robot_tables.runs([*DT, *all_longer], "dt", "hopper/medium") == all_longer
    assert robot_tables.runs(DT, "dt", "hopper/expert") == []


def test_what_a_study_varies_is_no_size():
    uniform = run("tt", [10], config={"bins": "uniform", "steps": 50_000}, steps=50_000)
    usual = run("tt", [20])
    both = [uniform, usual]
    assert robot_tables.runs(both, "tt", "hopper/medium") == [usual]
    assert robot_tables.runs(both, "tt", "hopper/medium", bins="uniform") == [uniform]
    small = run("tt", [30], config={"batch": 13, "steps": 50_000}, steps=50_000)
    assert robot_tables.runs([small, usual], "tt", "hopper/medium") == [usual]
    assert robot_tables.runs([small, usual], "tt", "hopper/medium", batch=13) == [small]


def test_records_without_a_normalized_score_are_other_studies():
    other = run("dt", [1])
    other["scores"] = {"success": 1.0}
    assert robot_tables.runs([other], "dt", "hopper/medium") == []


def test_cells_without_a_run_are_dashes_and_a_mean_needs_all_of_them():
    rows = robot_tables.scores(DT)
    assert [r["dataset"] for r in rows] == [*published.ROBOT_DATASETS, "mean"]
    row = next(r for r in rows if r["dataset"] == "hopper/medium")
    assert row["DT"].startswith("65.0 [") and row["BC"] == DASH
    assert rows[-1]["DT"] == DASH
    full = [run("bc", [x, x], dataset=d) for x, d in enumerate(published.ROBOT_DATASETS)]
    assert robot_tables.scores(full, {"bc": "BC"})[-1] == {"dataset": "mean", "BC": "4.0"}


def test_the_number_of_seeds_stands_behind_a_cell():
    row = next(r for r in robot_tables.scores([*DT, *BC]) if r["dataset"] == "hopper/medium")
    assert row["DT"].endswith("(3)") and row["BC"].endswith("(2)")


def test_seeds_that_disagree_are_level():
    mixed = [run("iql", [x] * 4, seed) for seed, x in enumerate((20, 20, 90))]
    (found,) = robot_tables.ahead(DT + mixed, "dt", "iql")
    assert found.difference.estimate > 20 and found.verdict == "level"


def test_the_papers_table_has_the_same_rows():
    rows = robot_tables.papers({"DT, DT paper": "DT"})
    assert [r["dataset"] for r in rows] == [r["dataset"] for r in robot_tables.scores([])]
    assert rows[4] == {"dataset": "hopper/medium", "DT": "67.6"} and rows[-1]["DT"] == "74.7"


def test_who_is_ahead_is_decided_over_common_seeds_and_episodes():
    (found,) = robot_tables.ahead(DT + BC, "dt", "bc")
    assert found.difference.estimate == pytest.approx(17.5)
    assert found.verdict == "ahead"
    few = [run("tt", [90, 95], seed) for seed in (0, 1, 2)]
    (found,) = robot_tables.ahead(DT + few, "dt", "tt")
    assert found.difference.estimate == pytest.approx(-37.5) and found.verdict == "behind"
    near = [run("iql", [90, 20, 110, 40], seed) for seed in (0, 1, 2)]
    assert robot_tables.ahead(DT + near, "dt", "iql")[0].verdict == "level"
    assert robot_tables.ahead(DT, "dt", "bc") == []


def test_what_was_asked_for_is_told_beside_what_was_reached():
    tried = [[{"target_return": t, "mean_return": t / 2} for t in (3600.0, 1800.0)]] * 2
    cell = [run("dt", [1], s, targets_tried=t) for s, t in enumerate(tried)]
    low, high = robot_tables.asked(cell)
    assert (low["target"], high["target"]) == (1800.0, 3600.0)
    assert low["asked"] == pytest.approx(100 * (1800 + 20.272305) / (3234.3 + 20.272305))
    assert high["reached"] == pytest.approx([low["asked"]] * 2)
    assert robot_tables.asked([]) == [] and robot_tables.asked(DT) == []


def test_a_late_reward_is_held_against_the_usual_one():
    late = [run("dt", [45, 55, 65, 75], s, dataset="hopper/medium-delayed") for s in (0, 1, 2)]
    rows = robot_tables.delayed(DT + BC + late, {"dt": "DT", "bc": "BC"}, ["hopper/medium"])
    (row,) = rows  # BC has no delayed run
    assert row["method (seeds)"] == "DT (3)" and row["every step"].startswith("65.0")
    assert row["difference"] == "−5.0 [−5.0, −5.0]"


def test_of_the_usual_reward_only_the_seeds_are_shown_that_had_a_late_one():
    usual = [run("dt", [score] * 4, s) for s, score in enumerate((10, 60, 80))]
    late = [run("dt", [55] * 4, 1, dataset="hopper/medium-delayed")]
    (row,) = robot_tables.delayed(usual + late, {"dt": "DT"}, ["hopper/medium"])
    assert row["method (seeds)"] == "DT (1)" and row["every step"].startswith("60.0")
    assert row["at the end"].startswith("55.0") and row["difference"].startswith("−5.0")


def test_a_late_reward_is_compared_within_a_study():
    short = {"batch": 64, "steps": 5}
    usual = [run("iql", [90] * 4), run("iql", [30] * 4, config=short)]
    late = [run("iql", [10] * 4, dataset="hopper/medium-delayed", config=short)]
    assert robot_tables.delayed(usual + late, {"iql": "IQL"}, ["hopper/medium"]) == []
    (row,) = robot_tables.delayed(usual + late, {"iql": "IQL"}, ["hopper/medium"], batch=64)
    assert row["every step"].startswith("30.0") and row["difference"].startswith("−20.0")


def test_who_is_ahead_is_told_a_sentence_a_side():
    near = [run("iql", [90, 20, 110, 40], seed) for seed in (0, 1, 2)]
    order = {m: robot_tables.ahead(DT + BC + near, "dt", m) for m in ("bc", "iql", "rvs")}
    assert robot_tables.told("DT", order) == [
        "DT is ahead of bc on hopper/medium",
        "DT is level with iql on hopper/medium",
    ]
