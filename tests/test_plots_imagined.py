"""Figures of imagined things: what a column loses, where dreams are drawn, errors over steps."""

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from seqrl import plots_imagined, tokens


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_a_column_says_how_far_values_come_back():
    x = torch.tensor([0.0, 1.0, 2.0, 3.0, 10.0])
    bins = tokens.Bins((0.0, 4.0, 10.0), (2.0, 7.0))
    back = plots_imagined.round_trip(x.numpy(), bins)
    assert back.tolist() == [2, 2, 2, 2, 7]
    figure = plots_imagined.columns(x, {"two": bins}, "x")
    assert "comes back 1.40 off" in figure.axes[1].get_title(loc="left")
    assert len(figure.axes[1].patches) == 2


def test_errors_over_the_horizon_are_shares_or_means():
    misses = np.array([[False, True, True], [False, False, True]])
    ax = plots_imagined.horizons({"TT": misses}, "wrong (%)")
    assert ax.lines[0].get_ydata().tolist() == [50, 100]
    assert ax.lines[0].get_xdata().tolist() == [1, 2]
    ax = plots_imagined.horizons({"TT": np.array([[0.0, 1.0], [0.0, 3.0]])}, "cells")
    assert ax.lines[0].get_ydata().tolist() == [2]


def test_dreams_begin_where_what_happened_began():
    grid = np.full((5, 5, 3), (1, 0, 0))
    grid[[0, -1]] = grid[:, [0, -1]] = (2, 5, 0)
    real = np.array([[1, 1, 0], [2, 1, 0], [3, 1, 0]])
    dream = np.array([[1, 1, 0], [2, 1, 0], [2, 1, 1]])
    figure = plots_imagined.dreams([grid] * 4, {"real": [real] * 4, "TT": [dream] * 4})
    assert len(figure.axes) == 6
    assert [text.get_text() for text in figure.legends[0].texts] == ["real", "TT"]
    lines = figure.axes[0].lines
    assert np.allclose(lines[0].get_xdata() - lines[2].get_xdata(), [-0.32, -0.32, 0.68])
