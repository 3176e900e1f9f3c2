"""Figures of the verdict: the numbers that they draw, and where."""

import matplotlib
import pytest

from seqrl.intervals import Interval
from seqrl.plots_verdict import forest, luck, paint, stitched
from seqrl.style import COLORS

matplotlib.use("agg")

pytestmark = pytest.mark.usefixtures("house")


def bars(ax):
    """Label, point and ends of every interval of a figure."""
    found = []
    for container in ax.containers:
        point, _, (bar,) = container.lines
        (ends,) = bar.get_segments()
        found.append((container.get_label(), *point.get_xydata()[0], *ends[:, 0]))
    return found


def test_a_forest_has_each_interval_in_its_row_and_each_name_once():
    lines = {
        "DT − filtering": [Interval(0.1, 0.05, 0.2), Interval(-0.3, -0.4, -0.1)],
        "RvS − filtering": [None, Interval(0.0, -0.1, 0.1)],
    }
    ax = forest(["one level", "another"], lines, "points")
    a, b, c = bars(ax)
    assert a == ("DT − filtering", *map(pytest.approx, (10, 0.12, 5, 20)))
    assert b[0].startswith("_") and b[1:] == tuple(map(pytest.approx, (-30, -0.88, -40, -10)))
    assert c == ("RvS − filtering", *map(pytest.approx, (0, -1.12, -10, 10)))
    assert [t.get_text() for t in ax.get_yticklabels()] == ["one level", "another"]
    assert ax.get_yticks().tolist() == [0, -1] and ax.get_xlabel() == "points"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == list(lines)
    assert ax.lines[0].get_xdata() == [0, 0]  # right of it the first leads


def test_a_forest_of_one_kind_needs_no_legend_and_takes_the_paint_given():
    ax = forest(["DT"], {"late": [Interval(0.5, 0.4, 0.6)]}, "%", paints={"late": "#123456"})
    assert ax.get_legend() is None
    assert ax.containers[0].lines[0].get_color() == "#123456"


def test_luck_draws_what_is_asked_for_and_at_its_right_who_is_asked_for_nothing():
    ax = luck([-8, 0], {"DT": [-7.0, -3.0], "luck": [-6.0, -6.0]}, {"IQL": -4.0, "BC": -5.0}, -2.5)
    by_name = {line.get_label(): line for line in ax.lines}
    assert by_name["DT"].get_xydata().tolist() == [[0, -7], [1, -3]]
    assert by_name["luck"].get_ydata().tolist() == [-6, -6]
    assert by_name["DT"].get_color() == COLORS["DT"]
    alone = [line.get_xydata().tolist() for line in ax.lines if line.get_marker() == "P"]
    assert alone == [[[2, -4]], [[3, -5]]]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["−8", "0", "IQL", "BC"]
    assert ax.lines[0].get_ydata() == [-2.5, -2.5]


def test_stitched_has_a_panel_a_request_a_row_a_method_and_a_point_a_seed():
    ways = {"asked −4": {"DT": [-4.0, -10.0, -4.0], "IQL": [-4.0]}, "asked −8": {"IQL": [-8.0]}}
    figure = stitched(ways, -4)
    left, right = figure.axes
    best, dt, iql = (line.get_xydata() for line in left.lines)
    assert best[:, 0].tolist() == [-4, -4]
    assert dt[:, 0].tolist() == [-4, -10, -4] and dt[:, 1].tolist() == pytest.approx(
        [-0.14, 0, 0.14]
    )
    assert iql.tolist() == [[-4, -1]]
    assert [len(line.get_xdata()) for line in right.lines] == [2, 0, 1]  # DT was not asked
    assert left.get_xlabel() == "return, asked −4"
    assert [t.get_text() for t in left.get_yticklabels()] == ["DT", "IQL"]
    assert [line.get_color() for line in left.lines[1:]] == [paint("DT"), paint("IQL")]
