"""Success by the length of the shortest way, from records that are made up here."""

import numpy as np
import pytest

from seqrl import distance

DATA = "GoToObjMazeS4/mixed"


def run(success, seed=0, method="dt"):
    episodes = {"success": list(success)}
    return {"method": method, "dataset": DATA, "seed": seed, "config": {}, "episodes": episodes,
            "scores": {"success": float(np.mean(success))}}  # fmt: skip


def test_episodes_are_sorted_by_their_shortest_way_and_seeds_are_pooled():
    steps = np.array([1, 7, 8, 31])
    runs = [run([1, 0, 1, 0]), run([1, 1, 1, 1], seed=1)]
    near, middle, far, furthest = distance.by_distance(runs, "dt", DATA, steps)
    assert near.estimate == pytest.approx(3 / 4)
    assert middle.estimate == 1
    assert far.estimate == pytest.approx(1 / 2)
    assert furthest is None


def test_only_the_first_episodes_are_looked_at_and_a_cell_may_be_empty():
    found = distance.by_distance([run([1, 1, 0, 0])], "dt", DATA, np.array([40, 40]))
    assert found[:3] == [None] * 3 and found[3].estimate == 1
    assert distance.by_distance([], "dt", DATA, np.array([4])) == [None] * 4


def test_the_shortest_ways_are_those_of_the_test_episodes(monkeypatch):
    steps = distance.shortest("GoToLocalS7N5", 3)
    assert steps.shape == (3,) and (steps >= 1).all()
    monkeypatch.setattr(distance.evaluation, "shortest_lengths", lambda *_: None)
    with pytest.raises(ValueError, match="no shortest way"):
        distance.shortest("GoToLocalS7N5", 3)


def test_a_panel_for_each_level():
    steps = np.array([3, 20])
    drawn = distance.figure([run([1, 0])], {"GoToObjMazeS4": steps, "PickupLoc": steps})
    assert [ax.get_title() for ax in drawn.axes] == ["GoToObjMazeS4", "PickupLoc"]
