"""What others published stands here as it does there: means are the means that they state."""

import numpy as np
import pytest

from seqrl import published

MEANS = {  # of the nine datasets, as the sources give them
    "BC, DT and TT papers": 47.7,
    "CQL, TT paper, corrected": 77.6,
    "DT, DT paper": 74.7,
    "TT, uniform bins, TT paper": 72.6,
    "TT, quantile bins, TT paper": 78.9,
    "BC, CORL": 50.4,
    "10 %BC, CORL": 69.3,
    "CQL, CORL": 78.3,
    "IQL, CORL": 81.6,
    "DT, CORL": 73.8,
}


def test_every_column_has_the_mean_that_its_source_states():
    assert set(MEANS) == set(published.ROBOTS)
    for name, mean in MEANS.items():
        column = published.robots(name)
        assert len(column) == 9
        assert np.mean(list(column.values())) == pytest.approx(mean, abs=0.0501), name


def test_they_are_the_means_that_chapter_7_draws():
    drawn = sorted(x.score for x in published.LOCOMOTION)
    means = sorted(MEANS.values())
    assert set(means) <= set(drawn)  # drawn is also a CQL on older data


def test_an_unknown_column_is_refused():
    with pytest.raises(ValueError, match="unknown column 'DT'; there are BC, DT and TT papers;"):
        published.robots("DT")


def test_delayed_scores_are_below_those_of_the_usual_reward():
    for name, row in published.DELAYED.items():
        assert row["DT"] < published.robots("DT, DT paper")[name]
