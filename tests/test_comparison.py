"""Comparisons from records: what is paired with what, what is left out, what a table says."""

import json
import math

import numpy as np
import pytest
import torch

from seqrl import comparison, results
from seqrl.comparison import DASH
from seqrl.intervals import Interval, paired_difference, wilson

torch.set_num_threads(1)


def run(method="dt", seed=0, success=(1, 1, 0, 0), dataset="A/mixed", config=None, **more):
    """A record as `results.write` leaves it."""
    length = more.pop("length", [5] * len(success))
    returns = more.pop("returns", [-1.0] * len(success))
    episodes = {"success": list(success), "return": returns, "length": list(length)}
    scores = {"success": float(np.mean(success)), "path_ratio": None} | more
    given = {"method": method, "dataset": dataset, "seed": seed, "config": config or {}}
    return json.loads(json.dumps(given | {"scores": scores, "episodes": episodes}))


# Which runs


def test_cells_are_the_usual_runs_in_the_order_of_their_seeds():
    records = [
        run(seed=2),
        run(seed=0),
        run("bc"),
        run(dataset="A/expert"),
        run(dataset="AB/mixed"),
        run(seed=1, config={"context": 1}),
    ]
    assert comparison.cells(iter(records), "dt", "A/mixed") == [records[1], records[0]]
    assert comparison.cells(records, "dt", "B/mixed") == []


def test_runs_with_a_config_are_in_no_table():
    records = [run(), run("bc"), run(seed=1, success=(1,) * 4, config={"width": 8})]
    records.append(run("bc", seed=1, success=(0,) * 4, config={"width": 8}))
    titles = {"dt": "DT", "bc": "BC"}
    assert comparison.by_level(records, titles, "A", "mixed") == comparison.by_level(
        records[:2], titles, "A", "mixed"
    )
    (row,) = comparison.against(records, "dt", {"bc": "BC"}, "A", "mixed")
    assert row["− BC"] == "+0.0 [+0.0, +0.0]"


# Scores


def test_a_score_pools_seeds_and_is_none_where_nobody_has_it():
    runs = [run(seed=0), run(seed=1, success=(1, 1, 1, 0))]
    assert comparison.score(runs, "success") == wilson(5, 8)
    assert comparison.score([], "success") is None
    assert comparison.score(runs, "path_ratio") is None  # recorded as null
    assert comparison.score(runs, "speed") is None


def test_a_score_without_episodes_is_over_the_seeds_that_have_it():
    runs = [run(seed=0, path_ratio=1.5), run(seed=1, path_ratio=None), run(seed=2, path_ratio=2.0)]
    assert comparison.score(runs, "path_ratio").estimate == 1.75


def test_the_length_of_an_unsolved_episode_does_not_count():
    solved = run(success=(1, 1, 0, 0), length=(3, 5, 100, None))
    assert comparison.score([solved], "length").estimate == 4.0
    lost = run(seed=1, success=(0,) * 4, length=(100,) * 4)
    assert comparison.score([lost], "length") is None
    assert comparison.score([solved, lost], "length").estimate == 4.0
    assert solved["episodes"]["length"] == [3, 5, 100, None]  # the record stays as it is


# Differences


def test_differences_are_paired_on_the_seeds_that_both_have():
    a = [run(seed=1, success=(1, 1, 1, 0)), run(seed=0, success=(0, 0, 0, 0))]
    b = [run(seed=2, success=(0, 0, 0, 0)), run(seed=1, success=(1, 0, 0, 1))]
    found = comparison.difference(a, b, "success")
    assert found == paired_difference([[1, 1, 1, 0]], [[1, 0, 0, 1]])
    assert found.estimate == pytest.approx((0 + 1 + 1 - 1) / 4)
    swapped = comparison.difference(b, a, "success")
    assert swapped.estimate == -found.estimate


def test_each_seed_meets_its_own_whatever_the_order_of_the_records():
    ones, zeros = (1, 1, 1, 1), (0, 0, 0, 0)
    a = [run(seed=0, success=ones), run(seed=1, success=zeros)]
    b = [run(seed=1, success=zeros), run(seed=0, success=ones)]
    assert comparison.difference(a, b, "success") == (0.0, 0.0, 0.0)


def test_episodes_are_paired_so_that_what_they_share_is_no_noise():
    returns = [-1.0, -50.0, -3.0, -90.0]
    a = [run(returns=returns)]
    b = [run(returns=[x - 2 for x in returns])]
    assert comparison.difference(a, b, "return") == (2.0, 2.0, 2.0)


def test_lengths_are_compared_where_both_solved():
    a = [run(success=(1, 1, 0, 1), length=(4, 9, 100, 7))]
    b = [run(success=(1, 0, 1, 1), length=(6, 100, 3, 8))]
    assert comparison.difference(a, b, "length").estimate == pytest.approx((-2 - 1) / 2)
    never = [run(success=(0, 0, 1, 0), length=(100, 100, 3, 100))]
    assert comparison.difference(a, never, "length") is None


def test_there_is_no_difference_without_common_episodes():
    a = [run()]
    assert comparison.difference(a, [], "success") is None
    assert comparison.difference(a, [run(seed=1)], "success") is None
    assert comparison.difference(a, [run(success=(1, 0))], "success") is None
    bare = run()
    del bare["episodes"]["return"]
    assert comparison.difference(a, [bare], "return") is None


# Words


def test_a_cell_has_bounds_a_real_minus_and_a_sign_where_it_is_asked_for():
    cell = Interval(0.125, -0.5, 0.25)
    assert comparison.text(cell, scale=100) == "12.5 [−50.0, 25.0]"
    assert comparison.text(cell, digits=2, sign=True) == "+0.12 [−0.50, +0.25]"
    assert comparison.text(None, scale=100, sign=True) == DASH


def columns(markdown):
    """The cells of a table in Markdown, line by line, without the rule under its head."""
    lines = [line.strip("|").split("|") for line in markdown.splitlines()]
    cells = [[cell.strip() for cell in line] for line in lines]
    assert set("".join(cells[1])) == set("-:") and len({len(line) for line in cells}) == 1
    return [cells[0], *cells[2:]]


def test_a_table_has_a_row_a_level_and_a_dash_for_every_absent_cell():
    records = (
        run(method, dataset=f"{level}/{kind}", success=success)
        for method, level, kind, success in [
            ("dt", "A", "mixed", (1, 1, 1, 1)),
            ("bc", "A", "mixed", (1, 1, 0, 0)),
            ("dt", "B", "expert", (0, 0, 0, 0)),
            ("bc", "B", "mixed", (0, 0, 0, 1)),
        ]
    )
    rows = comparison.by_level(records, {"bc": "BC", "dt": "DT"}, ["B", "A"], "mixed", scale=100)
    quarter, half, whole = (comparison.text(wilson(n, 4), scale=100) for n in (1, 2, 4))
    assert columns(results.markdown(rows)) == [
        ["level", "BC", "DT"],
        ["B", quarter, DASH],
        ["A", half, whole],
    ]


def test_differences_from_each_other_method_make_a_table_too():
    records = iter(
        [
            run("dt", success=(1, 1, 1, 1)),
            run("bc", success=(1, 1, 0, 0)),
            run("iql", seed=1),
            run("iql", dataset="B/mixed"),
        ]
    )
    others = {"bc": "BC", "iql": "IQL"}
    rows = comparison.against(records, "dt", others, ["A", "B"], "mixed", scale=100, digits=0)
    half = comparison.text(paired_difference([1, 1, 1, 1], [1, 1, 0, 0]), 100, 0, sign=True)
    assert half.startswith("+50 [") and columns(results.markdown(rows)) == [
        ["level", "− BC", "− IQL"],
        ["A", half, DASH],
        ["B", DASH, DASH],
    ]


def test_other_scores_fill_the_same_tables():
    records = [
        run("dt", success=(1, 1, 0, 1), length=(4, 6, 100, 8)),
        run("bc", success=(1, 0, 1, 1), length=(5, 100, 9, 8)),
    ]
    titles = {"dt": "DT", "bc": "BC"}
    (row,) = comparison.by_level(records, titles, "A", "mixed", name="length")
    assert row["DT"].startswith("6.0 [") and row["BC"].startswith("7.3 [")
    (row,) = comparison.against(records, "dt", {"bc": "BC"}, "A", "mixed", name="length", digits=2)
    assert row["− BC"].startswith("−0.50 [")


def test_the_papers_numbers_are_shares_of_their_episodes():
    from seqrl.environments.levels import LEVELS

    assert set(comparison.LEAP_PAPER_DT) == set(LEVELS)
    for percent in comparison.LEAP_PAPER_DT.values():  # of 200 episodes
        assert math.isclose(percent * 2, round(percent * 2)) and 0 < percent < 100
    assert all(0 < x < 100 for pair in comparison.DT_PAPER_KEY_TO_DOOR.values() for x in pair)


def test_a_study_has_exactly_its_config():
    records = [run("s", config={"n": 1}), run("s", config={"n": 1, "m": 2}), run("s"), run("t")]
    assert comparison.study(iter(records), "s", n=1) == [records[0]]
    assert comparison.study(records, "s") == [records[2]]


def test_sides_are_the_levels_where_an_interval_leaves_zero():
    good, bad = (1,) * 40, (0,) * 40
    records = [
        run("dt", success=good, dataset="A/mixed"), run("bc", success=bad, dataset="A/mixed"),
        run("dt", success=bad, dataset="B/mixed"), run("bc", success=good, dataset="B/mixed"),
        run("dt", success=good, dataset="C/mixed"), run("bc", success=good, dataset="C/mixed"),
        run("dt", success=good, dataset="D/mixed"),
    ]  # fmt: skip
    assert comparison.sides(iter(records), "dt", "bc", "ABCD", "mixed") == ({"A"}, {"B"})
