"""The plan over the map: poses by the known rules, a frame an iteration."""

import numpy as np
import pytest
import torch

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
    assert html.count('class="frame"') == 4 and "2.50" in html and "1.25" in html
    with pytest.raises(ValueError, match="as many energies"):
        refining(map_, agent, plans, [1.0])
