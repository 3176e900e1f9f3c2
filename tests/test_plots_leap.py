"""Figures of LEAP: the numbers that they draw."""

import numpy as np
import pytest

from seqrl import plots_leap

pytest.importorskip("matplotlib").use("Agg")


def test_energies_and_successes_draw_every_line():
    ax = plots_leap.energies({"chain": [3.0, 2.0], "lowest": [3.0, 1.0]})
    assert [line.get_ydata().tolist() for line in ax.lines] == [[3, 2], [3, 1]]
    ax = plots_leap.successes([1, 10], {"ours": [np.ones(4), np.ones(4)]})
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "10"]
    with pytest.raises(ValueError, match="1 runs, not 2"):
        plots_leap.successes([1, 10], {"ours": [np.ones(4)]})


def test_two_modes_and_judged_plans():
    figure = plots_leap.two_modes(["a", "b"], [0.9, 0.1], [0.0, 0.2])
    assert [len(ax.patches) for ax in figure.axes] == [2, 2]
    energies, lengths = np.arange(12.0).reshape(4, 3), np.full((4, 3), 9)
    ax = plots_leap.judged(energies, lengths, np.full(4, 4))
    assert len(ax.lines[0].get_xdata()) == 12
    assert np.allclose(ax.lines[1].get_ydata(), 5)
