"""Figures: one style, distinct colors, right numbers, small files, and no trouble at the edges."""

import io
import subprocess
import sys
from itertools import pairwise

import matplotlib
import numpy as np
import pytest
import torch
from drawing_data import room, through_a_door, walk
from test_gridworld import GREEN_BLIND, RED_BLIND, closest

from seqrl import plots
from seqrl.environments.toys import RandomWalkGraph
from seqrl.plots_tokens import decision_layout
from seqrl.trajectories import concatenate, pack

matplotlib.use("agg")
import matplotlib.pyplot as plt

SOLVED = walk([2, 2, 1, 2, 0, 2])
UNSOLVED = walk([2, 1, 1, 2] * 16, success=False)
ONE_STEP = walk([2])


@pytest.fixture(autouse=True)
def style():
    plots.use_style()
    yield
    plt.close("all")


def svg(drawn) -> bytes:
    figure = drawn if hasattr(drawn, "savefig") else drawn.figure
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def test_colors_are_distinct_in_every_kind_of_color_vision():
    paints = list(plots.COLORS.values())
    assert len(set(paints)) == len(paints) == 13
    assert min(closest(paints, vision) for vision in (None, RED_BLIND, GREEN_BLIND)) > 15


def test_the_three_methods_of_the_book_stay_far_apart():
    three = [plots.COLORS[name] for name in ("DT", "TT", "LEAP")]
    assert min(closest(three, vision) for vision in (None, RED_BLIND, GREEN_BLIND)) > 20


def test_figures_are_opaque_and_light_so_that_dark_pages_show_them():
    red, green, blue, alpha = matplotlib.colors.to_rgba(matplotlib.rcParams["savefig.facecolor"])
    assert alpha == 1 and min(red, green, blue) > 0.95
    assert matplotlib.rcParams["font.size"] >= 9
    assert matplotlib.rcParams["lines.linewidth"] == 2


def test_a_dataset_has_its_color_whatever_its_level():
    from seqrl.style import color

    assert color("GoToLocalS8N7/expert") == plots.COLORS["expert"]
    assert color("my robot", 0) != color("your robot", 1)


def test_importing_the_plots_does_not_import_what_draws_them():
    code = (
        "import sys, seqrl.plots, seqrl.animations\n"
        "assert not {'matplotlib', 'seaborn', 'minigrid'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def everything():
    data = {"expert": SOLVED, "random": UNSOLVED}
    toy = RandomWalkGraph()
    return {
        "episode": lambda: plots.episode(SOLVED, 0),
        "unsolved": lambda: plots.episode(UNSOLVED, 0),
        "one step": lambda: plots.episode(ONE_STEP, 0),
        "episodes": lambda: plots.episodes(concatenate([SOLVED, UNSOLVED] * 4), range(8)),
        "one of episodes": lambda: plots.episodes(SOLVED, [0]),
        "returns": lambda: plots.returns(data),
        "returns of one": lambda: plots.returns({"BC": ONE_STEP}),
        "lengths": lambda: plots.lengths(data),
        "coverage": lambda: plots.coverage(data),
        "coverage of one": lambda: plots.coverage({"expert": ONE_STEP}),
        "actions": lambda: plots.actions(data),
        "actions of one": lambda: plots.actions({"expert": ONE_STEP}),
        "returns-to-go": lambda: plots.returns_to_go(SOLVED, 0),
        "returns-to-go, unsolved": lambda: plots.returns_to_go(UNSOLVED, 0),
        "returns-to-go, one step": lambda: plots.returns_to_go(ONE_STEP, 0),
        "graph": lambda: plots.graph(toy, [[0, 1, 5]], [[16, 19]]),
        "graph alone": lambda: plots.graph(toy),
        "graph returns": lambda: plots.graph_return_histogram({"random": [-10, -3.0, 0]}),
        "tokens": lambda: plots.token_layouts(SOLVED, 0),
        "tokens of one step": lambda: plots.token_layouts(ONE_STEP, 0),
        "one layout": lambda: decision_layout(SOLVED, 0),
        "one layout of one step": lambda: decision_layout(ONE_STEP, 0),
        "tokens with a key": lambda: plots.token_layouts(through_a_door(), 0, first=1),
    }


@pytest.mark.parametrize("name", everything())
def test_every_figure_is_drawn_small_and_without_title(name):
    drawn = everything()[name]()
    assert 2_000 < len(svg(drawn)) < 150_000
    figure = drawn if hasattr(drawn, "axes") and hasattr(drawn, "savefig") else drawn.figure
    assert not any(ax.get_title() for ax in figure.axes)
    width, height = figure.get_size_inches()
    assert width <= 7.2 and height <= 7.2


def test_the_same_figure_is_the_same_file():
    assert svg(plots.episode(SOLVED, 0)) == svg(plots.episode(SOLVED, 0))


def test_an_episode_names_its_mission_and_its_outcome():
    text = " ".join(t.get_text() for t in plots.episode(UNSOLVED, 0).texts)
    assert "red ball" in text and "64 steps" in text and "not solved" in text
    text = " ".join(t.get_text() for t in plots.episode(ONE_STEP, 0).texts)
    assert "1 step" in text and "1 steps" not in text and "not solved" not in text


def test_an_episode_without_recorded_success_says_nothing_of_it():
    context = {"mission": SOLVED.context["mission"]}
    silent = type(SOLVED)(
        SOLVED.observations,
        SOLVED.actions,
        SOLVED.rewards,
        SOLVED.terminations,
        SOLVED.truncations,
        SOLVED.offsets,
        SOLVED.seeds,
        context,
        SOLVED.maps,
        {},
    )
    text = " ".join(t.get_text() for t in plots.episode(silent, 0).texts)
    assert "solved" not in text and "red ball" in text


def test_trajectories_that_are_no_grid_world_are_refused_by_name():
    flat = pack(
        [
            {
                "observations": {"state": np.zeros((3, 2), np.float32)},
                "actions": np.zeros(2, int),
                "rewards": np.zeros(2, np.float32),
                "terminations": np.array([False, True]),
                "truncations": np.zeros(2, bool),
            }
        ]
    )
    with pytest.raises(ValueError, match="'state'"):
        plots.episode(flat, 0)
    with pytest.raises(ValueError, match="no maps"):
        plots.coverage({"flat": flat})


def test_coverage_counts_steps_taken_and_not_final_positions():
    share = plots._visits(walk([2, 2]))  # acts at (1, 1) and (2, 1), ends at (3, 1)
    assert share[1, 1] == pytest.approx(0.5) and share[2, 1] == pytest.approx(0.5)
    assert share[3, 1] == 0
    assert np.isnan(share[0]).all() and np.nansum(share) == pytest.approx(1)


def test_coverage_refuses_maps_of_two_sizes_and_names_them():
    with pytest.raises(ValueError, match=r"expert \(6, 5\).*random \(7, 5\)"):
        plots.coverage({"expert": SOLVED, "random": walk([2], size=(7, 5))})


def test_coverage_panels_share_one_scale():
    figure = plots.coverage({"expert": SOLVED, "random": UNSOLVED})
    scales = {ax.images[0].get_clim() for ax in figure.axes if ax.images}
    assert len(scales) == 1


def test_bars_of_actions_are_shares_of_each_dataset():
    ax = plots.actions({"expert": SOLVED, "random": UNSOLVED})
    heights = [[bar.get_height() for bar in bars] for bars in ax.containers]
    assert [sum(h) for h in heights] == pytest.approx([100, 100])
    assert heights[0][2] == pytest.approx(100 * 4 / 6)  # forward
    assert [t.get_text() for t in ax.get_xticklabels()][2] == "forward"


def test_medians_stand_where_they_are():
    ax = plots.returns({"expert": SOLVED, "random": UNSOLVED})
    assert [t.get_text() for t in ax.texts if "median" in t.get_text()] == [
        "median −5",
        "median −64",
    ]


def test_staircase_is_the_return_to_go():
    figure = plots.returns_to_go(SOLVED, 0)
    dots = figure.axes[0].lines[0].get_xydata()
    assert dots[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert dots[:, 1].tolist() == SOLVED.returns_to_go().tolist()


def test_graph_draws_every_edge_once_and_leaves_the_goal_none():
    from matplotlib.patches import FancyArrowPatch

    toy = RandomWalkGraph()
    edges = {(a, int(b)) for a in range(20) if a != toy.goal for b in toy.neighbors[a]}

    def count(ax):
        return sum(isinstance(p, FancyArrowPatch) for p in ax.patches)

    assert count(plots.graph(toy)) == len(edges)
    assert count(plots.graph(toy, [[0, 1, 2]], [[16, 19]])) == len(edges) + 3


def test_graph_accepts_walks_as_trajectories():
    toy = RandomWalkGraph()
    walked = [0, int(toy.neighbors[0, 0])]
    states = np.eye(20, dtype=np.float32)[walked]
    one = {
        "observations": {"state": states},
        "actions": np.array([0]),
        "rewards": np.array([-1], np.float32),
        "terminations": np.array([False]),
        "truncations": np.array([True]),
    }
    assert len(plots.graph(toy, pack([one])).patches) == len(plots.graph(toy, [walked]).patches)


def test_shares_of_walks_are_counted_by_return():
    ax = plots.graph_return_histogram({"random": [-10, -10, -3, 0], "optimum": np.array([0.0])})
    random, optimum = ([bar.get_height() for bar in bars] for bars in ax.containers)
    assert random[0] == 50 and random[-3 - -10] == 25 and random[-1] == 25
    assert optimum[-1] == 100


class TestTokens:
    shown = None

    def setup_method(self):
        from seqrl.scenes import scene

        self.shown = scene(SOLVED, 0)

    def test_decision_transformer_has_three_tokens_a_step(self):
        from seqrl.plots_tokens import decision_tokens

        tokens = decision_tokens(self.shown, range(3))
        assert [t.kind for t in tokens] == ["return", "state", "action"] * 3
        assert [t.value for t in tokens[::3]] == ["–5", "–4", "–3"]
        assert tokens[2].value == "forward"

    def test_trajectory_transformer_has_a_token_a_number(self):
        from seqrl.plots_tokens import DISCOUNT, number, scalar_tokens

        tokens = scalar_tokens(self.shown, SOLVED.actions.numpy(), range(3))
        assert "".join(t.symbol for t in tokens) == "xyhcarV" * 3
        later = sum(-(DISCOUNT**k) for k in range(4))  # the rewards after step 1: -1 four times, 0
        assert [t.value for t in tokens[:7]] == ["1", "1", "0", "0", "2", "–1", number(later)]

    def test_leap_has_one_context_and_only_actions(self):
        from seqrl.plots_tokens import plan_tokens

        tokens = plan_tokens(self.shown, range(3), masked=1)
        assert [t.kind for t in tokens] == ["context", "action", "mask", "action"]

    def test_tokens_of_one_row_do_not_overlap(self):
        from seqrl.plots_tokens import decision_tokens, plan_tokens, scalar_tokens

        for tokens in (
            decision_tokens(self.shown, range(3)),
            scalar_tokens(self.shown, SOLVED.actions.numpy(), range(3)),
            plan_tokens(self.shown, range(3), 1),
        ):
            for before, after in pairwise(tokens):
                assert before.left + before.width <= after.left + 1e-9

    def test_a_step_that_is_not_there_is_refused(self):
        with pytest.raises(ValueError, match="6 steps"):
            plots.token_layouts(SOLVED, 0, first=6)
        with pytest.raises(ValueError, match="6 steps"):
            decision_layout(SOLVED, 0, first=6)


def test_a_view_is_drawn_where_there_is_no_map():
    view = np.ones((2, 7, 7, 3), np.uint8) * (1, 0, 0)
    agent = np.zeros((2, 19), np.uint8)
    one = {
        "observations": {"view": view.astype(np.uint8), "agent": agent},
        "actions": np.array([2]),
        "rewards": np.array([0], np.float32),
        "terminations": np.array([True]),
        "truncations": np.array([False]),
    }
    assert len(svg(plots.episode(pack([one]), 0))) > 2_000


def test_large_worlds_stay_small_files():
    rng = np.random.default_rng(0)
    grid = room(19, 19)
    grid[6], grid[12], grid[:, 6], grid[:, 12] = (np.array((2, 5, 0), np.uint8),) * 4
    actions = rng.integers(0, 3, 441).tolist()
    long = walk(actions, start=(9, 9, 0), size=(700, 700), success=False)
    poses = long.observations["agent"].clone()
    poses[:, :2] = 1 + poses[:, :2] % 17
    big = type(long)(
        {"agent": poses, "map": torch.zeros(442, dtype=torch.int32)},
        long.actions,
        long.rewards,
        long.terminations,
        long.truncations,
        long.offsets,
        long.seeds,
        long.context,
        torch.from_numpy(grid)[None],
        {},
    )
    assert len(svg(plots.episode(big, 0))) < 150_000
