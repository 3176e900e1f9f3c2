"""Figures of driving: the numbers that are drawn, what is named in words, and refusals."""

import io
import json
import re
from html import unescape
from itertools import pairwise

import matplotlib
import numpy as np
import pytest
import torch
from drawing_data import walk

from seqrl import plots_driving, style
from seqrl.intervals import bootstrap, wilson
from seqrl.plots_driving import countdown, curves, over_steps, reached, shares

matplotlib.use("agg")
import matplotlib.pyplot as plt

torch.set_num_threads(1)
pytestmark = pytest.mark.usefixtures("house")

ASKED = [-20.0, -5.0, 0.0]
RETURNS = {
    "likeliest": [[-4.0, -6.0, -5.0], [-5.0, -5.0, -5.0], [-3.0, -4.0, -8.0]],
    "drawn": [[-20.0, -30.0], [-7.0, -5.0], [-4.0, -2.0]],
}
SEEN = np.array([-60.0, -19.9, -4.2, -4.2, -4.2, -4.2, -1.0])  # as much as 4 times the same
ROWS = {"DT": {"shown": (9, 10), "unseen": (1, 4)}, "BC": {"shown": (0, 10), "unseen": (4, 4)}}
LINES = {"DT": [0.1, 0.5, 0.2, 0.2], "even": [0.25] * 4}


def everything():
    return {
        "reached": lambda: reached(ASKED, RETURNS, SEEN),
        "reached, no data": lambda: reached(ASKED, RETURNS),
        "reached, one target": lambda: reached([-5], {"DT": [[-5.0, -6.0]]}, SEEN),
        "reached, one episode": lambda: reached([-5, 0], {"DT": [[-5.0], [-3.0]]}),
        "reached, tensors": lambda: reached([-5, 0], {"DT": torch.ones(2, 3)}, torch.zeros(4)),
        "reached, many lines": lambda: reached(ASKED, {f"{i}": RETURNS["drawn"] for i in range(8)}),
        "reached, data elsewhere": lambda: reached(ASKED, RETURNS, [100.0, 200.0]),
        "curves": lambda: curves({"DT": np.linspace(2, 1, 500), "BC": np.ones(300)}, smooth=50),
        "curve": lambda: curves({"DT": [1.0]}, smooth=50),
        "shares": lambda: shares(ROWS, xlabel="%"),
        "over steps": lambda: over_steps(LINES, {"first": 2, "last": 2}, "%", marks={"DT": 1}),
        "one share": lambda: shares({"DT": {"shown": (1, 1)}}),
        "many shares": lambda: shares({f"{i}": {f"{j}": (j, 9) for j in range(4)} for i in "abcd"}),
    }


@pytest.mark.parametrize("name", everything())
def test_every_figure_is_drawn_small_and_without_title(name):
    figure = everything()[name]().figure
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    assert 2_000 < len(file.getvalue()) < 150_000
    assert not any(ax.get_title() for ax in figure.axes)
    width, height = figure.get_size_inches()
    assert width <= 7.2 and height <= 7.2


def test_figures_are_drawn_where_they_are_told():
    ax = plt.subplots()[1]
    for draw in (
        lambda: reached(ASKED, RETURNS, ax=ax),
        lambda: curves({"DT": [1.0]}, ax=ax),
        lambda: shares(ROWS, ax=ax),
    ):
        assert draw() is ax
    assert len(plt.get_fignums()) == 1


# Achieved over requested


def lines(ax):
    """The data of the lines that have a name."""
    return {x.get_label(): x.get_xydata() for x in ax.lines if not x.get_label().startswith("_")}


def test_means_stand_over_what_was_asked_and_the_diagonal_is_obedience():
    ax = reached(ASKED, RETURNS)
    diagonal = ax.lines[0].get_xydata()
    assert diagonal.tolist() == [[-20, -20], [0, 0]]
    found = lines(ax)
    assert list(found) == ["likeliest", "drawn"]
    for name, runs in RETURNS.items():
        assert found[name][:, 0].tolist() == ASKED
        assert found[name][:, 1] == pytest.approx([np.mean(run) for run in runs])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(RETURNS)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("return asked for", "return achieved")


def test_bands_are_the_bootstraps_intervals():
    ax = reached(ASKED, {"drawn": RETURNS["drawn"]})
    (band,) = ax.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices}
    for x, run in zip(ASKED, RETURNS["drawn"]):
        _, low, high = bootstrap([run])
        assert low < high and {(x, low), (x, high)} <= corners


def test_the_shape_below_says_how_often_the_data_had_each_return():
    ax = reached(ASKED, RETURNS, SEEN)
    (shape,) = [p for p in ax.patches if isinstance(p, matplotlib.patches.StepPatch)]
    heights, edges, base = shape.get_data()
    counts = np.rint(((heights - base) / (heights - base).max()) ** 2 * 4).astype(int)
    assert counts.tolist() == np.histogram(SEEN, edges)[0].tolist()
    assert counts.sum() == 6 and counts.max() == 4  # −60 lies outside
    left, right = ax.get_xlim()
    assert (edges[0], edges[-1]) == (left, right) and left > -60
    assert ax.get_ylim()[0] == base and heights.max() < min(map(min, RETURNS["likeliest"]))
    (best,) = [x for x in ax.lines if x.get_linestyle() == ":"]
    assert set(best.get_xdata()) == {-1.0}
    assert "best in the data" in [text.get_text() for text in ax.texts]


def test_data_that_nobody_asks_for_move_nothing():
    bare, full = reached(ASKED, RETURNS), reached(ASKED, RETURNS, [500.0, -900.0])
    assert full.get_xlim() == bare.get_xlim() and full.get_ylim()[1] == bare.get_ylim()[1]
    (shape,) = [p for p in full.patches if isinstance(p, matplotlib.patches.StepPatch)]
    heights, _, base = shape.get_data()
    assert (heights == base).all()
    (best,) = [x for x in full.lines if x.get_linestyle() == ":"]
    assert set(best.get_xdata()) == {500.0}  # where it is, and not at the margin


@pytest.mark.parametrize("count", [0, 2, 4])
def test_as_many_runs_as_targets_are_needed(count):
    with pytest.raises(ValueError, match=f"drawn has {count} targets, not 3"):
        reached(ASKED, {"drawn": [[-1.0, -2.0]] * count})


def test_a_target_without_episodes_is_refused():
    with pytest.raises(ValueError, match="finite values"):
        reached([-5, 0], {"DT": [[-1.0], []]})


def test_colors_are_the_methods_own_unless_told():
    runs = {"DT": RETURNS["drawn"], "mine": RETURNS["drawn"]}
    for draw in (
        lambda **k: reached(ASKED, runs, **k),
        lambda **k: curves({"DT": [1], "mine": [2]}, **k),
    ):
        plain = {x.get_label(): x.get_color() for x in draw().lines}
        assert plain["DT"] == style.COLORS["DT"] != plain["mine"]
        told = {x.get_label(): x.get_color() for x in draw(paints={"mine": "#123456"}).lines}
        assert told["DT"] == style.COLORS["DT"] and told["mine"] == "#123456"


# Training curves


def test_curves_are_running_means_that_end_at_their_update():
    found = lines(curves({"DT": [6.0, 2.0, 4.0, 0.0], "BC": [1.0, 3.0]}, smooth=3))
    assert found["DT"].tolist() == [[3, 4.0], [4, 2.0]]  # the first mean is known after 3 updates
    assert found["BC"].tolist() == [[2, 2.0]]  # shorter than the mean: all of it
    assert lines(curves({"DT": [6.0, 2.0]}))["DT"].tolist() == [[1, 6.0], [2, 2.0]]


def test_losses_are_seen_from_zero_and_those_below_it_too():
    assert curves({"DT": [3.0, 2.5]}).get_ylim()[0] == 0
    below = curves({"DT": [3.0, 2.5], "TT": [1.0, -2.0]})
    assert below.get_ylim()[0] <= -2


def test_one_curve_needs_no_legend():
    assert curves({"DT": [1.0, 2.0]}).get_legend() is None
    ax = curves({"DT": [1.0], "BC": [2.0]}, ylabel="loss (bits)")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["DT", "BC"]
    assert ax.get_ylabel() == "loss (bits)" and ax.get_xlabel() == "update"


# Shares


def bars(ax):
    """(bottom, top, width, color) of each bar, from the top of the figure down."""
    found = [
        (b.get_y(), b.get_y() + b.get_height(), b.get_width(), b.get_facecolor())
        for b in ax.patches
    ]
    return sorted(found, reverse=True)


def test_bars_are_shares_in_percent_with_wilsons_intervals():
    ax = shares(ROWS, xlabel="starts (%)")
    assert [bar[2] for bar in bars(ax)] == pytest.approx([90, 25, 0, 100])
    drawn = sorted((tuple(x.get_ydata()), tuple(x.get_xdata())) for x in ax.lines)
    assert len(drawn) == 4
    for (y, x), bar, (hits, trials) in zip(
        reversed(drawn), bars(ax), [(9, 10), (1, 4), (0, 10), (4, 4)]
    ):
        _, low, high = wilson(hits, trials)
        assert x == pytest.approx((100 * low, 100 * high))
        assert bar[0] < y[0] == y[1] < bar[1]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["DT", "BC"]
    assert ax.get_xlabel() == "starts (%)" and ax.get_xlim()[1] > 100


def test_bars_of_a_row_lie_around_its_name_and_overlap_no_other():
    ax = shares({"a": {"x": (1, 2), "y": (1, 2), "z": (1, 2)}, "b": {"x": (1, 2), "z": (1, 2)}})
    found = bars(ax)
    for above, below in pairwise(found):
        assert below[1] < above[0]
    assert all(bar[0] > -0.5 and bar[1] < 0.5 for bar in found[:3])
    assert all(bar[0] > -1.5 and bar[1] < -0.5 for bar in found[3:])
    assert [bar[3] for bar in found[3:]] == [found[0][3], found[2][3]]  # x and z keep their colors


def test_every_group_is_in_the_legend_once_with_its_color():
    ax = shares({"a": {"x": (1, 2)}, "b": {"x": (1, 2), "y": (1, 2)}, "c": {"y": (1, 2)}})
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["x", "y"]
    colors = [patch.get_facecolor() for patch in legend.get_patches()]
    assert colors == [bars(ax)[0][3], bars(ax)[-1][3]] and colors[0] != colors[1]
    four = bars(shares({"a": dict.fromkeys("wxyz", (1, 2))}))
    assert len({bar[3] for bar in four}) == 4
    assert shares({"a": {"x": (1, 2)}}).get_legend() is None


def test_a_share_of_nothing_is_refused():
    with pytest.raises(ValueError, match="0 successes of 0 trials"):
        shares({"DT": {"unseen": (0, 0)}})


# Countdown


def worlds(player):
    return [json.loads(unescape(x)) for x in re.findall(r'data-world="([^"]*)"', player.html)]


def test_a_countdown_plays_the_same_episode_under_its_targets():
    quick, slow = walk([2, 2]), walk([0, 1, 2, 2])
    player = countdown({-1.0: quick, -12.5: slow}, 0)
    assert [world["go"] for world in worlds(player)] == [
        ["−1", "0"],
        ["−12.5", "−11.5", "−10.5", "−9.5"],
    ]
    assert re.findall(r"<b>(asked[^<]*)</b>", player.html) == ["asked for −1", "asked for −12.5"]


def test_a_countdown_shows_the_episode_that_is_asked_for():
    from seqrl.trajectories import concatenate

    both = concatenate([walk([2, 2]), walk([0])])
    assert [len(world["poses"]) for world in worlds(countdown({0.0: both, 5.0: both}, 1))] == [2, 2]


def test_markers_differ_as_long_as_there_are_some():
    ax = reached(ASKED, {f"{i}": RETURNS["drawn"] for i in range(len(plots_driving.MARKERS))})
    found = [x.get_marker() for x in ax.lines if not x.get_label().startswith("_")]
    assert found == list(plots_driving.MARKERS)


def test_over_steps_shows_percent_rooms_and_marked_steps():
    ax = over_steps(LINES, {"first": 2, "last": 2}, marks={"DT": 1}, dashed=["even"])
    line, ring, even = ax.lines
    assert line.get_ydata() == pytest.approx([10, 50, 20, 20])
    assert ring.get_xydata().tolist() == [[1, 50]]
    assert even.get_linestyle() == "--"
    named = {text.get_text(): text.xy[0] for text in ax.texts}
    assert named == {"first": 0.5, "last": 2.5}
    assert ax.get_xlim() == (-0.5, 3.5)
