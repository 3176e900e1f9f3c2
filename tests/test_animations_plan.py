"""The plan over the map: poses by the known rules, a frame an iteration."""

import json
import re

import numpy as np
import pytest
import torch
from test_animations import Page

from seqrl.animations_plan import refining, walked
from seqrl.behavior import ShortestPath
from seqrl.environments import make_envs
from seqrl.environments.grid_observation import AGENT
from seqrl.leap_energy import first_steps
from seqrl.rollout import rollout


@pytest.fixture(scope="module")
def data():
    envs = make_envs("GoToLocalS7N5", 1)
    return rollout(ShortestPath(envs), envs, 2, seed=0)


def test_a_plan_is_walked_as_the_environment_does(data):
    episode = data.episode(0)
    agent = torch.from_numpy(episode["observations"]["agent"])
    path = walked(episode["observations"]["map"][0], agent[0], torch.from_numpy(episode["actions"]))
    assert np.array_equal(path, agent[:, AGENT["pose"]].numpy())
    stopped = walked(episode["observations"]["map"][0], agent[0], torch.tensor([0, 7, 2]))
    assert len(stopped) == 2


def test_every_iteration_is_a_frame_beside_its_energy(data):
    batch = first_steps(data, 3)
    plans = torch.tensor([[0, 0, 2], [2, 2, 2]])
    map_, agent = batch.observations["map"][0], batch.observations["agent"][0, 0]
    html = refining(map_, agent, plans, [2.5, 1.25], "go to").html
    spans = re.findall(r'data-from="(\d)" data-to="(\d)"', html)
    assert spans == 2 * [("0", "1"), ("1", "2"), ("2", "3")]  # on the map and beside it
    assert "2.50" in html and "1.25" in html and 'class="choice"' not in html
    (data,) = data_of(html)
    assert data["last"] == 2 and data["words"][1] == "The draft: left, left, forward. Energy 2.50."
    assert data["words"][2].startswith("Iteration 2, 2 changed: forward, forward, forward.")
    assert html.count("?</text>") == 3  # before the draft every action is hidden
    with pytest.raises(ValueError, match="as many energies"):
        refining(map_, agent, plans, [1.0])


def data_of(html):
    return [json.loads(w["data-world"]) for w in Page(html).all("div", "world")]


def test_chains_can_be_chosen_and_the_lowest_is_first(data):
    batch = first_steps(data, 3)
    plans = torch.tensor([[[0, 0, 2], [2, 2, 7]], [[2, 0, 2], [2, 2, 7]]])
    map_, agent = batch.observations["map"][0], batch.observations["agent"][0, 0]
    player = refining(map_, agent, plans, [[2.0, 1.0], [0.5, 1.0]])
    page = Page(player.html)
    assert ["hidden" in w for w in page.all("div", "world")] == [False, True]
    assert json.loads(page.all("input")[0]["data-names"]) == ["1", "2"]
    first, second = data_of(player.html)
    assert first["words"][-1].endswith("Energy 0.50.") and "nothing changed" in second["words"][-1]
    assert second["words"][1] == "The draft: forward, forward, end. Energy 1.00."
