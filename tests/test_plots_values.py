"""Figures of value functions: right numbers in the right places, small files, no titles."""

import io

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex

from seqrl import plots_values, style
from seqrl.plots_values import Claims

matplotlib.use("agg")

pytestmark = pytest.mark.usefixtures("house")

RUN = Claims([10, 20, 30], [-1.0, 0.5, 2.0], [-9.0, -5.0, -4.0])
RUNS = {m: {"expert": [RUN, RUN], "random": [RUN]} for m in ("fitted Q", "CQL")}
TRUE = np.array([-3.0, -2.0, -1.0, 0.0])
SEEN = np.array([True, False, False, True])
EARNED = {
    "expert": {"fitted Q": [-9.0, -8.0, -8.5], "BC": [-2.0, -2.1, -2.2]},
    "random": {"fitted Q": [-2.0], "BC": [-7.0]},
}


def everything():
    return {
        "claims": lambda: plots_values.claims(RUNS, -2.5),
        "claims of one": lambda: plots_values.claims({"IQL": {"mixed": [RUN]}}, -2.5, lowest=-20),
        "pairs": lambda: plots_values.pairs({"expert": (TRUE + 1, SEEN)}, TRUE),
        "outcomes": lambda: plots_values.outcomes(EARNED, "return", {"expert": -2, "random": -8}),
        "bare outcomes": lambda: plots_values.outcomes({"mixed": {"BC": []}}, "return", best=-2.5),
    }


@pytest.mark.parametrize("name", everything())
def test_figures_are_small_and_have_no_title(name):
    figure = everything()[name]()
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    assert len(file.getvalue()) < 150_000
    assert not any(ax.get_title() for ax in figure.axes)


def test_claims_are_solid_and_earnings_dashed_in_the_color_of_the_method():
    axes = np.reshape(plots_values.claims(RUNS, -2.5).axes, (2, 2))
    for method, (left, right) in zip(RUNS, axes):
        runs = [line for line in left.lines if len(line.get_xdata()) == 3]
        assert [list(line.get_ydata()) for line in runs] == [RUN.claimed, RUN.earned] * 2
        assert [line.get_linestyle() == "-" for line in runs] == [True, False] * 2
        assert {line.get_color() for line in runs} == {style.COLORS[method]}
        assert len(right.lines) == 3 and method in left.get_ylabel()
    assert "random data" in axes[1, 1].get_xlabel()


def test_what_nobody_can_reach_is_gray_from_the_optimum_to_the_top():
    for optimum, lowest in ((-2.5, None), (3.0, -20)):
        for ax in plots_values.claims(RUNS, optimum, lowest).axes:
            box = ax.patches[0].get_bbox()
            assert box.y0 == optimum and box.y1 == ax.get_ylim()[1] > max(optimum, 2)
            assert to_hex(ax.patches[0].get_facecolor()) == style.GRID
            assert lowest is None or ax.get_ylim()[0] == lowest


def test_pairs_are_filled_where_the_data_have_them():
    (ax,) = plots_values.pairs({"expert": (TRUE + 1, SEEN)}, TRUE).axes
    diagonal, filled, hollow = ax.lines
    assert np.array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    assert list(filled.get_xdata()) == [-3, 0] and list(filled.get_ydata()) == [-2, 1]
    assert list(hollow.get_xdata()) == [-2, -1]
    assert filled.get_markerfacecolor() == style.COLORS["expert"]
    assert hollow.get_markerfacecolor() == style.PAPER
    assert [text.get_text() for text in ax.texts] == ["2 of 4 seen"]


def test_outcomes_show_every_run_and_the_mean():
    marks = {"expert": -2.0, "random": -8.0}
    left, right = plots_values.outcomes(EARNED, "return", marks, best=-1.5).axes
    points = [line for line in left.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in points] == list(EARNED["expert"].values())
    bars = [line for line in left.lines if line.get_linewidth() == 2.5]
    assert [bar.get_xdata()[0] for bar in bars] == pytest.approx([-8.5, -2.1])
    assert [label.get_text() for label in left.get_yticklabels()] == ["fitted Q", "BC"]
    assert {-1.5, -8.0} <= {line.get_xdata()[0] for line in right.lines}
