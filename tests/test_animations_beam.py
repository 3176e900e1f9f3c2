"""A beam search over a map: branches are counted, the drawing shows every round."""

import json

import numpy as np
import pytest
import torch
from test_animations import Page

from seqrl import animations_beam, datasets, tt_dynamics
from seqrl.animations_beam import Branches
from seqrl.beam_search import BeamSearch, plan
from seqrl.experiments import untrained
from seqrl.trajectory_transformer import TrajectoryTransformerConfig
from seqrl.transformer import TransformerConfig

torch.set_num_threads(1)
SEARCH = BeamSearch(beam=4, expand=2, horizon=3)


@pytest.fixture(scope="module")
def searched():
    data = datasets.collect("GoToObjMazeS4", "random", 6, processes=1, progress=False)
    trunk = TransformerConfig(layers=1, width=16, activation="gelu")
    config = TrajectoryTransformerConfig.for_data(data, context=4, trunk=trunk)
    model = untrained(config, 0).eval()
    windows = tt_dynamics.whole_windows(data, 1)
    B = len(windows.actions)
    seen, steps = windows.observations, torch.zeros(B, dtype=torch.long)
    prefix = model.prefix(seen, windows.actions, windows.rewards, steps)
    rounds = []
    draws = torch.rand(B, 3, SEARCH.rows, 1, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plan(model, prefix, SEARCH, draws, watch=rounds.append)
    return model, prefix, rounds, windows


def test_every_sequence_is_in_one_branch(searched):
    model, prefix, rounds, windows = searched
    for t, each in enumerate(rounds):
        found = animations_beam.branches(model, prefix, each, 1)
        assert found.times.sum() == SEARCH.rows and found.kept.sum() == SEARCH.beam
        assert found.poses.shape[1:] == (t + 1, 3)
        start = windows.observations["agent"][1, 0, :3].numpy()
        assert (found.poses[:, 0] == start).all()
        assert (found.kept <= found.times).all()
        assert found.actions.shape == (len(found.times), t + 1)
        if t:  # it grew out of one that stayed
            before = animations_beam.branches(model, prefix, rounds[t - 1], 1)
            stayed = before.actions[before.kept > 0].tolist()
            assert all(row in stayed for row in found.actions[:, :-1].tolist())
        mean = (found.value * found.times).sum() / found.times.sum()
        assert mean == pytest.approx(float(each.value[1].mean()), abs=1e-4)


def test_the_drawing_has_a_frame_a_round_and_one_for_the_best(searched):
    model, prefix, rounds, windows = searched
    found = [animations_beam.branches(model, prefix, each, 1) for each in rounds]
    grid = windows.observations["map"][1].numpy()
    html = animations_beam.growing(grid, found, ["left", "forward", "forward"]).html
    (world,) = Page(html).all("div", "world")
    data = json.loads(world["data-world"])
    assert data["last"] == len(rounds) + 1 == len(data["words"]) - 1
    assert data["words"][1].startswith("Transition 1: 8 futures are imagined")
    assert "4 stay, worth" in data["words"][1]
    assert data["words"][-1].endswith("left, 2 × forward. Only its first action is taken.")
    places = [g for g in Page(html).all("g") if "data-from" in g]
    on_map, beside = places[: len(rounds) + 1], places[len(rounds) + 1 :]
    assert [int(g["data-to"]) - int(g["data-from"]) for g in on_map] == [1, 1, 1, 1]
    assert {g["data-to"] for g in beside} == {str(len(rounds) + 2)}  # what was valued stays
    with pytest.raises(ValueError, match="no round"):
        animations_beam.growing(grid, [], [])


def test_at_last_the_best_of_those_that_stay_is_alone():
    poses, actions = np.zeros((3, 2, 3)), np.zeros((3, 2))
    poses[1, 1], poses[2, 1] = (1, 0, 0), (2, 0, 0)
    kept, value = np.array([1, 1, 0]), np.array([-2.0, -1.0, 5.0])
    branch = Branches(poses, np.ones(3), kept, value, actions)
    assert branch.cells == 2 and (branch.kept > 0).sum() == 2  # of those that stay
    assert animations_beam.last_only(branch).tolist() == [0, 1, 0]
