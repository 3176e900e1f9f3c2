"""Figures of chapter 6: as many panels as there are things to show, and the right words below."""

import numpy as np
import pytest
import torch
from drawing_data import walk

from seqrl import plots_inside
from seqrl.claims import SOURCES
from seqrl.intervals import Interval
from seqrl.scenes import scene
from seqrl.transformer import causal_mask

pytestmark = pytest.mark.usefixtures("house")
MASK = causal_mask(4)
WEIGHTS = MASK / MASK.sum(1, keepdim=True)


def test_a_point_for_every_head_and_source():
    own = dict.fromkeys(SOURCES, Interval(0.5, 0.4, 0.6))
    rows = [{"layer": i, "head": h, **own} for i in range(2) for h in range(3)]
    figure = plots_inside.heads({"DT": rows[::3], "TT": rows}, {"DT": "on R̂", "TT": "on it"})
    first, second = figure.axes
    assert len(first.lines) - 1 == 2 * len(SOURCES) * 2  # one line parts the layers
    assert len(second.lines) - 1 == 2 * len(SOURCES) * 6
    assert second.get_xlabel() == "TT, layer\non it"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(SOURCES)


def test_growth_has_a_map_for_each_stage():
    curves = {"layer 0": [0.4, 0.6], "layer 1": [0.4, 0.7]}
    figure = plots_inside.growth({0: WEIGHTS, 50: WEIGHTS}, curves, 0.41, [0.0, 0.3])
    maps, lines = figure.axes
    assert [ax.get_xlabel() for ax in maps.child_axes] == ["0 updates", "50"]
    assert len(lines.lines) == 4 and lines.get_ylim()[0] == 0


def test_views_gray_what_is_hidden():
    rows = [{"raw": WEIGHTS, "rollout": WEIGHTS}, {"raw, deaf": WEIGHTS, "rollout, deaf": WEIGHTS}]
    figure = plots_inside.views(rows, MASK, ["return", "state", "action", "return"])
    panels = figure.axes[:4]
    assert all(np.array_equal(ax.images[0].get_array().mask, ~MASK.numpy()) for ax in panels)
    below = [ax.child_axes[0].get_xlabel() for ax in panels]
    assert below == ["raw", "rollout", "raw, deaf", "rollout, deaf"]
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["return-to-go", "state", "action"]


def test_words_mark_cells_with_their_share():
    shown = scene(walk([2, 1, 2]), 0)
    attention = torch.zeros(shown.maps.shape[1:3])
    attention[2, 1], attention[3, 3] = 0.7, 0.01
    figure = plots_inside.words_on_grid(shown, {"red": attention, "ball": attention}, columns=3)
    marked = [[t.get_text() for t in ax.texts] for ax in figure.axes]
    assert marked == [["70", "red"], ["70", "ball"], []]
